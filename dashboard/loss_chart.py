"""How the losses fell while a model learnt: one line for each network, its stages side by side. Pure."""

import math

import altair as alt
import pandas as pd

from dashboard import words
from dashboard.charts import INK, dressed
from dashboard.passport import LossCurve

DASHES = {"teacher": [1, 0], "student": [6, 3]}  # black on white they still differ


def loss_chart(curves: list[LossCurve], scheme: str, *, height: int = 220) -> alt.LayerChart:
    """The curves over all iterations; where a stage begins, a dashed line says which. `curves` are not empty.

    The losses of teacher and student lie far apart, so the axis is logarithmic, unless one of them is not above 0.
    """
    ink = INK.get(scheme, INK["light"])
    begins = stage_begins(curves)
    rows = [
        (begins[curve.stage] + at, loss, f"{curve.stage} {curve.network}", curve.network)
        for curve in curves
        for at, loss in zip(curve.iterations, curve.losses, strict=True)
    ]
    points = pd.DataFrame(rows, columns=["iteration", "loss", "line", "network"])
    low, high = min(loss for _, loss, *_ in rows), max(loss for _, loss, *_ in rows)
    room = alt.Scale(type="log", domain=[low / 1.15, high * 1.15], nice=False) if low > 0 else alt.Scale(zero=False)
    last = max(at for at, *_ in rows)
    x = alt.X(
        "iteration:Q", scale=alt.Scale(domain=[0, 1.12 * last], nice=False),
        axis=alt.Axis(grid=False, title=words.ITERATION, tickCount=6, format="~s"),
    )  # fmt: skip
    ticks = (
        alt.Axis(title=words.LOSS, values=log_ticks(low, high), format="~g") if low > 0 else alt.Axis(title=words.LOSS)
    )
    y = alt.Y("loss:Q", scale=room, axis=ticks)
    network = alt.StrokeDash(
        "network:N", legend=None, scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values()))
    )
    tips = [alt.Tooltip("network:N"), alt.Tooltip("iteration:Q", format=",.0f"), alt.Tooltip("loss:Q", format=".4f")]
    lines = (
        alt.Chart(points)
        .mark_line(color=ink["text"], strokeWidth=1.6)
        .encode(x=x, y=y, strokeDash=network, detail="line:N", tooltip=tips)
    )
    ends = points.groupby("line", sort=False).tail(1)
    named = alt.Chart(ends).mark_text(align="left", dx=7, color=ink["text"], font="Inter", fontSize=12)
    return dressed(alt.layer(*_starts(begins, ink, x), lines, named.encode(x=x, y=y, text="network:N")), ink,
                   height=height)  # fmt: skip


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten between two numbers above 0; powers alone where those would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0,) if len(powers) > 4 else (1.0, 2.0, 5.0)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    return [tick for tick in ticks if low / 1.15 <= tick <= high * 1.15]


def stage_begins(curves: list[LossCurve]) -> dict[str, float]:
    """By stage, how many iterations came before it, in the order of training."""
    lasts: dict[str, float] = {}
    for curve in curves:
        lasts[curve.stage] = max(lasts.get(curve.stage, 0.0), curve.iterations[-1])
    begins, before = {}, 0.0
    for stage, last in lasts.items():
        begins[stage] = before
        before += last
    return begins


def _starts(begins: dict[str, float], ink: dict[str, str], x: alt.X) -> list[alt.Chart]:
    """A line where each later stage begins, with its name."""
    later = [(at, words.STAGE_BEGINS.format(stage=stage)) for stage, at in begins.items() if at > 0]
    if not later:
        return []
    frame = pd.DataFrame(later, columns=["iteration", "said"])
    rule = alt.Chart(frame).mark_rule(color=ink["muted"], strokeDash=[4, 4]).encode(x=x)
    word = alt.Chart(frame).mark_text(
        align="left", dx=-3, dy=-6, baseline="bottom", color=ink["muted"], font="Inter", fontSize=12
    )
    return [rule, word.encode(x=x, y=alt.value(0), text="said:N")]
