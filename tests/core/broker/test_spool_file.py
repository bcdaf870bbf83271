"""The spool's file: durable, in order, bounded, emptied by what is forwarded and by nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.broker.local import LocalBroker
from core.broker.protocol import Message
from core.broker.spool_file import SMALL_BYTES, Record, Spool
from core.errors import SpoolFull, StoreUnavailable
from tests.core.broker.conftest import HandMovedClock

PICTURE = bytes(50_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "top.sqlite"


def record(number: int, *, partition: int = 0, topic: str = "frames", value: bytes = b"") -> Record:
    return Record(topic, partition, "top", b"%06d" % number + value, (("seq", b"%d" % number), ("raw", b"\xff")))


def waiting(spool: Spool) -> list[int]:
    return [int(message.value[:6]) for message in spool.oldest(10_000, 1 << 30)]


def fill(spool: Spool, value: bytes) -> None:
    for number in range(1000):
        spool.append([record(number, value=value)])


def test_what_was_appended_is_there_again_after_a_restart_as_it_was(path: Path) -> None:
    records = [record(0), record(1, partition=3), record(2, topic="cameras"), record(3)]
    with Spool(path, most_bytes=1 << 20) as spool:
        spool.append(records[:2])
        spool.append(records[2:])
        assert spool.name == "top"
    with Spool(path, most_bytes=1 << 20) as spool:
        found = spool.oldest(100, 1 << 20)
        assert sorted(map(Record.of, found), key=lambda r: r.value) == records
        assert [(m.partition.number, m.offset) for m in found] == [(0, 0), (0, 1), (3, 0), (0, 0)]


def test_the_state_tells_records_bytes_and_age(path: Path) -> None:
    clock = HandMovedClock()
    with Spool(path, most_bytes=1 << 20, clock=clock) as spool:
        assert (spool.state().records, spool.state().size, spool.state().age(clock())) == (0, 0, 0.0)
        spool.append([record(0, value=PICTURE)])
        clock.pass_(90)
        spool.append([record(1, topic="cameras")])
        state = spool.state()
        assert state.records == 2
        assert len(PICTURE) < state.size < len(PICTURE) + 300
        assert state.age(clock()) == 90.0
        assert state.age(clock() - 10**12) == 0.0  # a clock that was set back
        spool.drop(spool.oldest(100, 1 << 30))
        assert (spool.state().records, spool.state().size, spool.state().oldest_at) == (0, 0, 0)


def test_a_batch_is_bounded_by_number_and_bytes_and_no_partition_starves(path: Path) -> None:
    with Spool(path, most_bytes=1 << 30) as spool:
        spool.append([record(number, value=PICTURE) for number in range(20)])
        spool.append([record(number, topic="cameras") for number in range(20, 40)])
        batch = spool.oldest(10, 1 << 30)
        assert [int(m.value[:6]) for m in batch] == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]
        assert [int(m.value[:6]) for m in spool.oldest(1, 1)] == [0, 20]
        assert len([m for m in spool.oldest(100, 300_000) if m.partition.topic == "frames"]) == 3


def test_pictures_leave_a_sixteenth_for_what_is_small(path: Path) -> None:
    most = 1 << 20
    with Spool(path, most_bytes=most) as spool:
        with pytest.raises(SpoolFull, match=r"top\.sqlite is full.*broker\.spool_bytes"):
            fill(spool, PICTURE)
        pictures = spool.state()
        assert pictures.nearly_full
        assert most * 0.85 < pictures.size <= most * 15 // 16
        small = bytes(SMALL_BYTES - 6)
        with pytest.raises(SpoolFull):
            fill(spool, small)
        assert most * 0.99 < spool.state().size <= most
        spool.drop(spool.oldest(2, 1))
        spool.append([record(300, value=small)])


def test_an_append_is_whole_or_absent(path: Path) -> None:
    with Spool(path, most_bytes=1 << 20) as spool:
        spool.append([record(0)])
        with pytest.raises(SpoolFull):
            spool.append([record(number, value=PICTURE) for number in range(1, 100)])
        assert waiting(spool) == [0]


def test_no_retention_ever_drops_what_waits(path: Path) -> None:
    clock = HandMovedClock()
    with Spool(path, most_bytes=1 << 20, clock=clock) as spool:
        spool.append([record(number) for number in range(5)])
    clock.pass_(100 * 365 * 86400)
    with LocalBroker(path, clock=clock) as log:
        assert log.retain() == 0
        with log.consumer("frames", group="a look") as consumer:
            assert len(consumer.poll(0)) == 5  # a spool can be read with the tools of any local log


def test_the_disk_gets_its_space_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.broker.local_retention.IDLE_PAGES", 64)
    with Spool(path, most_bytes=64 << 20) as spool:
        for number in range(200):
            spool.append([record(number, value=PICTURE)])
        while found := spool.oldest(50, 1 << 30):
            spool.drop(found)
        for _ in range(20):
            spool.tidy()
        spool.append([record(999)])
    assert path.stat().st_size < 4 << 20


def test_a_damaged_spool_is_refused_with_the_way_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no spool at all " * 100)
    with pytest.raises(StoreUnavailable, match=r"top\.sqlite.*move it away"):
        Spool(path, most_bytes=1 << 20)


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.integers(1, 6)),
    st.tuples(st.just("restart"), st.just(0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_each_partition_is_a_queue(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("spool") / "top.sqlite"
    spool = Spool(path, most_bytes=1 << 20)
    model: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for number, (step, argument) in enumerate(steps):
        if step == "append":
            spool.append([record(number, partition=argument)])
            model[argument].append(number)
        elif step == "drop":
            for message in dropped(spool, argument):
                assert model[message.partition.number].pop(0) == int(message.value[:6])
        else:
            spool.close()
            spool = Spool(path, most_bytes=1 << 20)
        assert spool.state().records == sum(map(len, model.values()))
    left: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for message in spool.oldest(10_000, 1 << 30):
        left[message.partition.number].append(int(message.value[:6]))
    assert left == model
    spool.close()


def dropped(spool: Spool, most: int) -> list[Message]:
    found = spool.oldest(most, 1 << 30)
    spool.drop(found)
    return found
