"""The last verdicts of a camera as bars that differ in height and filling, so that colour is not needed."""

from collections.abc import Sequence

from dashboard.drawing.marks import tone_of
from dashboard.markup import Html

LENGTH = 70
_STEP = 6.0
_BARS = {
    "pass": '<rect class="pass" x="{x:.1f}" y="17" width="4.3" height="9" rx="1"/>',
    "review": '<rect class="review" x="{x:.1f}" y="8" width="4.3" height="18" rx="1"/>',
    "fail": '<rect class="fail" x="{x:.1f}" y="1" width="4.3" height="25" rx="1"/>',
    "system": '<rect class="system" x="{x:.1f}" y="1" width="4.3" height="24.5" rx="1"/>',
}


def verdict_strip(verdicts: Sequence[str]) -> Html:
    """Verdicts, oldest first, newest at the right end; at most the last 70."""
    shown = verdicts[-LENGTH:]
    start = LENGTH - len(shown)
    bars = "".join(
        _BARS[tone_of(verdict)].format(x=0.6 + _STEP * (start + place)) for place, verdict in enumerate(shown)
    )
    width = _STEP * LENGTH
    return Html(
        f'<svg class="strip" viewBox="0 0 {width:.0f} 27" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    )
