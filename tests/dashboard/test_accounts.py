"""Alerts and part accounting on the Line page: rules, drawings, and what the books give."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from core.alarms import Cause, Kind, Severity
from core.records import alerts as records
from core.records.books import Books, Gap, SessionBook
from core.records.minutes import MINUTE, CameraBook, MinuteBook, by_camera
from core.tables import inspections, rollup_minute
from core.times import ns_of
from core.verdicts import MachineVerdict
from dashboard import alerts, words
from dashboard.accounts import Accounts
from dashboard.drawing import lists
from dashboard.drawing.books import held_books
from dashboard.drawing.counters import Account
from dashboard.live import Live
from dashboard.markup import Html
from dashboard.queries import accounts
from dashboard.queries.waiting import Waiting
from dashboard.stores import Stores
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant, lost

NOTHING = dict.fromkeys(MachineVerdict, 0)
PASS = MachineVerdict.PASS
EVIL = "<img src=x onerror=alert(1)>"


def read(html: Html | str) -> str:
    """The text of a drawing."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# alerts


def an_alert(kind: Kind = Kind.CAMERA_LOST, subject: str = "top", **more: object) -> records.Alert:
    values: dict[str, object] = {
        "id": 1, "kind": str(kind), "subject": subject, "severity": "red", "owner": "technician",
        "what": f"{subject} is lost", "why": "No answer.", "action": "Check the cable.", "detail": {},
        "raised_at": NOON, "seen_at": NOON, "closed_at": None, "acknowledged_at": None, "acknowledged_by": None,
        "note": "",
    }  # fmt: skip
    return records.Alert(**values | more)  # type: ignore[arg-type]  # what Alert takes


def test_an_alert_says_what_happened_what_it_means_what_to_do_and_then_its_code() -> None:
    (told,) = alerts.standing([an_alert()], NOON + timedelta(seconds=41))
    assert told == lists.Alert(
        "system", "top is lost", "No answer. Check the cable.", 41, "CAMERA_LOST · technician", (1,)
    )  # fmt: skip
    assert read(lists.attention([told])) == (
        "Needs attention top is lost No answer. Check the cable. CAMERA_LOST · technician Acknowledge 0:41"
    )


@pytest.mark.parametrize(("severity", "tone"), [("red", "system"), ("amber", "review"), ("white", "due")])
def test_severities_differ_in_shape_and_colour(severity: str, tone: str) -> None:
    (told,) = alerts.standing([an_alert(severity=severity)], NOON)
    assert told.tone == tone
    assert f'class="mark {tone}"' in lists.attention([told])


@pytest.mark.parametrize(("note", "seen"), [("", "seen by anna"), ("cable ordered", "seen by anna: cable ordered")])
def test_an_acknowledged_alert_names_who_has_seen_it_and_cannot_be_acknowledged_again(note: str, seen: str) -> None:
    (told,) = alerts.standing([an_alert(acknowledged_by="anna", acknowledged_at=NOON, note=note)], NOON)
    assert told.code == f"CAMERA_LOST · technician · {seen}"
    assert words.ACKNOWLEDGE not in lists.attention([told])


def test_of_many_alike_those_that_nobody_has_seen_are_acknowledged_together() -> None:
    seen = {"acknowledged_at": NOON, "acknowledged_by": "anna"}
    found = [
        an_alert(Kind.CAMERA_LOST, name, id=n, **(seen if n == 2 else {})) for n, name in enumerate("abc", start=1)
    ]
    (told,) = alerts.standing(found, NOON)
    assert (told.code, told.numbers) == ("CAMERA_LOST · technician · seen by anna", (1, 3))
    assert 'data-acknowledge="1,3"' in lists.attention([told])


def test_what_is_no_alert_of_the_books_cannot_be_acknowledged() -> None:
    others = [*alerts.watch_alert(None, NOON), *alerts.review_alert(Waiting({"FAIL": 1}, {}, NOON), NOON)]
    assert len(others) == 2
    assert words.ACKNOWLEDGE not in lists.attention(others)


def test_many_of_one_kind_are_told_as_one_with_all_names() -> None:
    found = [an_alert(subject=name, raised_at=NOON - timedelta(seconds=n)) for n, name in enumerate("abc")]
    (told,) = alerts.standing(found, NOON)
    assert (told.what, told.seconds) == ("a is lost, and more alike: 3 in all (a, b, c)", 2)
    assert len(alerts.standing(found[:2], NOON)) == 2


def test_when_nobody_watches_that_is_the_first_thing_to_know() -> None:
    assert alerts.watch_alert(NOON - timedelta(seconds=30), NOON) == []
    (old,) = alerts.watch_alert(NOON - timedelta(seconds=31), NOON)
    (never,) = alerts.watch_alert(None, NOON)
    assert (old.what, old.seconds, never.seconds) == (words.NOBODY_WATCHES, 31, None)


def test_what_does_not_fit_is_counted_and_never_hidden() -> None:
    many = [lists.Alert("system", str(n), "") for n in range(6)]
    assert [alert.what for alert in alerts.loudest(many[:2], many[2:])] == ["0", "1", "2", "3 more"]
    assert alerts.loudest(many[:4]) == many[:4]


def test_parts_that_wait_for_a_person_are_no_alarm_and_stand_last() -> None:
    waiting = Waiting({"FAIL": 1}, {}, NOON - timedelta(seconds=30))
    assert alerts.review_alert(waiting, NOON)[0].what == words.ONE_WAITS
    assert read(lists.attention([])) == f"{words.ATTENTION} {words.ALL_QUIET}"


# accounts


def a_minute(triggered: int | None, n: int, at: int = 0, **more: object) -> MinuteBook:
    verdicts = NOTHING | {PASS: n}
    told: dict[str, Any] = {"triggered": triggered, "captured": triggered} | more
    return MinuteBook(camera="top", minute=NOON - timedelta(minutes=30 - at), n=n, verdicts=verdicts, **told)


def a_session(*gaps: Gap, rows: int = 10) -> SessionBook:
    missing = sum(gap.frames for gap in gaps)
    return SessionBook(
        camera="top", session=ns_of(NOON), state="RUNNING", triggered=rows + missing, captured=rows + missing,
        reported_at=NOON, verdicts=NOTHING | {PASS: rows}, newest_seq=rows + missing - 1, gaps=gaps,
        settled=False)  # fmt: skip


def seen(*minutes: MinuteBook, sessions: tuple[SessionBook, ...] = (), duplicates: int = 0) -> Accounts:
    cameras: list[CameraBook] = by_camera(minutes, now=NOON, deadlines={})
    return Accounts.of(cameras, Books(sessions=sessions, rejected=0, counted=duplicates, rows=0))


def test_a_balanced_line_has_nothing_unaccounted_for() -> None:
    found = seen(a_minute(5, 5), sessions=(a_session(),))
    assert found.account(["top"]) == Account(triggered=5, captured=5, judged=5, unaccounted=0, missing=0, duplicates=0)
    assert words.ALL_ACCOUNTED in read(held_books(found, ["top"], "", NOON))
    assert words.ALL_ACCOUNTED not in read(held_books(found, ["top", "unknown"], "", NOON))


def test_what_is_unknown_is_no_zero() -> None:
    empty = seen()
    assert (empty.unaccounted("top"), empty.gaps("top")) == (None, None)
    assert empty.account(["top"]) == Account(duplicates=0)
    assert seen(a_minute(None, 5)).account(["top"]).captured is None


@pytest.mark.parametrize(("minute", "session", "residual"), [
    (a_minute(7, 5), a_session(), 2), (a_minute(5, 5), a_session(Gap(3, 5)), 3),
    (a_minute(7, 5), a_session(Gap(3, 4)), 2),
])  # fmt: skip
def test_the_residual_of_a_camera_is_what_minutes_or_numbers_lack(
    minute: MinuteBook, session: SessionBook, residual: int
) -> None:
    found = seen(minute, sessions=(session,)).account(["top"])
    assert (found.unaccounted, found.by_camera) == (residual, (("top", residual),))


def test_parts_of_a_minute_that_is_not_settled_are_under_way() -> None:
    fresh = replace(a_minute(7, 5), minute=NOON - MINUTE)
    found = seen(fresh).account(["top"])
    assert (found.unaccounted, found.under_way) == (0, 2)


def test_the_held_books_name_minutes_and_numbers() -> None:
    found = seen(a_minute(7, 5, captured=6), a_minute(3, 3, 1), sessions=(a_session(Gap(3, 3), Gap(8, 1200)),))
    said = read(held_books(found, ["top", "side"], words.PARTS_SHIFT, NOON))
    local = (NOON - timedelta(minutes=30)).astimezone().strftime("%H:%M")
    assert f"{local}: 2 of 7 parts have no verdict; 1 never had a picture" in said
    assert "missing numbers of the session since" in said
    assert "3, 8–1 200" in said
    assert "side – – – – – – – – – –" in said
    assert "Accepted" not in said


def test_the_held_books_show_routes_where_there_is_a_gate() -> None:
    routed = a_minute(5, 5, routes={"ACCEPTED": 2, "ACCEPTED_BYPASS": 1, "REJECTED_FAILSAFE": 1})
    found = seen(a_minute(0, 0, -1), routed)
    said = read(held_books(found, ["top"], words.PARTS_SHIFT, NOON))
    assert "top 5 5 5 0 0 0 0 0 3 1 0 0 0 1" in said
    assert "1 parts went where no gate tells" in said


def test_nothing_breaks_out_of_the_held_books() -> None:
    book = seen(replace(a_minute(7, 5), camera=EVIL))
    assert "<img" not in held_books(book, [EVIL], EVIL, NOON)


# from the books


@pytest.fixture
def page(fresh: Plant) -> tuple[Plant, Live]:
    return fresh, Live(Stores(fresh.settings), clock=lambda: NOON)


def test_the_line_page_shows_the_open_alerts_of_the_books(page: tuple[Plant, Live]) -> None:
    line, live = page
    line.watch(lost("ring-top"), Cause(
        kind=Kind.LATE_VERDICT, subject="board-side", severity=Severity.AMBER, what="late", why="Slow.",
        do="Wait."), at=NOON)  # fmt: skip
    said = read(live.page().slots["attention"])
    assert said.index("ring-top is lost") < said.index("late Slow. Wait.") < said.index("wait for review")
    assert words.NOBODY_WATCHES not in said


def test_without_a_watch_the_line_page_says_so(fresh: Plant) -> None:
    later = Live(Stores(fresh.settings), clock=lambda: NOON + timedelta(minutes=2))
    assert words.NOBODY_WATCHES in read(later.page().slots["attention"])


def test_a_lost_row_shows_on_card_tile_and_in_the_held_books(page: tuple[Plant, Live]) -> None:
    line, live = page
    with line.database.writing() as connection:
        connection.execute(delete(inspections).where(inspections.c.camera == "ring-top", inspections.c.seq.in_([7, 8])))
    slots = live.page().slots
    assert "Books 2 ring-top 2" in read(slots["counters"])
    assert "residual 2" in read(slots["tile:ring-top"])
    assert "residual 0" in read(slots["tile:board-side"])
    said = read(live.books(camera="ring-top"))
    assert "7–8" in said
    assert "board-side" not in said


def test_accounts_of_the_period_come_from_the_counters(fresh: Plant) -> None:
    with fresh.database.writing() as connection:
        connection.execute(delete(rollup_minute).where(rollup_minute.c.camera == "ring-top"))
        found = accounts.since(connection, NOON - timedelta(hours=3), NOON + timedelta(minutes=5), {})
    assert (found.cameras["ring-top"].residual, found.cameras["board-side"].residual) == (40, 0)
