"""HTML that cannot be broken into: text is escaped unless a function of ours has made it."""

import re
from html import escape

_NAME = re.compile(r"^[a-z][a-z0-9-]*$")
_VOID = frozenset({"img", "input", "br", "hr"})

Value = str | int | float | bool | None


class Html(str):
    """Finished HTML; everything else that reaches a page is escaped first."""

    __slots__ = ()


Child = Html | str | int | None


def tag(name: str, *children: Child, **attributes: Value) -> Html:
    """An element. `class_` gives class, `data_slot` gives data-slot; None and False leave an attribute out.

    Raises ValueError for a name that is none, so that no data can become an element or an attribute.
    """
    head = "".join([name if _NAME.match(name) else _refuse(name), *map(_attribute, attributes.items())])
    if name in _VOID:
        return Html(f"<{head}>")
    return Html(f"<{head}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Children side by side; None is nothing."""
    return Html("".join(_text(child) for child in children if child is not None))


def div(class_: str, *children: Child, **attributes: Value) -> Html:
    """A block of that class."""
    return tag("div", *children, class_=class_, **attributes)


def span(class_: str, *children: Child, **attributes: Value) -> Html:
    """A run of text of that class."""
    return tag("span", *children, class_=class_, **attributes)


def _text(child: Child) -> str:
    return child if isinstance(child, Html) else escape(str(child))


def _attribute(item: tuple[str, Value]) -> str:
    key, value = item
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if not _NAME.match(name) or name.startswith("on"):
        _refuse(name)
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _refuse(name: str) -> str:
    raise ValueError(f"{name!r} is no name for an element or an attribute")
