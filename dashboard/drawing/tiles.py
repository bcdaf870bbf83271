"""A camera's tile on the Line page: what it sees, what it said last, and whether it inspects at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from core.verdicts import NoVerdictReason
from dashboard import figures, words
from dashboard.drawing.marks import shape, tone_of, verdict_mark
from dashboard.drawing.picture import part_url, stage
from dashboard.drawing.scorebar import Scale, score_bar
from dashboard.drawing.strip import LENGTH, verdict_strip
from dashboard.markup import Html, div, join, span, tag
from dashboard.queries.frames import Frame
from dashboard.states import Standing, State

_SYSTEM_WORDS = {State.NOT_INSPECTING: "system", State.STOPPED: "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """What a tile shows. `verdicts` oldest first; `pace` in parts per second; `residual`: parts that nobody can
    account for, None if unknown.
    """

    camera: str
    station: str
    product: str
    standing: Standing
    frame: Frame | None
    verdicts: Sequence[str]
    pace: float | None
    reconnects: int
    residual: int | None


def tile(value: Tile, now: datetime, *, compact: bool) -> Html:
    """The tile; `compact` where more than four share the wall."""
    return tag(
        "section",
        _head(value),
        _view(value, now),
        _foot(value, compact=compact),
        class_=f"tile {_tone(value)}",
        style=_ratio(value.frame),
        data_camera=value.camera,
        data_state=str(value.standing.state),
    )


def _ratio(frame: Frame | None) -> str:
    known = frame is not None and frame.width > 0 and frame.height > 0
    return f"--ratio:{frame.width}/{frame.height}" if known and frame is not None else "--ratio:4/3"


def _tone(value: Tile) -> str:
    if value.standing.state in _SYSTEM_WORDS:
        return _SYSTEM_WORDS[value.standing.state]
    if value.frame is None or not value.standing.live:
        return "idle"
    return tone_of(value.frame.verdict)


def _head(value: Tile) -> Html:
    return tag("header", tag("b", value.camera, title=f"{value.station} · {value.product}"), _link(value))


def _link(value: Tile) -> Html:
    state = value.standing.state
    if state is State.NOT_INSPECTING:
        return span("muted", "offline")
    if state is State.STOPPED:
        return span("muted", "stopped")
    if state is State.DEGRADED:
        return span("impaired", shape("system", 12), words.STATES[state])
    pace = figures.UNKNOWN if value.pace is None else f"{value.pace:.1f}{figures.THIN}/{figures.THIN}s"
    return span("muted", f"{pace} · {link_word(value.reconnects)}")


def link_word(reconnects: int) -> str:
    """How well the camera holds its connection (OP-8), by the reconnects of its session."""
    if reconnects == 0:
        return "excellent"
    return "fair" if reconnects <= 2 else "poor"


def _view(value: Tile, now: datetime) -> Html:
    if value.standing.state in _SYSTEM_WORDS or value.frame is None:
        return _silent(value.standing)
    frame = value.frame
    since = figures.since(frame.captured_at, now)
    late = span("late", words.LATE) if frame.is_late and frame.reason != NoVerdictReason.LATE else None
    reason = span("reason", words.reason(frame.reason)) if frame.reason else None
    idle = None if value.standing.live else div("stale", words.OLD_PICTURE.format(ago=figures.age(since)))
    return div(
        "view" if value.standing.live else "view old",
        tag("button", stage(frame), class_="hold", data_hold=part_url(frame), type="button", title=words.HOLD_HINT),
        div("plate", verdict_mark(frame.verdict, 24), reason, late),
        idle,
        div("age", figures.age(since)) if value.standing.live else None,
    )


def _silent(standing: Standing) -> Html:
    mark = "stopped" if standing.state is State.STOPPED else "system"
    if standing.state is State.RUNNING:
        return div("view silent calm", div("say", div("what", standing.why or words.NO_PART_YET)))
    said = join(
        shape(mark, 44),
        div("word", words.STATES[standing.state]),
        div("what", f"{standing.why}."),
        div("parts", standing.parts),
    )
    return div(f"view silent {mark}", div("say", said))


def _foot(value: Tile, *, compact: bool) -> Html:
    frame = value.frame
    live = value.standing.state not in _SYSTEM_WORDS and frame is not None
    if live and frame is not None:
        bar = score_bar(frame.score, Scale(frame.t_lo, frame.t_hi, frame.floor), frame.verdict, words=not compact)
    else:
        limits = (None, None) if frame is None else (frame.t_lo, frame.t_hi)
        bar = div("noscore muted", _limits(*limits))
    counted = tag(
        "button", words.RESIDUAL_OF.format(count=figures.count(value.residual)),
        class_="system" if value.residual else None,
        data_hold=f"/api/books.json?camera={quote(value.camera, safe='')}", title=words.BOOKS_HINT, type="button",
    )  # fmt: skip
    length = min(LENGTH, len(value.verdicts))
    return tag(
        "footer", bar, verdict_strip(value.verdicts),
        div("ends label", span("", words.LAST_PARTS.format(count=length)), counted),
    )  # fmt: skip


def _limits(t_lo: float | None, t_hi: float | None) -> str:
    if t_lo is None:
        return f"score {figures.UNKNOWN}"
    upper = f" / {figures.score(t_hi)}" if t_hi is not None else ""
    return f"score {figures.UNKNOWN} · limits {figures.score(t_lo)}{upper}"
