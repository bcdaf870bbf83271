"""The producer with a spool: whatever the broker does, nothing is lost and a partition keeps its order."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.broker.spool import SpooledProducer, SpoolRules
from core.broker.spool_file import Spool
from core.errors import SpoolFull
from core.messages import CAMERAS, FRAMES, FrameCaptured
from core.metrics import Metrics
from tests.core.broker.conftest import eventually
from tests.core.broker.shaky import TOPICS, ShakyBroker

SIZE = 20_000
QUICK = SpoolRules(send_seconds=0.3, backoff=0.01, backoff_most=0.02, close_seconds=0.3)


@pytest.fixture
def shaky() -> ShakyBroker:
    return ShakyBroker()


class Camera:
    """Sends numbered frames as a capture process does; `restart` is what a kill leaves behind."""

    def __init__(self, path: Path, shaky: ShakyBroker, *, rules: SpoolRules = QUICK, most: int = 1 << 30) -> None:
        self._path, self._shaky, self._rules, self._most = path, shaky, rules, most
        self.sent = 0
        self.open()

    def open(self, metrics: Metrics | None = None) -> None:
        self.spool = Spool(self._path, most_bytes=self._most)
        self.producer = SpooledProducer(self._shaky.producer, self.spool, TOPICS, rules=self._rules, metrics=metrics)

    def close(self) -> None:
        self.producer.close()

    def take(self, count: int = 1, *, partition: int = 0, size: int = SIZE) -> None:
        for _ in range(count):
            frame = FrameCaptured(station="s", camera="top", session=7, seq=self.sent, captured_at=9, product="p")
            self.producer.send(
                FRAMES, bytes(size), partition=partition, key=str(self.sent), headers=(*frame.headers(), ("x", b"1"))
            )
            self.sent += 1
            self.producer.flush()

    def waits(self) -> int:
        return self.producer.report().size

    def drained(self) -> None:
        assert self.producer.settled(20.0)
        assert self.waits() == 0


@pytest.fixture
def start(tmp_path: Path, shaky: ShakyBroker) -> Iterator[Callable[..., Camera]]:
    with ExitStack() as parts:

        def make(**options: object) -> Camera:
            camera = Camera(tmp_path / "top.sqlite", shaky, **options)  # type: ignore[arg-type]
            parts.callback(camera.close)
            return camera

        yield make
        shaky.state, shaky.missing = "fine", ""


Start = Callable[..., Camera]


def all_once(shaky: ShakyBroker, camera: Camera) -> None:
    camera.drained()
    assert shaky.firsts() == list(range(camera.sent))


def test_with_a_broker_that_answers_records_go_straight_and_the_spool_stays_empty(
    start: Start, shaky: ShakyBroker
) -> None:
    camera = start()
    camera.drained()
    camera.take(50)
    assert [int(message.key) for message in shaky.arrived()] == list(range(50))
    assert camera.spool.state().records == 0
    assert camera.producer.report().alarm == ""


@pytest.mark.parametrize("state", ["away", "deaf", "frozen"])
def test_when_the_broker_falls_silent_pictures_go_to_the_spool_and_drain_in_order(
    start: Start, shaky: ShakyBroker, state: str
) -> None:
    camera = start()
    camera.drained()
    camera.take(5)
    shaky.state = state
    began = time.monotonic()
    camera.take(20)
    assert time.monotonic() - began < 15  # the first waits for the broker's word, the others do not
    assert camera.waits() >= 20 * SIZE
    tries = shaky.flushes
    for _ in eventually():
        if shaky.flushes > tries + 2:
            break
    assert camera.spool.state().records >= 20  # none leaves before it is acknowledged
    shaky.state = "fine"
    camera.take(5)
    all_once(shaky, camera)
    camera.take(3)
    all_once(shaky, camera)


def test_a_broker_that_is_away_at_the_start_does_not_keep_a_camera_from_starting(
    start: Start, shaky: ShakyBroker
) -> None:
    shaky.state = "away"
    camera = start(rules=SpoolRules(send_seconds=60, backoff=0.01, close_seconds=0.1))
    began = time.monotonic()
    camera.take(3)
    assert time.monotonic() - began < 30  # at once: no wait for the broker's word
    assert camera.spool.state().records == 3
    shaky.state = "fine"
    all_once(shaky, camera)


def test_a_restart_drains_what_waits_before_anything_new(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start()
    camera.take(10)
    camera.producer.close()
    assert shaky.arrived() == []
    shaky.state = "fine"
    camera.open()
    camera.take(5)
    all_once(shaky, camera)


def test_close_forwards_what_waits_where_the_broker_takes_it(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start(rules=SpoolRules(send_seconds=0.3, backoff=0.01, backoff_most=0.01, close_seconds=30))
    camera.take(10)
    shaky.state = "fine"
    for _ in eventually():
        if shaky.opened:
            break
    camera.producer.close()
    assert shaky.firsts() == list(range(10))


def test_partitions_and_topics_keep_their_own_order(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start()
    for turn in range(12):
        camera.take(partition=turn % 2)
        camera.producer.send(CAMERAS, b"{}", partition=0, key=str(turn))
        camera.producer.flush()
    shaky.state = "fine"
    camera.drained()
    assert shaky.firsts(0) == [0, 2, 4, 6, 8, 10]
    assert shaky.firsts(1) == [1, 3, 5, 7, 9, 11]
    assert [int(message.key) for message in shaky.arrived(0, CAMERAS)] == list(range(12))


def test_a_long_spool_is_forwarded_in_batches(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start(rules=SpoolRules(send_seconds=0.3, backoff=0.01, batch=10, batch_bytes=10 * SIZE, close_seconds=0.1))
    camera.take(100)
    shaky.state = "fine"
    all_once(shaky, camera)
    assert 10 <= shaky.flushes <= 60


def test_an_unknown_topic_or_partition_is_refused_at_once(start: Start) -> None:
    camera = start()
    for topic, partition in ((FRAMES, 4), (FRAMES, -1), ("verdicts", 0)):
        with pytest.raises(ValueError, match="the line has cameras with 1, frames with 4"):
            camera.producer.send(topic, b"", partition=partition)


def test_a_topic_that_the_broker_lacks_is_named_in_the_log_and_its_records_wait(
    start: Start, shaky: ShakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    shaky.missing = FRAMES
    camera = start()
    camera.drained()
    camera.take(3)
    assert any("`flawline topics apply`" in record.getMessage() for record in errors(caplog))
    shaky.missing = ""
    all_once(shaky, camera)


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno == logging.ERROR]


def test_a_full_spool_holds_the_picture_and_says_so(
    start: Start, shaky: ShakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    shaky.state = "away"
    camera = start(most=1 << 20)
    with pytest.raises(SpoolFull):
        camera.take(100)
    report = camera.producer.report()
    assert report.alarm.startswith("SPOOL_FULL: ")
    assert "no more pictures are taken" in report.alarm
    assert report.size > 0.8 * (1 << 20)
    with pytest.raises(SpoolFull):
        camera.producer.flush()  # the same picture again, as the capture loop does
    said = [record.getMessage() for record in errors(caplog)]
    assert [text.split(": ")[1] for text in said] == ["the broker is away", "SPOOL_80", "SPOOL_FULL"]  # each once
    shaky.state = "fine"
    for _ in eventually():
        if camera.waits() == 0:
            break
    camera.producer.flush()
    all_once(shaky, camera)
    assert camera.producer.report().alarm == ""


def test_a_camera_report_still_fits_into_a_full_spool(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start(most=1 << 20)
    camera.take(48)
    camera.producer.send(CAMERAS, bytes(600), partition=0)
    camera.producer.flush()


def test_a_full_spool_can_divert_parts_go_on_record_without_their_pictures(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    rules = SpoolRules(send_seconds=0.3, divert=True, backoff=0.01, close_seconds=0.1)
    camera = start(most=1 << 20, rules=rules)
    camera.take(80)
    report = camera.producer.report()
    assert "SPOOL_FULL" in report.alarm
    assert "without their pictures" in report.alarm
    shaky.state = "fine"
    all_once(shaky, camera)
    kept = [message for message in shaky.arrived() if message.value]
    bare = [message for message in shaky.arrived() if not message.value]
    assert 40 < len(kept) < 60
    assert camera.producer.report().diverted == len(bare) == 80 - len(kept)
    for message in bare:
        frame = FrameCaptured.of(message.headers)
        assert (frame.no_verdict, frame.camera, frame.session) == ("BROKER_DOWN", "top", 7)
        assert "spool full" in frame.gate_detail
        assert ("x", b"1") in message.headers  # a header of a later version
    assert not any(FrameCaptured.of(message.headers).no_verdict for message in kept)


def test_when_even_the_reserve_is_full_a_diverted_part_is_held(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start(most=1 << 20, rules=SpoolRules(send_seconds=0.3, divert=True, backoff=0.01, close_seconds=0.1))
    with pytest.raises(SpoolFull):
        camera.take(1000)
    shaky.state = "fine"
    for _ in eventually():
        if camera.waits() == 0:
            break
    camera.producer.flush()
    all_once(shaky, camera)


class Figures(Metrics):
    def __init__(self) -> None:
        self.told: list[tuple[str, int, float]] = []

    def spooled(self, camera: str, size: int, seconds: float) -> None:
        self.told.append((camera, size, seconds))


def test_the_figures_follow_the_spool(start: Start, shaky: ShakyBroker) -> None:
    camera = start()
    camera.producer.close()
    figures = Figures()
    camera.open(figures)
    camera.drained()
    shaky.state = "away"
    camera.take(3)
    assert figures.told[-1][0] == "top"
    assert figures.told[-1][1] >= 3 * SIZE
    shaky.state = "fine"
    camera.drained()
    assert figures.told[-1] == ("top", 0, 0.0)


def test_what_waits_is_not_settled(start: Start, shaky: ShakyBroker) -> None:
    shaky.state = "away"
    camera = start()
    camera.take()
    assert not camera.producer.settled(0.05)


def test_a_sender_that_breaks_is_no_silence(start: Start, shaky: ShakyBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in the sending thread: the records are in the spool, and the process ends loudly."""
    camera = start()
    camera.drained()

    def defect(_: object) -> None:
        raise ZeroDivisionError

    broken: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    monkeypatch.setattr(shaky, "take", defect)
    with pytest.raises(RuntimeError, match="what waits is in the spool"):
        camera.take()
    assert [problem.exc_type for problem in broken] == [ZeroDivisionError]
    assert camera.spool.state().records == 1
    with pytest.raises(RuntimeError):
        camera.producer.close()


ACTS = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 8)),
    st.tuples(st.sampled_from(["fine", "fine", "away", "deaf", "frozen", "kill", "pause"]), st.just(0)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, max_size=14), st.booleans(), st.booleans())
def test_whatever_happens_nothing_is_lost_and_the_order_holds(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]], narrow: bool, divert: bool
) -> None:
    """Random outages, lost answers, hangs, kills and a spool that fills up, in any order."""
    shaky = ShakyBroker()
    rules = SpoolRules(send_seconds=0.02, divert=divert, backoff=0.001, backoff_most=0.004, batch=4, close_seconds=0.0)
    path = tmp_path_factory.mktemp("spool") / "top.sqlite"
    camera = Camera(path, shaky, rules=rules, most=8 * SIZE if narrow else 1 << 30)
    held = 0  # pictures that the full spool refused: the capture loop holds one, and takes no more
    for act, argument in acts:
        if act == "take":
            try:
                camera.producer.flush()
                held = 0
                for _ in range(argument):
                    held = 1
                    camera.take()
                    held = 0
            except SpoolFull:
                assert narrow
        elif act == "kill":
            kill(camera.producer)
            camera.sent -= held  # what was in hand ends with the process; its number was never safe
            held = 0
            camera.open()
        elif act == "pause":
            time.sleep(0.01)
        else:
            shaky.state = act
    shaky.state = "fine"
    for _ in eventually():
        try:
            camera.producer.flush()
        except SpoolFull:
            continue
        break
    camera.drained()
    camera.close()
    assert shaky.firsts() == list(range(camera.sent))
    if not divert:
        assert all(message.value for message in shaky.arrived())


def kill(producer: SpooledProducer) -> None:
    """As far as a thread can be killed: nothing is flushed into the spool, nothing more is drained."""
    producer._pending.clear()
    producer._end()
