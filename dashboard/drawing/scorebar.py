"""Score against limits: one small drawing, the same everywhere (look.md, rule 8)."""

import math
from dataclasses import dataclass

from dashboard.drawing.marks import tone_of
from dashboard.markup import Html

_LIMIT_AT = 46.0  # percent of the width at which the review limit always stands
_FAIL_AT = 62.0
_FLOOR_AT = 5.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What a bar is drawn on: the limits, and the lowest score that good parts had, None where it is not known."""

    t_lo: float | None
    t_hi: float | None = None
    floor: float | None = None

    @property
    def spread(self) -> float:
        """How far good parts reach below the review limit: the unit of the bar."""
        known = self.floor is not None and self.t_lo is not None and self.floor < self.t_lo
        return self.t_lo - self.floor if known else abs(self.t_lo or 0.0) or 1.0  # type: ignore[operator]


def place(score: float, scale: Scale) -> float:
    """Where a score stands on the bar, in percent of its width; limits stand still, so bars can be compared.

    Linear below the review limit, with the lowest good part near the left end, and between the limits; beyond the fail
    limit it runs out smoothly, because an extreme score has no upper end. A bar without limits has no places.
    """
    t_lo, t_hi, spread = scale.t_lo, scale.t_hi, scale.spread
    if t_lo is None or score <= t_lo:
        return max(1.5, _LIMIT_AT - (_LIMIT_AT - _FLOOR_AT) * ((t_lo or 0.0) - score) / spread)
    if t_hi is None:
        return _LIMIT_AT + (98.0 - _LIMIT_AT) * _soft((score - t_lo) / spread)
    if score <= t_hi and t_hi > t_lo:
        return _LIMIT_AT + (_FAIL_AT - _LIMIT_AT) * (score - t_lo) / (t_hi - t_lo)
    return _FAIL_AT + (98.0 - _FAIL_AT) * _soft((score - t_hi) / spread)


def _soft(excess: float) -> float:
    return 1.0 - math.exp(-excess)


def score_bar(score: float | None, scale: Scale, verdict: str, *, words: bool) -> Html:
    """Grey to the review limit, amber to the fail limit, red beyond; a dot where the part lies.

    Without a fail limit the amber runs to the end. No score, or no limits: no dot.
    """
    t_lo, t_hi = scale.t_lo, scale.t_hi
    if t_lo is None:
        return Html('<div class="scorebar bare"></div>')
    fail_at = _FAIL_AT if t_hi is not None else 100.0
    zones = (
        f'<i class="zone pass" style="left:0;width:{_LIMIT_AT}%"></i>'
        f'<i class="zone review" style="left:{_LIMIT_AT}%;width:{fail_at - _LIMIT_AT}%"></i>'
        f'<i class="zone fail" style="left:{fail_at}%;width:{100 - fail_at}%"></i>'
        f'<i class="limit" style="left:{_LIMIT_AT}%"></i>'
    )
    if t_hi is not None:
        zones += f'<i class="limit" style="left:{_FAIL_AT}%"></i>'
    if score is not None and math.isfinite(score):
        zones += f'<i class="dot {tone_of(verdict)}" style="left:{place(score, scale):.2f}%"></i>'
    if words:
        zones += f'<b style="left:{_LIMIT_AT}%">review</b>'
        zones += f'<b style="left:{_FAIL_AT}%">fail</b>' if t_hi is not None else ""
    return Html(f'<div class="scorebar{" worded" if words else ""}">{zones}</div>')
