"""The review desk in HTML: the picture is the hero, every key is printed on its button."""

from collections.abc import Iterable
from datetime import datetime

from core.errors import FlawlineError
from core.verdicts import MachineVerdict
from dashboard import figures, words
from dashboard.desk import Desk, Place, named
from dashboard.drawing.golden import beside, golden_card
from dashboard.drawing.lists import facts, others
from dashboard.drawing.marks import shape, tone_of
from dashboard.drawing.notes import note, trouble
from dashboard.drawing.picture import photo, picture_of, stage, thumb_of
from dashboard.drawing.scorebar import Scale, score_bar
from dashboard.markup import Html, div, join, span, tag
from dashboard.queries.frames import Frame
from dashboard.queries.waiting import ATTENTION

PREFETCHED = 5
_MOST_OTHERS = 3  # marks beside the strongest that are told in words; all are marked on the picture


def desk_data(desk: Desk, place: Place, now: datetime) -> dict[str, object]:
    """What the desk's script takes: HTML by place, the part on the desk, and the pictures that come next."""
    frame = desk.frame
    slots: dict[str, str] = {"filters": _filters(desk, place), "count": _count(desk, place), "note": _note(place)}
    if frame is None:
        slots |= {"empty": _empty(desk, place), "stage": "", "film": "", "side": ""}
    else:
        film = div("reel", *(_frame(one, on=one.id == frame.id) for one in desk.queue))
        hero = join(stage(frame), beside(frame))
        slots |= {"empty": "", "stage": hero, "film": film, "side": _side(desk, frame, now)}
    return {
        "slots": slots,
        "item": None if frame is None else named(frame.id),
        "turn": place.turn,
        "lease": desk.lease.total_seconds(),
        "prefetch": [url for url in map(picture_of, _coming(desk)) if url],
    }


def trouble_data(problem: FlawlineError, place: Place) -> dict[str, object]:
    """The desk where the books cannot be read: it says so, and looks again by itself."""
    slots = {"filters": "", "count": "", "note": "", "empty": trouble(problem), "stage": "", "film": "", "side": ""}
    return {"slots": slots, "item": None, "turn": place.turn, "lease": 0, "prefetch": []}


def _coming(desk: Desk) -> Iterable[Frame]:
    at = next((n for n, frame in enumerate(desk.queue) if desk.frame and frame.id == desk.frame.id), -1)
    return desk.queue[at + 1 : at + 1 + PREFETCHED]


def _filters(desk: Desk, place: Place) -> Html:
    by = desk.tally.by_verdict
    everything = tuple(map(str, ATTENTION))
    chips = [_chip(words.ALL, desk.total, "verdict:", on=place.asked.verdicts == everything)]
    for verdict in (*ATTENTION, MachineVerdict.INVALID):
        count = by.get(str(verdict), 0)
        chips.append(_chip(str(verdict), count, f"verdict:{verdict}", on=place.asked.verdicts == (str(verdict),)))
    cameras = sorted(desk.tally.by_camera.items())
    if len(cameras) > 1 or place.asked.camera:
        chips += [_chip(name, count, f"camera:{name}", on=place.asked.camera == name) for name, count in cameras]
    return join(*chips)


def _chip(label: str, count: int, value: str, *, on: bool) -> Html:
    return tag(
        "button", f"{label} {figures.count(count)}", class_="chip press on" if on else "chip press", type="button",
        data_act="filter", data_value=value, aria_pressed="true" if on else "false",
    )  # fmt: skip


def _count(desk: Desk, place: Place) -> Html:
    said = []
    if desk.frame is not None:
        at = next((n for n, frame in enumerate(desk.queue, 1) if frame.id == desk.frame.id), 1)
        shown = sum(desk.tally.by_verdict.get(verdict, 0) for verdict in place.asked.verdicts)
        of = len(desk.queue) if place.asked.camera else max(shown, len(desk.queue))
        said.append(words.PROGRESS.format(place=figures.count(at), total=figures.count(of)))
    if desk.median is not None:
        said.append(words.PER_PART.format(seconds=f"{desk.median:.1f}"))
    return join(" · ".join(said))


def _note(place: Place) -> Html:
    return div("told", shape("system", 16), place.note) if place.note else Html("")


def _empty(desk: Desk, place: Place) -> Html:
    taken = desk.total > 0 and place.asked.verdicts == tuple(map(str, ATTENTION)) and not place.asked.camera
    if taken:
        return note(words.ALL_TAKEN, words.ALL_TAKEN_DO, tone="review")
    return note(words.REVIEW_EMPTY, words.REVIEW_EMPTY_DO)


def _frame(frame: Frame, *, on: bool) -> Html:
    ratio = f"{frame.width}/{frame.height}" if frame.width > 0 and frame.height > 0 else "4/3"
    picture = div("small", photo(thumb_of(frame), str(frame.id)), style=f"aspect-ratio:{ratio}")
    return tag(
        "button", picture, shape(tone_of(frame.verdict), 14), class_="reel-frame on" if on else "reel-frame",
        type="button", data_act="open", data_item=named(frame.id), data_key=named(frame.id),
        aria_label=f"{frame.verdict} {frame.id}",
    )  # fmt: skip


def _side(desk: Desk, frame: Frame, now: datetime) -> Html:
    return join(_verdict_card(frame, now), golden_card(frame) or _passed(desk), _buttons(desk, frame, now), _severity())


def _passed(desk: Desk) -> Html | None:
    if not desk.passed:
        return None
    return div("card passed", div("label", words.PASSED_BEFORE), div("three", *map(_good, desk.passed)))


def _good(frame: Frame) -> Html:
    ratio = f"{frame.width}/{frame.height}" if frame.width > 0 and frame.height > 0 else "4/3"
    picture = div("small", photo(thumb_of(frame), str(frame.id)), style=f"aspect-ratio:{ratio}")
    return div(
        "",
        picture,
        div("ends label", span("", words.VERDICTS[frame.verdict]), span("", figures.short_score(frame.score))),
    )


def _verdict_card(frame: Frame, now: datetime) -> Html:
    verdict = words.VERDICTS.get(frame.verdict, frame.verdict)
    word = span("verdict big", shape(tone_of(frame.verdict), 28), verdict)
    reason = span("reason", words.reason(frame.reason)) if frame.reason else None
    number = div("number", tag("b", figures.score(frame.score)), div("label", _limits(frame)))
    return div(
        "card verdict-card",
        div("ends", div("line", word, reason, span("chip undecided", words.UNDECIDED)), number),
        score_bar(frame.score, Scale(frame.t_lo, frame.t_hi, frame.floor), frame.verdict, words=True),
        div("label facts", " · ".join(facts(frame, now))),
        *(div("label", said) for said in others(frame)[:_MOST_OTHERS]),
        div("label", frame.detail) if frame.detail else None,
    )


def _limits(frame: Frame) -> str:
    if frame.t_lo is None:
        return words.NO_SCORE
    lower = words.REVIEW_LIMIT.format(t_lo=figures.score(frame.t_lo))
    upper = words.NO_FAIL_LIMIT if frame.t_hi is None else words.FAIL_LIMIT.format(t_hi=figures.score(frame.t_hi))
    return f"{lower} · {upper}"


def _buttons(desk: Desk, frame: Frame, now: datetime) -> Html:
    good = words.GOOD_SUB if frame.verdict != MachineVerdict.PASS else ""
    defects = [
        _button(str(number), name, words.DEFECT_SUB, call="defect", number=number)
        for number, name in enumerate(desk.classes, 1)
    ]
    return div(
        "calls",
        _button("G", words.GOOD, good, call="good"),
        _button("U", words.UNSURE, words.UNSURE_SUB, call="unsure"),
        *defects,
        _button("B", words.BAD_IMAGE, words.BAD_IMAGE_SUB, call="bad_image"),
        _undo(desk, now),
    )


def _button(key: str, name: str, below: str, *, call: str, number: int | None = None) -> Html:
    return tag(
        "button", span("key", key), div("", tag("b", name), div("label", below)), class_="card call", type="button",
        data_act="call", data_call=call, data_number=number, data_keycap=key.lower(),
    )  # fmt: skip


def _undo(desk: Desk, now: datetime) -> Html:
    below = words.NOTHING_TO_UNDO
    if desk.last is not None:
        called = desk.last.defect_class or words.CALLS[desk.last.call]
        below = words.LAST_CALL.format(call=called, ago=figures.age(figures.since(desk.last.decided_at, now)))
    return tag(
        "button", span("key", "Z"), div("", tag("b", words.UNDO), div("label", below)), type="button",
        class_="card call" if desk.last else "card call idle", data_act="undo", data_keycap="z",
    )  # fmt: skip


def _severity() -> Html:
    chips = [
        tag("button", span("key", key), name, class_=f"chip press severity-{value.lower()}", type="button",
            data_severity=value, data_keycap=key.lower())
        for value, (key, name) in words.SEVERITIES.items()
    ]  # fmt: skip
    return div("card severity", span("muted", words.SEVERITY), div("line", *chips))
