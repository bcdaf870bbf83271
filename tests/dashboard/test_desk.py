"""The review desk: each key for the part that was seen, by one reviewer, with a way back."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from core.errors import NotAllowed, StoreUnavailable
from core.messages import FrameId
from core.records import reviews
from core.verdicts import HumanCall, Severity
from dashboard import desk, words
from dashboard.desk import Desk, Place
from dashboard.drawing.desk import desk_data, trouble_data
from dashboard.queries.waiting import ATTENTION, Asked
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant
from tests.dashboard.test_drawing import read

CLASSES = ("Contamination", "Scratch", "Dent")


def lay(plant: Plant, place: Place, reviewer: str = "Ana", seconds: float = 0) -> Desk:
    with plant.database.writing() as connection:
        return desk.laid_out(connection, place, reviewer=reviewer, now=NOON + timedelta(seconds=seconds))


def do(plant: Plant, place: Place, reviewer: str = "Ana", **asked: object) -> None:
    with plant.database.writing() as connection:
        desk.act(connection, place, asked, reviewer=reviewer, now=NOON)


def stored(plant: Plant) -> list[tuple[object, ...]]:
    query = text("SELECT seq, call, defect_class, severity, seconds, reviewer FROM reviews ORDER BY id")
    with plant.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_decision_goes_into_the_books_and_the_next_part_comes(fresh: Plant) -> None:
    place = Place()
    first = lay(fresh, place)
    assert first.frame is not None
    do(fresh, place, kind="call", call="defect", number=2, severity="CRITICAL", seconds=1.27,
       item=desk.named(first.frame.id))  # fmt: skip
    second = lay(fresh, place)
    assert second.frame is not None
    assert second.frame.id == first.queue[1].id
    assert stored(fresh) == [(first.frame.id.seq, "DEFECT", "Scratch", "CRITICAL", 1.27, "Ana")]
    assert second.last is not None
    assert second.last.frame == first.frame.id


def test_a_key_that_comes_twice_decides_one_part(fresh: Plant) -> None:
    place = Place()
    frame = lay(fresh, place).frame
    assert frame is not None
    for _ in range(2):
        do(fresh, place, kind="call", call="good", item=desk.named(frame.id))
    assert len(stored(fresh)) == 1
    assert "look again" in place.note


def test_a_key_for_a_part_that_is_not_on_the_desk_is_refused(fresh: Plant) -> None:
    place = Place()
    laid = lay(fresh, place)
    do(fresh, place, kind="call", call="good", item=desk.named(laid.queue[3].id))
    do(fresh, place, kind="call", call="good", item="nobody/1/1")
    do(fresh, place, kind="call", call="good", item=None)
    assert stored(fresh) == []
    assert place.note.startswith("Not stored")


def test_undo_is_a_row_and_brings_the_part_back(fresh: Plant) -> None:
    place = Place()
    frame = lay(fresh, place).frame
    assert frame is not None
    do(fresh, place, kind="call", call="bad_image", item=desk.named(frame.id))
    lay(fresh, place)
    do(fresh, place, kind="undo")
    again = lay(fresh, place)
    assert again.frame is not None
    assert again.frame.id == frame.id
    assert [row[1] for row in stored(fresh)] == ["BAD_IMAGE", None]
    do(fresh, place, kind="undo")
    assert words.NOTHING_TO_UNDO in place.note


def test_two_reviewers_never_have_the_same_part(fresh: Plant) -> None:
    ana, ben = Place(), Place()
    seen = []
    for _ in range(3):
        for place, name in ((ana, "Ana"), (ben, "Ben")):
            frame = lay(fresh, place, name).frame
            assert frame is not None
            seen.append(frame.id)
            do(fresh, place, name, kind="call", call="unsure", item=desk.named(frame.id))
    assert len(set(seen)) == len(seen) == len(stored(fresh))


def test_a_lease_that_ran_out_gives_the_part_to_another(fresh: Plant) -> None:
    ana, ben = Place(), Place()
    first = lay(fresh, ana).frame
    assert first is not None
    other = lay(fresh, ben, "Ben", seconds=reviews.LEASE.total_seconds() + 1).frame
    assert other is not None
    assert other.id == first.id
    do(fresh, ana, kind="call", call="good", item=desk.named(first.id))
    assert stored(fresh) == []
    assert "another reviewer" in ana.note


def test_left_and_right_walk_the_queue_and_give_the_part_back(fresh: Plant) -> None:
    place = Place()
    laid = lay(fresh, place)
    do(fresh, place, kind="next")
    second = lay(fresh, place)
    assert second.frame is not None
    assert second.frame.id == laid.queue[1].id
    do(fresh, place, kind="previous")
    do(fresh, place, kind="previous")  # stops at the first
    third = lay(fresh, place)
    assert third.frame is not None
    assert third.frame.id == laid.queue[0].id
    do(fresh, place, kind="open", item=desk.named(laid.queue[2].id))
    fourth = lay(fresh, place)
    assert fourth.frame is not None
    assert fourth.frame.id == laid.queue[2].id
    ben = lay(fresh, Place(), "Ben").frame
    assert ben is not None
    assert ben.id == laid.queue[0].id


def test_filters_narrow_the_queue(fresh: Plant) -> None:
    place = Place()
    camera = fresh.cameras[0].name
    do(fresh, place, kind="filter", value="verdict:REVIEW")
    do(fresh, place, kind="filter", value=f"camera:{camera}")
    laid = lay(fresh, place)
    assert {(frame.verdict, frame.id.camera) for frame in laid.queue} <= {("REVIEW", camera)}
    do(fresh, place, kind="filter", value=f"camera:{camera}")
    do(fresh, place, kind="filter", value="verdict:")
    assert place.asked == Asked(tuple(map(str, ATTENTION)))
    do(fresh, place, kind="filter", value="verdict:PASS")
    assert "PASS" not in place.asked.verdicts


@pytest.mark.parametrize(
    ("asked", "call", "name", "severity", "seconds"),
    [
        ({"call": "good", "seconds": 2}, HumanCall.GOOD, "", None, 2.0),
        ({"call": "unsure", "seconds": "2"}, HumanCall.UNSURE, "", None, None),
        ({"call": "bad_image", "seconds": float("nan")}, HumanCall.BAD_IMAGE, "", None, None),
        ({"call": "defect", "number": 3, "seconds": -1}, HumanCall.DEFECT, "Dent", Severity.MAJOR, None),
        ({"call": "defect", "number": 1, "severity": "MINOR", "seconds": 1e9}, HumanCall.DEFECT, "Contamination",
         Severity.MINOR, None),
    ],
)  # fmt: skip
def test_what_the_browser_sends_becomes_a_decision(
    asked: dict[str, object], call: HumanCall, name: str, severity: Severity | None, seconds: float | None
) -> None:
    made = desk.decision_of(asked, CLASSES)
    assert (made.call, made.defect_class, made.severity, made.seconds) == (call, name, severity, seconds)


@pytest.mark.parametrize(
    "asked",
    [{}, {"call": "pass"}, {"call": "defect"}, {"call": "defect", "number": 0}, {"call": "defect", "number": 4},
     {"call": "defect", "number": "1"}, {"call": "defect", "number": 1, "severity": "AWFUL"}],
)  # fmt: skip
def test_what_nobody_can_mean_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(NotAllowed, match="there is no"):
        desk.decision_of(asked, CLASSES)


@pytest.mark.parametrize("item", [None, "", "a/b/c", "a/1", "a/1/2/3", "a/-1/2", "a/١/2", {"a": 1}])
def test_a_name_that_is_none_is_no_part(item: object) -> None:
    assert desk.parsed(item) is None


def test_a_part_has_one_name() -> None:
    frame = FrameId("ring-top", 17, 4)
    assert desk.parsed(desk.named(frame)) == frame


def test_a_part_without_golden_parts_has_those_that_passed_just_before_beside_it(fresh: Plant) -> None:
    place = Place()
    laid = lay(fresh, place)
    assert laid.frame is not None
    slots = desk_data(replace(laid, frame=replace(laid.frame, golden=None)), place, NOON)["slots"]
    assert isinstance(slots, dict)
    said = read(slots["side"])
    assert "Passed just before" in said
    assert "Closest good parts" not in said


def test_every_key_is_printed_on_its_button(fresh: Plant) -> None:
    place = Place()
    data = desk_data(lay(fresh, place), place, NOON)
    slots = data["slots"]
    assert isinstance(slots, dict)
    said = read(slots["side"])
    for shown in ("G Good false reject", "U Unsure", "1 Contamination defect", "4 Missing feature", "B Bad image",
                  "Z Undo nothing to undo", "Q critical W major E minor",
                  "Closest good parts, at the same place X larger"):  # fmt: skip
        assert shown in said
    assert read(slots["filters"]).startswith("All ")
    prefetch = data["prefetch"]
    assert isinstance(prefetch, list)
    assert len(prefetch) == 5


def test_an_empty_queue_says_what_will_come(fresh: Plant) -> None:
    place = Place(asked=Asked(("REVIEW",), "nobody"))
    data = desk_data(lay(fresh, place), place, NOON)
    slots = data["slots"]
    assert isinstance(slots, dict)
    assert data["item"] is None
    assert words.REVIEW_EMPTY in read(slots["empty"])


def test_parts_that_others_hold_are_not_called_none(fresh: Plant) -> None:
    others = lay(fresh, Place(), "Ben")
    with fresh.database.writing() as connection:
        for frame in others.queue:
            assert reviews.claim(connection, frame.id, reviewer="Ben", now=NOON)
    place = Place()
    slots = desk_data(lay(fresh, place), place, NOON)["slots"]
    assert isinstance(slots, dict)
    assert words.ALL_TAKEN in read(slots["empty"])


def test_a_database_that_is_away_is_told_calmly() -> None:
    slots = trouble_data(StoreUnavailable("locked"), Place())["slots"]
    assert isinstance(slots, dict)
    assert words.BUSY in read(slots["empty"])
