"""A model's card, drawn: what an engineer reads before an audit. Grey, because nothing here calls for anybody."""

from collections.abc import Iterable, Mapping

from dashboard import figures, words
from dashboard.markup import Html, div, span, tag
from dashboard.passport import Block, Document, Ladder, Tried, fixture_name, fixture_picture, merits, parity_told

_SIDE_BY_SIDE = ("network", "training", "pictures", "golden memory", "calibration", "figures", "file")


def no_card() -> Html:
    """For a model that came into the books before there were cards."""
    return div("fl passport-none", tag("p", words.NO_CARD), tag("p", words.NO_CARD_DO, class_="muted"))


def limits(told: list[str], of: Mapping[str, Block]) -> Html:
    """What the scores prove in words, and the limits with the rates that were asked for."""
    block = of.get("limits")
    rows = [(name, value) for name, value in block.rows if name != "in words"] if block else []
    return div("fl proofs", *(tag("p", sentence) for sentence in told), _names(rows) if rows else None)


def capability(ladders: list[Ladder], told: list[str]) -> Html:
    """A row for each kind and contrast, a cell for each size: how many of the flaws did not pass."""
    if not ladders:
        return div("fl", tag("p", told[0] if told else words.NOT_TRIED, class_="muted"))
    head, *rest = told
    return div(
        "fl", tag("p", head.rstrip(":") + ".", class_="muted"), div("ladders", *map(_ladder, ladders)),
        tag("p", words.CELL_MEANS, class_="label"), tag("ul", *(tag("li", _upper(one)) for one in rest)),
        tag("p", words.MADE_UP, class_="label"),
    )  # fmt: skip


def _ladder(ladder: Ladder) -> Html:
    name = div("ladder-name", tag("b", _upper(ladder.kind)), span("muted", words.CONTRAST.format(n=ladder.contrast)))
    return div("ladder", name, div("rungs", *(_rung(ladder, one) for one in ladder.sizes)))


def _rung(ladder: Ladder, one: Tried) -> Html:
    """Filled as far as the flaws of this size were held back; the smallest caught size has a ring."""
    best = ladder.caught is not None and one.size == ladder.caught
    ring = "rung best" if best else "rung"
    share = figures.percent(one.held / one.tried, digits=0)
    said = words.RUNG.format(size=_pixels(one.size), held=one.held, tried=one.tried)
    return div(
        ring, tag("b", f"{_pixels(one.size)} px"), span("", share),
        div("fill", style=f"width:{100 * one.held / one.tried:.0f}%"), title=said,
    )  # fmt: skip


def fixture(card: Document) -> Html:
    """What is looked at, why this way, and the picture that shows it."""
    tried, chosen = merits(card), fixture_name(card)
    why = words.FIXTURE_TRIED if tried else words.FIXTURE_ASKED
    key = fixture_picture(card)
    shown = tag("img", src=f"/api/img/{key}", alt=words.FIXTURE_PICTURE, class_="fixture-picture") if key else None
    bars = div("merits", *(_merit(*one, chosen=chosen) for one in tried))
    below = tag("p", words.FIXTURE_PICTURE if key else words.NO_FIXTURE_PICTURE, class_="label")
    return div("fl", tag("p", why.format(name=_called(chosen))), bars, shown, below)


def _merit(name: str, merit: float, *, chosen: str) -> Html:
    return div(
        "merit on" if name == chosen else "merit", span("merit-name", _called(name)),
        div("bar", div("fill", style=f"width:{100 * max(0.0, min(merit, 1.0)):.1f}%")), span("", f"{merit:.3f}"),
    )  # fmt: skip


def _called(name: str) -> str:
    """A fixture in words; one that is new here by its own name."""
    kind, comma, rest = name.partition(", ")
    return f"{words.FIXTURES.get(kind, kind)}{comma}{words.FIXTURES.get(rest, rest)}"


def runtime(card: Document, of: dict[str, Block]) -> Html:
    """What it runs on, and how far that is from PyTorch in float32."""
    told = parity_told(card)
    holds = dict(of["calibration"].rows).get("holds for") if "calibration" in of else None
    return div(
        "fl", tag("p", words.RUNS_ON.format(runtime=holds)) if holds else None,
        tag("p", _upper(told) + "." if told else words.PARITY_UNKNOWN, class_=None if told else "muted"),
    )  # fmt: skip


def in_words(of: dict[str, Block]) -> Html:
    """The rest of the card, as names and values."""
    return div("fl passport-words", *_blocks(of[name] for name in _SIDE_BY_SIDE if name in of))


def _blocks(blocks: Iterable[Block]) -> list[Html]:
    return [div("", div("fl-head", _upper(one.title)), _names(one.rows)) for one in blocks]


def _names(rows: Iterable[tuple[str, str]]) -> Html:
    return tag("dl", *(div("", tag("dt", name), tag("dd", value)) for name, value in rows), class_="names")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pixels(size: float) -> str:
    return f"{size:.0f}" if size >= 10 else f"{size:.2g}"
