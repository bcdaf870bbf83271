"""The lower row of the Line page: the last rejects, and what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import figures, words
from dashboard.drawing.marks import shape, tone_of
from dashboard.drawing.picture import boxes, measures, part_url, photo, stage, thumb_of
from dashboard.drawing.scorebar import Scale, score_bar
from dashboard.markup import Html, div, join, span, tag
from dashboard.queries.frames import Frame


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened, what it means for the parts, what to do; `seconds` since it began, None where unknown.

    `code` is its kind and whose it is, in grey; `numbers` are those in the books that nobody has acknowledged yet.
    """

    tone: str
    what: str
    means: str
    seconds: float | None = None
    code: str = ""
    numbers: tuple[int, ...] = ()


def last_rejects(frames: Sequence[Frame], now: datetime) -> Html:
    """Thumbnails, newest first; a press holds the picture."""
    head = div("ends", tag("b", words.LAST_REJECTS), span("muted", words.HOLD_HINT))
    if not frames:
        return join(head, div("muted quiet", words.NO_REJECTS))
    return join(head, div("thumbs", *(_reject(frame, now) for frame in frames)))


def _reject(frame: Frame, now: datetime) -> Html:
    ratio = f"{frame.width}/{frame.height}" if frame.width > 0 and frame.height > 0 else "4/3"
    picture = div("small", photo(thumb_of(frame), str(frame.id)), *boxes(frame)[:1], style=f"--ratio:{ratio}")
    below = div(
        "ends label", span("", figures.short_score(frame.score)), span("", figures.day_and_time(frame.captured_at, now))
    )
    return tag(
        "button", picture, below, class_=f"thumb {tone_of(frame.verdict)}", data_hold=part_url(frame), type="button",
        title=f"{frame.id.camera} · {frame.part_id}",
    )  # fmt: skip


def attention(alerts: Sequence[Alert]) -> Html:
    """What needs a person, loudest first."""
    head = div("ends", tag("b", words.ATTENTION))
    if not alerts:
        return join(head, div("alert quiet", shape("pass", 18), div("grow muted", words.ALL_QUIET)))
    return join(head, *(_alert(alert) for alert in alerts))


def _alert(alert: Alert) -> Html:
    age = None if alert.seconds is None else span("muted", figures.clock(alert.seconds))
    code = span("faint code", alert.code) if alert.code else None
    said = div("grow", tag("b", alert.what), div("muted", alert.means, title=alert.means), code)
    return div("alert", shape(alert.tone, 18), said, _acknowledge(alert) if alert.numbers else None, age)


def _acknowledge(alert: Alert) -> Html:
    numbers = ",".join(map(str, alert.numbers))
    return tag("button", words.ACKNOWLEDGE, class_="chip press", data_acknowledge=numbers, type="button")


def held_part(frame: Frame, now: datetime) -> Html:
    """A part that someone wants to look at while the line goes on."""
    verdict = words.VERDICTS.get(frame.verdict, frame.verdict)
    close = tag("button", span("key", "Esc"), words.LET_GO, class_="chip press", data_release=True, type="button")
    title = span("verdict big", shape(tone_of(frame.verdict), 26), verdict)
    reason = span("reason", words.reason(frame.reason)) if frame.reason else None
    bar = score_bar(frame.score, Scale(frame.t_lo, frame.t_hi, frame.floor), frame.verdict, words=True)
    return join(
        div("ends", div("line", span("chip", words.HELD), title, reason), close),
        stage(frame),
        bar,
        div("label", " · ".join(facts(frame, now))),
    )


def facts(frame: Frame, now: datetime) -> list[str]:
    """What is known of a part, in the order a person asks for it."""
    number = len(frame.regions)
    marked = words.NO_REGION if number == 0 else words.REGIONS_ONE
    said = [words.REGIONS_MANY.format(count=number) if number > 1 else marked]
    if frame.regions:
        said += [*measures(frame.regions[0]), where(frame)]
    said += [frame.id.camera]
    said += [f"part {frame.part_id}"] if frame.part_id else [f"no. {frame.id.seq}"]
    said += [f"lot {frame.lot}"] if frame.lot else []
    said += [figures.day_and_time(frame.captured_at, now), frame.product]
    said += [f"model {frame.model}"] if frame.model else []
    return said


def others(frame: Frame) -> list[str]:
    """The marked places after the strongest: what is known of each, in the order of their peaks."""
    return [" · ".join([*measures(one), where(frame, n)]) for n, one in enumerate(frame.regions) if n]


def where(frame: Frame, number: int = 0) -> str:
    """Where a mark lies, the strongest first, as a person would point at it."""
    region = frame.regions[number]
    across = (region.x + region.width / 2) / max(1, frame.width)
    down = (region.y + region.height / 2) / max(1, frame.height)
    vertical = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    horizontal = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    return " ".join(part for part in (vertical, horizontal) if part) or "centre"
