"""`flawline books`, `alerts` and `dead-letters` as a person types them, on a small real line's data."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli import parts
from cli.accounts import moment
from cli.alerts import changes
from core.alarms import Cause, Kind, Severity
from core.database import Database
from core.dead_letters import read
from core.errors import NotAllowed, SettingsInvalid
from core.line import Camera, line_of
from core.messages import FRAMES, CameraReported, FrameCaptured
from core.records import alerts, minutes, sessions
from core.records.inspections import record
from core.settings import Settings
from core.stop import Stop
from core.times import MINUTE_NS, ns_of
from core.verdicts import MachineVerdict
from tests.cli.conftest import Run
from tests.core.records.rows import inspected

NOW = datetime.now(UTC)
START = ns_of(NOW) - 10 * MINUTE_NS
LINE = line_of([Camera(name="top", product="ring", source="folder:/a", deadline_ms=2000)])


@pytest.fixture
def books(data: Path) -> Iterator[Database]:
    """An empty line of one camera."""
    settings = Settings(data=data)
    parts.prepare(settings, LINE)
    with parts.database(settings) as database:
        yield database


def judged(seq: int, verdict: MachineVerdict = MachineVerdict.PASS) -> Any:
    at = START + seq * 10**9
    frame = FrameCaptured(station="s", camera="top", session=START, seq=seq, captured_at=at, product="ring")
    return inspected(0, verdict, frame)


def fill(database: Database, *seqs: int, triggered: int) -> None:
    """Frames from ten minutes ago, one a second, in two minutes at most."""
    told: dict[int, int] = {}
    for seq in range(triggered):
        at = START + seq * 10**9
        told[at - at % MINUTE_NS] = told.get(at - at % MINUTE_NS, 0) + 1
    report = CameraReported(
        camera="top", station="s", product="ring", session=START, state="ENDED", detail="", triggered=triggered,
        captured=triggered, reconnects=0, reported_at=START + 10**9,
        minutes=[[m, n, n] for m, n in told.items()])  # fmt: skip
    with database.writing() as connection:
        record(connection, [judged(seq) for seq in seqs])
        sessions.report(connection, report)
        minutes.count(connection, [report])


def values(flawline: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    found, printed = flawline(*arguments, "--json", "-")
    assert found == code, printed
    read_back: dict[str, Any] = json.loads(printed[printed.index("{") :])
    return read_back


def test_books_that_balance_say_so_by_session_and_by_camera(books: Database, flawline: Run) -> None:
    fill(books, *range(5), triggered=5)
    code, printed = flawline("books")
    assert code == 0
    assert "the books balance: 5 frames judged, 0 lost, 0 counted twice" in " ".join(printed.split())
    found = values(flawline, "books")
    (camera,) = found["cameras"]
    assert (camera["camera"], camera["triggered"], camera["verdicts"]["PASS"], camera["residual"]) == ("top", 5, 5, 0)
    assert (camera["unrouted"], camera["routes"], found["residual"]) == (None, {}, 0)
    assert "minutes" not in found


def test_a_trigger_without_a_picture_that_has_its_verdict_is_not_lost(books: Database, flawline: Run) -> None:
    minute = START - START % MINUTE_NS
    report = CameraReported(
        camera="top", station="s", product="ring", session=START, state="ENDED", detail="", triggered=3, captured=1,
        reconnects=0, reported_at=START + 10**9, minutes=[[minute, 3, 1]])  # fmt: skip
    frame = FrameCaptured(station="s", camera="top", session=START, seq=0, captured_at=START, product="ring")
    with books.writing() as connection:
        for seq, verdict in enumerate([MachineVerdict.NO_VERDICT, MachineVerdict.NO_VERDICT, MachineVerdict.PASS]):
            record(connection, [inspected(0, verdict, replace(frame, seq=seq))])
        sessions.report(connection, report)
        minutes.count(connection, [report])
    found = values(flawline, "books", "--minutes")
    for counts in (found["cameras"][0], found["sessions"][0], found["minutes"][0]):
        assert (counts["triggered"], counts["captured"], counts["verdicts"]["NO_VERDICT"]) == (3, 1, 2)
    assert (found["expected"], found["rows"], found["lost"], found["residual"]) == (3, 3, 0, 0)
    _, printed = flawline("books")
    assert "the books balance: 3 frames judged, 0 lost" in " ".join(printed.split())


def test_a_residual_is_exit_code_1_with_the_numbers_that_are_missing(books: Database, flawline: Run) -> None:
    fill(books, 0, 1, 3, triggered=6)
    code, printed = flawline("books")
    assert code == 1
    assert "missing: 2" in printed
    assert "the books do not balance: 3 lost" in " ".join(printed.split())
    found = values(flawline, "books", code=1)
    assert (found["residual"], found["lost"], found["sessions"][0]["gaps"]) == (3, 3, [[2, 2]])


def test_minute_by_minute(books: Database, flawline: Run) -> None:
    fill(books, *range(70), triggered=71)
    found = values(flawline, "books", "--minutes", "--since", "1h", code=1)
    assert sum(one["triggered"] for one in found["minutes"]) == 71
    assert [one["residual"] for one in found["minutes"]][-1] == 1
    code, printed = flawline("books", "--minutes", "--since", "1h")
    assert (code, f"{datetime.fromisoformat(found['minutes'][0]['minute']):%Y-%m-%d %H:%M}" in printed) == (1, True)


def test_another_camera_and_another_time_have_books_of_their_own(books: Database, flawline: Run) -> None:
    fill(books, 0, triggered=4)
    assert values(flawline, "books", "--camera", "side")["sessions"] == []
    assert values(flawline, "books", "--since", "1m")["expected"] == 0


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "wanted"), [
    ("90s", NOON - timedelta(seconds=90)), ("30m", NOON - timedelta(minutes=30)), ("1.5h", NOON - timedelta(hours=1.5)),
    ("2d", NOON - timedelta(days=2)), ("2026-11-24T06:00", NOON - timedelta(hours=6)),
    ("2026-11-24T06:00+02:00", NOON - timedelta(hours=8)), ("2026-11-24", NOON - timedelta(hours=12)),
])  # fmt: skip
def test_times_are_read_as_people_write_them(text: str, wanted: datetime) -> None:
    assert moment(text, NOON) == wanted


@pytest.mark.parametrize("text", ["2 weeks", "h", "-1h", "yesterday", "²h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="is no time; write 2h"):
        moment(text, NOON)


# alerts


def look(database: Database, *causes: Cause, at: datetime = NOW) -> None:
    with database.writing() as connection:
        alerts.keep(connection, causes, looked_at=frozenset(Kind), now=at)
        alerts.mark(connection, alerts.WATCH, now=at)


LOST = Cause(kind=Kind.CAMERA_LOST, subject="top", what="top is lost [x]", why="No report.", do="Check the cable.")
LATE = Cause(kind=Kind.LATE_VERDICT, subject="top", what="late", why="Slow.", do="Wait.")


def test_alerts_are_listed_loudest_first_with_what_to_do(books: Database, flawline: Run) -> None:
    look(books, LATE, LOST, at=datetime.now(UTC))
    code, printed = flawline("alerts", "list")
    assert (code, printed.index("top is lost [x]") < printed.index("late")) == (0, True)
    assert "Check the cable." in printed
    assert "nobody watches" not in printed
    found = values(flawline, "alerts", "list")
    assert [one["kind"] for one in found["alerts"]] == ["CAMERA_LOST", "LATE_VERDICT"]
    assert found["looked_at"] is not None


def test_without_a_watch_the_list_says_that_nobody_looks(books: Database, flawline: Run) -> None:
    assert "nobody watches yet" in flawline("alerts", "list")[1]
    look(books, at=NOW - timedelta(minutes=5))
    assert "nobody watches since" in flawline("alerts", "list")[1]
    look(books, at=datetime.now(UTC))
    assert flawline("alerts", "list")[1] == "nothing needs a person\n"


def test_an_alert_is_acknowledged_once_by_name(books: Database, flawline: Run) -> None:
    look(books, LOST)
    number = values(flawline, "alerts", "list")["alerts"][0]["id"]
    code, printed = flawline("alerts", "ack", number, "--who", "anna", "--note", "cable ordered")
    assert (code, printed) == (0, f"alert {number} is acknowledged by anna: top is lost [x]\n")
    with pytest.raises(NotAllowed, match="acknowledged by anna before"):
        flawline("alerts", "ack", number)
    with pytest.raises(NotAllowed, match="no alert 99"):
        flawline("alerts", "ack", 99)


def test_closed_alerts_are_listed_on_request(books: Database, flawline: Run) -> None:
    look(books, LOST, at=NOW - timedelta(minutes=3))
    look(books)
    assert values(flawline, "alerts", "list")["alerts"] == []
    (one,) = values(flawline, "alerts", "list", "--since", "1h")["alerts"]
    assert one["closed_at"] is not None
    assert values(flawline, "alerts", "list", "--since", "0s")["alerts"] == []


def test_what_changes_is_followed(books: Database) -> None:
    stop = Stop()
    steps: list[Callable[[], None]] = [
        lambda: look(books, LOST),
        lambda: look(books, LOST, LATE, at=NOW + timedelta(seconds=1)),
        lambda: _acknowledge(books),
        lambda: look(books, LOST, Cause(**_fields(LATE), severity=Severity.RED), at=NOW + timedelta(seconds=2)),
        lambda: look(books, at=NOW + timedelta(minutes=5)),
    ]
    steps[0]()
    seen: list[tuple[str, str]] = []
    done = 1
    for change, alert in changes(books, stop, every=0.0):
        seen.append((change, alert.kind))
        if done < len(steps):
            if len(seen) in {1, 2, 3, 4}:
                steps[done]()
                done += 1
        elif len(seen) == 6:
            break
    assert seen == [
        ("raised", "CAMERA_LOST"), ("raised", "LATE_VERDICT"), ("acknowledged", "LATE_VERDICT"),
        ("louder", "LATE_VERDICT"), ("closed", "CAMERA_LOST"), ("closed", "LATE_VERDICT"),
    ]  # fmt: skip


def _fields(cause: Cause) -> dict[str, Any]:
    return {"kind": cause.kind, "subject": cause.subject, "what": cause.what, "why": cause.why, "do": cause.do}


def _acknowledge(database: Database) -> None:
    with database.reading() as connection:
        number = next(alert.id for alert in alerts.standing(connection) if alert.kind == Kind.LATE_VERDICT)
    with database.writing() as connection:
        alerts.acknowledge(connection, number, who="ann", note="", now=NOW)


# dead letters


def bury(data: Path, *values: bytes) -> None:
    """Dead letters as the runtime writes them."""
    about = {"topic": "frames", "partition": 1, "offset": 7, "stored_at": START, "detail": "not a picture [b]"}
    with parts.broker(Settings(data=data)) as broker, broker.producer() as producer:
        for seq, value in enumerate(values):
            frame = judged(seq).frame
            headers = (*frame.headers(), *((f"dead.{name}", str(text).encode()) for name, text in about.items()))
            producer.send("frames.dlq", value, partition=0, key="top", headers=headers)
        producer.flush()


def frames(data: Path) -> list[bytes]:
    with parts.broker(Settings(data=data)) as broker, broker.consumer(FRAMES, group="onlooker") as consumer:
        return [message.value for message in consumer.poll(0.5)]


@pytest.mark.usefixtures("books")
def test_dead_letters_are_listed_shown_and_saved(data: Path, flawline: Run, tmp_path: Path) -> None:
    assert flawline("dead-letters", "list")[1] == "no dead letters\n"
    bury(data, b"one", b"two two")
    printed = " ".join(flawline("dead-letters", "list", "--topic", "frames")[1].split())
    assert f"frames.dlq/0/0 top-{START}-0 3 bytes given up" in printed
    assert "not a picture [b]" in printed
    first, second = values(flawline, "dead-letters", "list")["letters"]
    assert (first["size"], second["size"], first["origin"], first["verdict"]) == (3, 7, "frames/1/7", None)
    saved = tmp_path / "deep" / "part.jpg"
    shown = values(flawline, "dead-letters", "show", second["place"], "--save", saved)
    assert (saved.read_bytes(), shown["headers"]["camera"], shown["why"]) == (b"two two", "top", "not a picture [b]")
    assert "product      ring" in flawline("dead-letters", "show", second["place"])[1]


@pytest.mark.usefixtures("books")
def test_a_dry_run_of_a_replay_changes_nothing_and_a_replay_puts_back_what_was_named(data: Path, flawline: Run) -> None:
    bury(data, b"one", b"two", b"three")
    dry = flawline("dead-letters", "replay", "frames.dlq/0/1", "--dry-run")[1]
    assert (dry, frames(data)) == ("frames.dlq/0/1 would go back to frames/1\n", [])
    found = values(flawline, "dead-letters", "replay", "frames.dlq/0/1")
    assert found == {"dry_run": False, "replayed": [{"place": "frames.dlq/0/1", "to": "frames/1"}]}
    assert frames(data) == [b"two"]


@pytest.mark.usefixtures("books")
def test_all_means_those_that_were_not_replayed_yet(data: Path, flawline: Run) -> None:
    bury(data, b"one", b"two")
    with parts.broker(Settings(data=data)) as broker:
        (first, _) = read(broker, FRAMES)
        with broker.producer() as producer:  # given up again
            headers = (
                *first.headers,
                ("replayed", b"frames.dlq/0/0"),
                ("dead.topic", b"frames"),
                ("dead.partition", b"0"),
            )
            producer.send("frames.dlq", first.value, partition=0, headers=headers)
            producer.flush()
    assert "replayed, and given up again" in flawline("dead-letters", "list")[1]
    found = values(flawline, "dead-letters", "replay", "--all")
    assert [one["place"] for one in found["replayed"]] == ["frames.dlq/0/1", "frames.dlq/0/2"]
    assert flawline("dead-letters", "replay", "--all", "--topic", "routes")[1] == "nothing to replay\n"


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(("words", "refusal"), [
    (["replay"], "name the places"), (["replay", "frames.dlq/0/1", "--all"], "name the places"),
    (["replay", "frames.dlq/0/9"], "no dead letter frames.dlq/0/9"), (["show", "frames.dlq/0/9"], "no dead letter"),
    (["show", "verdicts/0/9"], "dead letters stand in frames.dlq"), (["list", "--topic", "x"], "has no dead letters"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(flawline: Run, words: list[str], refusal: str) -> None:
    with pytest.raises((NotAllowed, SettingsInvalid), match=refusal):
        flawline("dead-letters", *words)
