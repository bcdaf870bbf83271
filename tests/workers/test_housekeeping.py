from datetime import UTC, datetime, timedelta

import pytest

from core.blobs import Kind, frame_key
from core.errors import StoreUnavailable
from core.messages import FrameId
from core.settings import BlobSettings
from core.stop import Stop
from core.times import ns_of
from tests.workers.bench import Bench
from workers.housekeeping import Housekeeper, lives

NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def put(bench: Bench, kind: Kind, age: timedelta) -> str:
    key = frame_key(kind, FrameId("top", 1, 1), ns_of(NOON - age), "jpg")
    bench.blobs.put(key, b"x")
    return key


def housekeeper(bench: Bench) -> Housekeeper:
    return Housekeeper(bench.broker, bench.blobs, lives(BlobSettings()), now=lambda: NOON)


@pytest.mark.parametrize(
    ("kind", "kept", "dropped"),
    [
        (Kind.RING, timedelta(hours=3), timedelta(hours=6)), (Kind.SAMPLE, timedelta(days=13), timedelta(days=15)),
        (Kind.THUMB, timedelta(days=89), timedelta(days=91)), (Kind.FRAME, timedelta(days=364), timedelta(days=366)),
        (Kind.HEAT, timedelta(days=364), timedelta(days=366)),
    ],
)  # fmt: skip
def test_each_kind_of_picture_has_its_life(bench: Bench, kind: Kind, kept: timedelta, dropped: timedelta) -> None:
    young, old = put(bench, kind, kept), put(bench, kind, dropped)
    assert housekeeper(bench).step() == 1
    assert bench.blobs.exists(young)
    assert not bench.blobs.exists(old)


def test_models_and_labelled_pictures_are_kept_for_ever(bench: Bench) -> None:
    keys = [put(bench, kind, timedelta(days=4000)) for kind in (Kind.MODEL, Kind.DATASET)]
    housekeeper(bench).step()
    assert all(bench.blobs.exists(key) for key in keys)


class Away:
    """A log that does not answer."""

    def retain(self) -> int:
        raise StoreUnavailable("the log is locked")


def test_a_log_that_is_away_does_not_keep_the_pictures_from_their_turn(bench: Bench) -> None:
    old = put(bench, Kind.RING, timedelta(hours=6))
    Housekeeper(Away(), bench.blobs, lives(BlobSettings()), now=lambda: NOON).step()  # type: ignore[arg-type]
    assert not bench.blobs.exists(old)


def test_it_stops_when_asked(bench: Bench) -> None:
    stop = Stop()
    stop.asked = True
    housekeeper(bench).run(stop)
