"""What a page says when it has nothing to show: what happened, and what to do next."""

from core.errors import FlawlineError, SettingsInvalid
from dashboard import words
from dashboard.drawing.marks import shape
from dashboard.markup import Html, div, join, tag


def note(title: str, text: str, *, tone: str = "pass", detail: str = "") -> Html:
    """A calm card in the middle of the page; `detail` is the code, in grey."""
    code = tag("p", detail, class_="label code") if detail else None
    return div("fl fl-note card", shape(tone, 30), tag("h1", title), tag("p", text), code, role="status")


def empty_line() -> Html:
    """No camera is in the line."""
    return note(words.EMPTY_LINE, words.EMPTY_LINE_DO)


def trouble(problem: FlawlineError) -> Html:
    """The books cannot be read now."""
    if isinstance(problem, SettingsInvalid):
        return note(words.NOT_MIGRATED, words.NOT_MIGRATED_DO, tone="system", detail=str(problem))
    return note(words.BUSY, words.BUSY_DO, tone="system", detail=str(problem))


def server_silent() -> Html:
    """Lies ready in the browser for the moment when our own server no longer answers."""
    return join(shape("system", 56), div("word", words.STATE_UNKNOWN), div("", words.SERVER_SILENT))
