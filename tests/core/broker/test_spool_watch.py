"""A spool is never silent: what is said, how often, and what stands in the camera's report."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.spool_file import Record, Spool
from core.broker.spool_watch import SpoolWatch
from core.metrics import Metrics

MOST = 1 << 20


class Hands:
    """Both clocks, moved by hand, and a spool under watch."""

    def __init__(self, path: Path) -> None:
        self.now = 1000.0
        self.spool = Spool(path, most_bytes=MOST, clock=self.wall)
        self.watch = SpoolWatch(self.spool, Metrics(), wall=self.wall, clock=lambda: self.now)

    def wall(self) -> int:
        return int(self.now * 1e9)

    def store(self, count: int) -> None:
        self.spool.append([Record("frames", 0, "", bytes(50_000), ()) for _ in range(count)])


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    hands = Hands(tmp_path / "top.sqlite")
    yield hands
    hands.spool.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [r.getMessage().split(": ")[1] for r in caplog.records if r.levelno == logging.ERROR]
    caplog.clear()
    return lines


def test_while_all_is_well_nothing_is_said(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        hands.watch.look()
        hands.now += 100
    assert not caplog.records
    assert (hands.watch.report().alarm, hands.watch.report().size, hands.watch.report().oldest_ms) == ("", 0, 0)


def test_a_broker_that_is_away_is_said_at_once_and_every_minute(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    hands.watch.trouble("no broker answers at kafka://b:9092")
    hands.store(2)
    for _ in range(59):
        hands.watch.look()
        hands.now += 1
    assert "no broker answers at kafka://b:9092; 2 records, 0.1 MB, wait" in caplog.text
    assert said(caplog) == ["the broker is away"]
    hands.now += 2
    hands.watch.look()
    assert "the oldest for 61 s" in caplog.text
    assert said(caplog) == ["the broker is away"]
    assert hands.watch.report().oldest_ms == 61_000
    assert hands.watch.report().alarm == ""  # what waits is in the figures; room is what runs out


def test_what_gets_worse_is_said_at_once(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    hands.watch.trouble("away")
    hands.watch.look()
    hands.store(17)
    hands.watch.look()
    assert hands.watch.report().alarm.startswith("SPOOL_80: the spool holds 85")
    hands.watch.refused("no room", diverting=True)
    hands.watch.look()
    assert hands.watch.report().alarm == "SPOOL_FULL: no room; parts go on record without their pictures"
    assert said(caplog) == ["the broker is away", "SPOOL_80", "SPOOL_FULL"]


def test_a_spool_at_its_brim_does_not_fill_the_log(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    hands.store(18)
    for _ in range(500):  # a broker that takes less than the camera gives: full, room, full, …
        hands.watch.refused("no room", diverting=False)
        hands.watch.look()
        hands.watch.trouble("")
        hands.watch.look()
        hands.now += 0.1
    assert sorted(said(caplog)) == ["SPOOL_80", "SPOOL_FULL"]


def test_the_end_of_the_trouble_is_said_once(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hands.watch.trouble("away")
    hands.watch.look()
    for _ in range(3):
        hands.watch.trouble("")
        hands.watch.look()
    assert [r.getMessage() for r in caplog.records][1:] == ["top: the broker takes records again"]
    hands.watch.trouble("away")
    hands.watch.look()
    assert len(said(caplog)) == 2


def test_a_picture_that_fits_again_ends_the_alarm(hands: Hands) -> None:
    hands.watch.refused("no room", diverting=False)
    hands.watch.took(pictures=0)  # a report needs no room to speak of
    assert "no more pictures are taken" in hands.watch.report().alarm
    hands.watch.took(pictures=1)
    assert hands.watch.report().alarm == ""


def test_a_spool_that_cannot_be_read_is_told_as_it_was(hands: Hands, tmp_path: Path) -> None:
    hands.store(1)
    before = hands.watch.report()
    (tmp_path / "top.sqlite").write_bytes(b"no longer a spool" * 10_000)
    assert hands.watch.report().size == before.size
