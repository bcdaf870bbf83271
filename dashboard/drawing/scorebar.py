"""Score against limits: one small drawing, the same everywhere (look.md, rule 8)."""

import math

from dashboard.drawing.marks import tone_of
from dashboard.markup import Html

_LIMIT_AT = 46.0  # percent of the width at which the review limit always stands
_FAIL_AT = 62.0


def place(score: float, t_lo: float, t_hi: float | None) -> float:
    """Where a score stands on the bar, in percent of its width; limits stand still, so bars can be compared.

    Linear below the review limit (zero, or a mirrored span for negative limits, is the left end) and between the
    limits; beyond the fail limit it runs out smoothly, because an extreme score has no upper end.
    """
    span_below = abs(t_lo) or 1.0
    if score <= t_lo:
        return max(1.5, _LIMIT_AT * (1 - (t_lo - score) / span_below))
    if t_hi is None:
        return _LIMIT_AT + (98.0 - _LIMIT_AT) * _soft((score - t_lo) / span_below)
    if score <= t_hi and t_hi > t_lo:
        return _LIMIT_AT + (_FAIL_AT - _LIMIT_AT) * (score - t_lo) / (t_hi - t_lo)
    return _FAIL_AT + (98.0 - _FAIL_AT) * _soft((score - t_hi) / max(t_hi - t_lo, span_below * 0.25))


def _soft(excess: float) -> float:
    return 1.0 - math.exp(-excess)


def score_bar(score: float | None, limits: tuple[float | None, float | None], verdict: str, *, words: bool) -> Html:
    """Grey to the review limit, amber to the fail limit, red beyond; a dot where the part lies.

    `limits` are t_lo and t_hi; without a fail limit the amber runs to the end. No score, or no limits: no dot.
    """
    t_lo, t_hi = limits
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
        zones += f'<i class="dot {tone_of(verdict)}" style="left:{place(score, t_lo, t_hi):.2f}%"></i>'
    if words:
        zones += f'<b style="left:{_LIMIT_AT}%">review</b>'
        zones += f'<b style="left:{_FAIL_AT}%">fail</b>' if t_hi is not None else ""
    return Html(f'<div class="scorebar{" worded" if words else ""}">{zones}</div>')
