"""A verdict as three cues at once: shape, word and colour (look.md, rule 2)."""

from core.verdicts import MachineVerdict
from dashboard import words
from dashboard.markup import Html, span

_SHAPES = {
    "pass": '<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    '<path d="M5 8.2l2.1 2.1L11.2 6" fill="none" stroke="currentColor" stroke-width="1.6"/>',
    "review": '<path d="M8 1l7 7-7 7-7-7z" fill="currentColor"/>',
    "fail": '<path d="M8 1.5L15.2 14H.8z" fill="currentColor"/>',
    "system": '<path d="M3 3l10 10M13 3L3 13" stroke="currentColor" stroke-width="2.6"/>',
    "due": '<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    '<path d="M8 4.6v4l2.4 1.6" fill="none" stroke="currentColor" stroke-width="1.6"/>',
    "stopped": '<rect x="3" y="3" width="10" height="10" rx="1.5" fill="currentColor"/>',
}
_TONES = {
    MachineVerdict.PASS: "pass",
    MachineVerdict.REVIEW: "review",
    MachineVerdict.FAIL: "fail",
    MachineVerdict.INVALID: "system",
    MachineVerdict.NO_VERDICT: "system",
}


def tone_of(verdict: str) -> str:
    """The tone of a machine verdict: pass, review, fail or system; what is unknown is system, never pass."""
    try:
        return _TONES[MachineVerdict(verdict)]
    except ValueError:
        return "system"


def shape(tone: str, size: int) -> Html:
    """The shape of a tone, `size` px square, in its colour."""
    drawing = _SHAPES.get(tone, _SHAPES["system"])
    svg = Html(f'<svg width="{size}" height="{size}" viewBox="0 0 16 16" aria-hidden="true">{drawing}</svg>')
    return span(f"mark {tone if tone in _SHAPES else 'system'}", svg)


def verdict_mark(verdict: str, size: int) -> Html:
    """Shape and word of a verdict."""
    return span("verdict", shape(tone_of(verdict), size), words.VERDICTS.get(verdict, verdict))
