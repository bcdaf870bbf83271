"""`flawline spool` as a person types it."""

import json
import time
from pathlib import Path

import pytest

from cli import parts
from cli.capturing import seats, spool_path
from core.broker.local import LocalBroker
from core.broker.protocol import Topic
from core.broker.spool_file import Record, Spool
from core.errors import SettingsInvalid
from core.messages import CAMERAS, FRAMES
from core.settings import Settings, read_settings
from ingest.seat import CameraSeat
from tests.cli.conftest import Run


@pytest.fixture
def settings(data: Path) -> Settings:
    data.mkdir()
    settings = read_settings()
    with parts.broker(settings) as broker:
        broker.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
    return settings


def fill(settings: Settings, camera: str, *, records: int, topic: str = FRAMES) -> None:
    an_hour_ago = time.time_ns() - 3600 * 10**9
    with Spool(spool_path(settings, camera), most_bytes=1 << 30, clock=lambda: an_hour_ago) as spool:
        spool.append([Record(topic, 3, camera, b"%d" % n + bytes(1000), ()) for n in range(records)])


def arrived(settings: Settings) -> list[int]:
    with LocalBroker(settings.broker_path) as broker, broker.consumer(FRAMES, group="test") as consumer:
        return [int(message.value.split(b"\0")[0]) for message in consumer.poll(1.0, most=10_000)]


def test_list_tells_what_waits_by_camera(flawline: Run, settings: Settings) -> None:
    assert "no spools" in flawline("spool", "list")[1]
    fill(settings, "ring-top", records=3)
    fill(settings, "board", records=0)
    with CameraSeat(seats(settings), "ring-top"):
        code, said = flawline("spool", "list")
        told = json.loads(flawline("spool", "list", "--json", "-")[1])
    assert code == 0
    assert "ring-top" in said
    assert "capturing" in said
    board, ring = told["spools"]
    assert (board["camera"], board["records"], board["oldest_seconds"], board["capturing"]) == ("board", 0, 0.0, False)
    assert (ring["camera"], ring["records"], ring["capturing"]) == ("ring-top", 3, True)
    assert 3600 <= ring["oldest_seconds"] < 3700
    assert 3000 < ring["bytes"] < 4000
    assert told["room_bytes"] == 4 << 30


def test_drain_forwards_all_in_order(flawline: Run, settings: Settings) -> None:
    fill(settings, "gone", records=700)
    code, said = flawline("spool", "drain")
    assert code == 0
    assert "700 records forwarded, 0 left" in said
    assert arrived(settings) == list(range(700))
    assert json.loads(flawline("spool", "drain", "gone", "--json", "-")[1])["spools"] == [
        {"camera": "gone", "forwarded": 0, "left": 0, "problem": ""}
    ]


def test_the_spool_of_a_camera_that_runs_is_left_to_it(flawline: Run, settings: Settings) -> None:
    fill(settings, "ring-top", records=2)
    with CameraSeat(seats(settings), "ring-top"):
        code, said = flawline("spool", "drain", "ring-top")
    assert code == 3
    assert "0 records forwarded, 2 left" in said


def test_what_the_broker_has_no_topic_for_stays(flawline: Run, settings: Settings) -> None:
    fill(settings, "old", records=2, topic="frames.v1")
    code, said = flawline("spool", "drain", "--json", "-")
    assert code == 3
    (old,) = json.loads(said)["spools"]
    assert (old["forwarded"], old["left"]) == (0, 2)
    assert "frames.v1" in old["problem"]


def test_a_camera_without_a_spool_is_no_camera_of_ours(flawline: Run, settings: Settings) -> None:
    fill(settings, "ring-top", records=1)
    with pytest.raises(SettingsInvalid, match=r"no spool of ring-tpo.*there are ring-top"):
        flawline("spool", "drain", "ring-tpo")


def test_an_unreachable_broker_loses_nothing(
    flawline: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(settings, "ring-top", records=5)
    monkeypatch.setenv("FLAWLINE_BROKER__URL", "kafka://127.0.0.1:9")
    monkeypatch.setenv("FLAWLINE_BROKER__SEND_SECONDS", "0.5")
    code, said = flawline("spool", "drain", "--json", "-")
    assert code == 3
    (ring,) = json.loads(said)["spools"]
    assert (ring["forwarded"], ring["left"]) == (0, 5)
    assert "127.0.0.1:9" in ring["problem"]
