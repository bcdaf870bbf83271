"""Charts as pure functions: grey data, named limits, colour only beyond a limit (look.md, rule 9)."""

import altair as alt
import pandas as pd

from dashboard import figures
from dashboard.calibration import Proof

INK = {
    "light": {"text": "#15191d", "muted": "#5c666f", "rule": "#d9dde1", "pass": "#7b858e", "review": "#b97900",
              "fail": "#c8371b"},
    "dark": {"text": "#e9ecee", "muted": "#98a2ab", "rule": "#2a3035", "pass": "#87919a", "review": "#f0b23e",
             "fail": "#ff6a4d"},
}  # fmt: skip
BINS = 48


def calibration_chart(proof: Proof, scheme: str, *, height: int = 300) -> alt.LayerChart:
    """The scores of held-out good parts as a histogram, with the zones of the limits behind them."""
    ink = INK.get(scheme, INK["light"])
    low, top = _ends(proof)
    bars = pd.DataFrame(_binned(proof.scores, low, top), columns=["left", "right", "parts", "floor"])
    axis = alt.Axis(grid=False, title="score", tickCount=8)
    x = alt.X(
        "left:Q", scale=alt.Scale(domain=[low, top], nice=False, zero=False), axis=axis
    )  # one axis for all layers
    most = max(bars["parts"], default=1)
    y = alt.Y(
        "parts:Q",
        scale=alt.Scale(domain=[0, 1.1 * most], nice=False),
        axis=alt.Axis(title="good parts", tickMinStep=1, tickCount=4),
    )
    tips = [alt.Tooltip("left:Q", format=".3f"), alt.Tooltip("right:Q", format=".3f"), alt.Tooltip("parts:Q")]
    counted = (
        alt.Chart(bars)
        .mark_rect(color=ink["pass"], opacity=0.75)
        .encode(x=x, x2="right:Q", y=y, y2="floor:Q", tooltip=tips)
    )
    return dressed(alt.layer(*_zones(proof, top, ink, x), counted, *_limits(proof, ink, x)), ink, height=height)


def dressed(chart: alt.LayerChart | alt.FacetChart, ink: dict[str, str], *, height: int) -> alt.LayerChart:
    """A chart in our type and greys, without a frame; height in pixels."""
    layered: alt.LayerChart = (
        chart.properties(height=height, background="transparent")
        .configure_view(strokeWidth=0)
        .configure_axis(
            labelColor=ink["muted"], titleColor=ink["muted"], gridColor=ink["rule"], domainColor=ink["rule"],
            tickColor=ink["rule"], labelFont="Inter", titleFont="Inter", labelFontSize=12, titleFontSize=12,
            titleFontWeight="normal",
        )
    )  # fmt: skip
    return layered


def _ends(proof: Proof) -> tuple[float, float]:
    """Left and right end of the score axis: the scores and limits with some room, more of it on the right."""
    known = [*proof.scores, *(limit for limit in (proof.t_lo, proof.t_hi) if limit is not None)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = (high - low) or abs(high) or 1.0
    return low - 0.08 * room, high + 0.4 * room


def _binned(scores: tuple[float, ...], low: float, high: float) -> list[tuple[float, float, int, int]]:
    width = (high - low) / BINS
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, int((score - low) / width))] += 1
    gap = 0.06 * width
    edges = [(low + n * width + gap, low + (n + 1) * width - gap) for n in range(BINS)]
    return [(left, right, count, 0) for (left, right), count in zip(edges, counts, strict=True) if count]


def _zones(proof: Proof, top: float, ink: dict[str, str], x: alt.X) -> list[alt.Chart]:
    if proof.t_lo is None:
        return []
    upper = top if proof.t_hi is None else proof.t_hi
    zones = [(proof.t_lo, upper, "review", 0.10)]
    zones += [] if proof.t_hi is None else [(proof.t_hi, top, "fail", 0.10)]
    return [
        alt.Chart(pd.DataFrame({"left": [left], "right": [right]}))
        .mark_rect(color=ink[tone], opacity=opacity)
        .encode(x=x, x2="right:Q")
        for left, right, tone, opacity in zones
    ]


def _limits(proof: Proof, ink: dict[str, str], x: alt.X) -> list[alt.Chart]:
    drawn: list[alt.Chart] = []
    for name, limit, side in (("review", proof.t_lo, -1), ("fail", proof.t_hi, 1)):  # away from each other
        if limit is None:
            continue
        frame = pd.DataFrame({"left": [limit], "said": [f"{name} {figures.score(limit)}"]})
        drawn.append(alt.Chart(frame).mark_rule(color=ink["text"], strokeWidth=1.5).encode(x=x))
        word = alt.Chart(frame).mark_text(
            align="right" if side < 0 else "left", dx=6 * side, dy=10, baseline="top", color=ink["text"], font="Inter"
        )
        drawn.append(word.encode(x=x, y=alt.value(0), text="said:N"))
    return drawn
