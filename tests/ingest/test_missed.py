"""Triggers that passed without a picture: one record for each number, whatever the log, the source and kills do."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.broker.memory import MemoryBroker
from core.broker.protocol import Producer, Topic
from core.broker.spool import SpooledProducer, SpoolRules
from core.broker.spool_file import Spool
from core.errors import BadFrame, StoreUnavailable
from core.line import Camera
from core.messages import CAMERAS, FRAMES, FrameCaptured, FrameId, Headers
from core.stop import Stop
from core.times import MINUTE_NS, utc_of
from ingest import missed
from ingest.capture import Capture
from ingest.missed import CHUNK, MOST, PER_SECOND, Allowance, InMemory, MissedTriggers, Owing, Run
from ingest.outlet import Outlet
from ingest.seat import CameraSeat
from ingest.sources.source import Grabbed
from tests.ingest.test_camera import Bench, opened
from tests.ingest.test_capture import OUTLET, Tray, broker, camera, capture, frames, logged, reports

__all__ = ["broker"]

BLANK = np.zeros((8, 8, 3), np.uint8)
BEFORE = FrameCaptured(
    station="s", camera="top", session=7, seq=40, captured_at=1_790_000_000 * 10**9, product="ring", part_id="P40",
    lot="L7", deadline_ms=900, width=8, height=8, gate="DARK", gate_detail="dark", sha256="ab", monotonic_at=5,
)  # fmt: skip
COUNTING = camera(gate=False).model_copy(update={"part_ids": "counter"})


def shots(*counts: int) -> list[Grabbed]:
    """One picture for each, after so many triggers that passed."""
    return [Grabbed(picture=BLANK, missed=count) for count in counts]


def outlet_of(owing: Owing, session: int = 0) -> Outlet:
    return Outlet(partition=2, max_pixels=100, session=session, owing=owing)


def told(*counts: int, of: Camera = COUNTING) -> tuple[MissedTriggers, MemoryBroker]:
    """The missed triggers of a camera with a broker of its own, all handed over."""
    log = MemoryBroker()
    log.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
    producer = log.producer()
    triggers = MissedTriggers(of, producer, 2, InMemory(), Allowance(lambda: 0.0))
    seq = 0
    for count in counts:
        seq += count
        triggers.passed(count, replace(BEFORE, seq=seq), captured=0)
        triggers.send()
        producer.flush()
        triggers.safe()
        seq += 1
    return triggers, log


def test_each_has_a_record_of_its_own_before_the_next_picture(broker: MemoryBroker) -> None:
    with Tray(*shots(0, 3, 0)) as source:
        loop = capture(source, broker, gate=False)
        loop.run()
    messages = logged(broker, FRAMES)
    found = [FrameCaptured.of(message.headers) for message in messages]
    assert [frame.seq for frame in found] == [0, 1, 2, 3, 4, 5]
    assert [bool(message.value) for message in messages] == [True, False, False, False, True, True]
    assert {message.partition.number for message in messages} == {2}
    assert [frame.no_verdict for frame in found] == ["", *["TRIGGER_ERROR"] * 3, "", ""]
    assert {frame.gate_detail for frame in found[1:4]} == {
        "its trigger passed without a picture, as 3 did before frame 4"
    }
    for frame in found[1:4]:
        assert (frame.monotonic_at, frame.boot) == (found[4].monotonic_at, found[4].boot)
        assert (frame.session, frame.camera, frame.product, frame.lot, frame.view, frame.deadline_ms) == (
            loop.session, "top", "ring", "L7", "above", 900,
        )  # fmt: skip
        assert (frame.width, frame.height, frame.sha256, frame.gate, frame.part_id) == (0, 0, "", "", "")


def test_triggered_counts_them_and_captured_counts_pictures(broker: MemoryBroker) -> None:
    with Tray(*shots(2, 3, 0)) as source:
        capture(source, broker, gate=False).run()
    last = reports(broker)[-1]
    assert (last.triggered, last.captured) == (8, 3)
    assert sum(triggered for _, triggered, _ in last.minutes) == 8
    assert sum(captured for *_, captured in last.minutes) == 3


def test_where_the_camera_counts_its_parts_they_have_their_part_ids(broker: MemoryBroker) -> None:
    with Tray(*shots(2, 1)) as source:
        Capture(COUNTING, source, broker.producer(), OUTLET, stop=Stop()).run()
    assert [frame.part_id for frame in frames(broker)] == ["0", "1", "2", "3", "4"]


def test_they_say_what_held_the_camera_up(broker: MemoryBroker) -> None:
    with Tray(*shots(0, 2, 1)) as source:
        loop = capture(source, broker, gate=False)
        broker.available = False
        assert not loop.step()
        broker.available = True
        loop.run()
    found = frames(broker)
    assert [frame.seq for frame in found] == list(range(6))
    assert found[1].gate_detail.endswith("as 2 did before frame 3: the memory broker rehearses an outage")
    assert found[4].gate_detail.endswith("as 1 did before frame 5")


def test_they_wait_with_the_picture_while_the_log_is_away_and_are_reported_with_it(broker: MemoryBroker) -> None:
    with Tray(*shots(0, 2)) as source:
        loop = capture(source, broker, gate=False)
        loop.step()
        broker.available = False
        for _ in range(2):
            assert not loop.step()
        broker.available = True
        loop.run()
    assert [frame.seq for frame in frames(broker)] == [0, 1, 2, 3]
    assert {(report.triggered, report.captured) for report in reports(broker)} <= {(1, 1), (4, 2)}


def test_frames_of_a_camera_that_pass_while_the_log_is_away_are_on_record_once_it_is_back(broker: MemoryBroker) -> None:
    bench = Bench()
    with opened(bench) as source:
        loop = capture(source, broker, gate=False)
        for number in range(3):
            broker.available = number != 1
            shown = source._count
            bench.shoot(1 + 4 * number)
            while source._count < shown + 1 + 4 * number:  # the camera's own thread has them
                time.sleep(0.001)
            loop.step()
        while loop.captured < 3:
            loop.step()
        loop.finish()
    assert [bool(frame.no_verdict) for frame in frames(broker)] == [False, *[True] * 4, False, *[True] * 8, False]
    assert [frame.seq for frame in frames(broker)] == list(range(15))
    assert (reports(broker)[-1].triggered, reports(broker)[-1].captured) == (15, 3)


def test_they_go_through_the_spool_in_order_while_the_broker_is_away(broker: MemoryBroker, tmp_path: Path) -> None:
    rules = SpoolRules(send_seconds=0.2, backoff=0.01, backoff_most=0.02, close_seconds=5.0)
    spool = Spool(tmp_path / "top.sqlite", most_bytes=1 << 24)
    broker.available = False
    with SpooledProducer(broker.producer, spool, {FRAMES: 4, CAMERAS: 1}, rules=rules) as producer:
        with Tray(*shots(0, 3, CHUNK + 1)) as source:
            Capture(camera(gate=False), source, producer, OUTLET, stop=Stop()).run()
        assert spool.state().records >= CHUNK + 7
        broker.available = True
        assert producer.settled(10.0)
    found = [frame.seq for frame in frames(broker)]
    assert list(dict.fromkeys(found)) == list(range(CHUNK + 7))  # what was in doubt may have come twice


def test_a_counter_that_jumps_by_a_million_is_one_error_and_a_gap(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with Tray(*shots(1_000_000, 1_000_000, 0)) as source, caplog.at_level(logging.ERROR):
        loop = capture(source, broker, gate=False)
        loop.run()
    found = frames(broker)
    assert [frame.seq for frame in found[:MOST]] == list(range(MOST))
    assert [frame.seq for frame in found if not frame.no_verdict] == [1_000_000, 2_000_001, 2_000_002]
    assert len(found) < MOST + PER_SECOND * 60, "a counter that stays broken does not flood the log"
    (said,) = [record.getMessage() for record in caplog.records]
    assert "1000000 triggers passed" in said
    assert f"{1_000_000 - MOST} of them, from number {MOST} on, go without a record" in said
    assert reports(broker)[-1].triggered == 2_000_003


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 3 * MOST)), max_size=12))
def test_the_allowance_is_bounded_at_once_and_over_time(asked: list[tuple[float, int]]) -> None:
    now, given_ = 0.0, 0
    allowance = Allowance(lambda: now)
    for seconds, wanted in asked:
        now += seconds
        got = allowance.take(wanted)
        assert 0 <= got <= min(wanted, MOST)
        assert got == wanted or got >= min(MOST, int(seconds * PER_SECOND)) - 1  # float rounds
        given_ += got
    assert given_ <= MOST + now * PER_SECOND + 1e-6


@settings(max_examples=25)
@given(st.lists(st.integers(1, CHUNK + 1), min_size=1, max_size=4))
def test_every_number_below_a_picture_is_there_once_and_in_order(counts: list[int]) -> None:
    triggers, log = told(*counts)
    assert triggers.owed is None
    with log.consumer(FRAMES, group="test") as reader:
        found = [FrameCaptured.of(message.headers) for message in reader.poll(0.0, most=20_000)]
    pictures = {sum(counts[: place + 1]) + place for place in range(len(counts))}
    assert [frame.seq for frame in found] == [seq for seq in range(max(pictures)) if seq not in pictures]
    assert [frame.part_id for frame in found] == [str(frame.seq) for frame in found]


@given(st.integers(1, MOST), st.integers(0, 2 * MINUTE_NS), st.data())
def test_their_times_stand_before_the_picture_in_its_minute_and_in_order(
    count: int, later: int, data: st.DataObject
) -> None:
    picture_at = BEFORE.captured_at + later
    run = Run(replace(BEFORE, seq=5, captured_at=picture_at), 4 + count, 0)
    seq = data.draw(st.integers(5, 4 + count))
    mine, last = run.envelope(seq).captured_at, run.envelope(run.last).captured_at
    assert mine <= last <= picture_at
    assert mine // MINUTE_NS == picture_at // MINUTE_NS
    if picture_at % MINUTE_NS >= 1000 * MOST and seq < run.last:
        assert utc_of(mine) < utc_of(run.envelope(seq + 1).captured_at) < utc_of(picture_at)


# what a process that dies leaves behind

RUN = Run(replace(BEFORE, gate="", no_verdict="TRIGGER_ERROR"), 45, 12)


def test_a_note_reads_back_as_it_was_written() -> None:
    assert Run.of(RUN.to_text()) == RUN


@given(st.integers(0, len(RUN.to_text()) - 1))
def test_a_torn_note_is_no_note(length: int) -> None:
    with pytest.raises(BadFrame):
        Run.of(RUN.to_text()[:length])


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.dictionaries(st.sampled_from(["like", "last", "captured", "seq"]), inner),
).map(lambda value: repr(value).replace("'", '"').replace("None", "null").encode()))  # fmt: skip
def test_whatever_stands_in_the_note_is_a_run_or_refused(text: bytes) -> None:
    with pytest.raises(BadFrame):
        Run.of(text)


@pytest.mark.parametrize(
    "change", [{"last": 39}, {"last": 40 + MOST}, {"captured": -1}, {"last": "no"}, {"like": {}}, {"like": []}]
)
def test_a_note_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadFrame):
        Run.of(json.dumps(json.loads(RUN.to_text()) | change).encode())


def test_a_damaged_note_is_said_and_the_camera_starts(broker: MemoryBroker, caplog: pytest.LogCaptureFixture) -> None:
    owing = InMemory()
    owing.owe(RUN.to_text()[:50])
    with Tray(*shots(1)) as source:
        Capture(camera(gate=False), source, broker.producer(), outlet_of(owing), stop=Stop()).run()
    assert "not on record" in caplog.text
    assert [frame.seq for frame in frames(broker)] == [0, 1]
    assert owing.owed() == b""


def test_what_a_dead_process_owed_comes_first_and_its_sessions_books_close(broker: MemoryBroker) -> None:
    owing = InMemory()
    owing.owe(RUN.to_text())
    with Tray(*shots(0)) as source:
        loop = Capture(camera(gate=False), source, broker.producer(), outlet_of(owing, 1234), stop=Stop())
        broker.available = False
        assert not loop.step()
        assert source.left, "nothing is read before"
        broker.available = True
        loop.run()
    found = frames(broker)
    assert [(frame.session, frame.seq) for frame in found] == [*((7, seq) for seq in range(40, 46)), (1234, 0)]
    assert [frame.captured_at for frame in found[:6]] == [RUN.envelope(seq).captured_at for seq in range(40, 46)]
    (old,) = [report for report in reports(broker) if report.session == 7]
    assert (old.state, old.triggered, old.captured) == ("ENDED", 46, 12)
    assert owing.owed() == b""


def test_what_is_owed_survives_with_the_seat_and_leaves_its_number_alone(tmp_path: Path) -> None:
    with CameraSeat(tmp_path, "top", clock=lambda: 5) as seat:
        assert seat.owed() == b""
        seat.next_session()
        seat.owe(RUN.to_text())
        seat.owe(b"shorter")
    with CameraSeat(tmp_path, "top", clock=lambda: 0) as seat:
        assert seat.owed() == b"shorter"
        assert seat.next_session() == 6
        assert seat.owed() == b"shorter"
        seat.owe(b"")
    with CameraSeat(tmp_path, "top", clock=lambda: 0) as seat:
        assert seat.owed() == b""
        assert seat.next_session() == 7


class Killed(BaseException):
    """The process is gone: nobody catches this."""


class Fate:
    """Kills the process at one of its effects, or lets the log be away."""

    def __init__(self, broker: MemoryBroker, events: Iterator[str]) -> None:
        self._broker, self._events = broker, events

    def __call__(self, effect: Callable[[], None]) -> None:
        event = next(self._events, "well")
        if event == "killed before":
            raise Killed
        self._broker.available = event != "away"
        try:
            effect()
        finally:
            self._broker.available = True
        if event == "killed after":
            raise Killed


class Fated(Producer):
    """A producer that lives as long as its fate allows; what it holds then is gone."""

    def __init__(self, inner: Producer, fate: Fate) -> None:
        self._inner, self._fate = inner, fate

    def send(self, topic: str, value: bytes, *, partition: int, key: str = "", headers: Headers = ()) -> None:
        self._inner.send(topic, value, partition=partition, key=key, headers=headers)

    def flush(self) -> None:
        self._fate(self._inner.flush)

    def close(self) -> None:
        pass

    def __exit__(self, *problem: object) -> None:
        pass


class FatedNote(InMemory):
    """A note that is written, or not, before the process dies, or that its disk refuses."""

    fate: Fate

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__()
        self._broker = broker

    def owe(self, text: bytes) -> None:
        def write() -> None:
            if not self._broker.available:
                raise StoreUnavailable("the disk rehearses")
            InMemory.owe(self, text)

        self.fate(write)


EVENTS = st.sampled_from(["well"] * 5 + ["away", "killed before", "killed after"])


@settings(max_examples=100)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=8), events=st.lists(EVENTS, max_size=30))
def test_whatever_happens_each_number_up_to_the_newest_has_one_record(counts: list[int], events: list[str]) -> None:
    with MemoryBroker() as log, pytest.MonkeyPatch.context() as patch:
        log.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
        patch.setattr("ingest.capture.FIRST_BACKOFF", 0.0)
        patch.setattr("ingest.capture.LONGEST_BACKOFF", 0.0)
        patch.setattr(missed, "CHUNK", 2)
        source, fate, note = Tray(*shots(*counts)), Fate(log, iter(events)), FatedNote(log)
        note.fate = fate
        session, noted = 0, list[Run]()
        kills = 0
        while source.left or note.owed() or not session:
            session += 1000
            try:
                producer = Fated(log.producer(), fate)
                Capture(camera(gate=False), source, producer, outlet_of(note, session), stop=Stop()).run()
            except Killed:
                kills += 1
                noted += [Run.of(note.owed())] if note.owed() else []
        first: dict[FrameId, FrameCaptured] = {}
        for frame in frames(log):
            assert first.setdefault(frame.id, frame) == frame, "what comes again is the same"
        by_session: dict[int, list[int]] = {}
        for id_ in first:
            by_session.setdefault(id_.session, []).append(id_.seq)
        for seqs in by_session.values():
            assert sorted(seqs) == list(range(len(seqs))), "no number below the newest lacks its record"
        for report in reports(log):
            assert report.triggered <= len(by_session.get(report.session, [])), "nothing reported lacks its record"
        for run in noted:
            assert run.last in by_session[run.like.session], "what a process noted is not lost with it"
        if not kills:
            assert len(first) == sum(counts) + len(counts)
        if not kills and "away" not in events:
            assert (reports(log)[-1].triggered, reports(log)[-1].captured) == (len(first), len(counts))
