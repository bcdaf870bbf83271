"""What is peculiar to the local log: one file, its size, its locks, its damage."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.broker.local import LocalBroker, LocalProducer
from core.broker.log_file import LogFile
from core.broker.protocol import Partition, Topic
from core.errors import StoreUnavailable

PICTURE = bytes(range(250)) * 400  # 100 KB


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


def open_log(path: Path, *, partitions: int = 2, age: float = 3600, size: int = 1 << 40) -> LocalBroker:
    broker = LocalBroker(path, busy_seconds=0.05)
    broker.apply([Topic("frames", partitions, age, size)])
    return broker


def size_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))


def values(broker: LocalBroker) -> list[bytes]:
    found: list[bytes] = []
    with broker.consumer("frames", group=f"audit {time.monotonic_ns()}") as consumer:
        while messages := consumer.poll(0, most=256):
            found += [message.value for message in messages]
    return found


def test_the_log_outlives_its_process_and_keeps_offsets(path: Path) -> None:
    for turn in range(3):
        with open_log(path) as broker, broker.producer() as producer:
            producer.send("frames", b"%d" % turn, partition=0)
            producer.flush()
            with broker.consumer("frames", group="a") as consumer:
                (message,) = consumer.poll(0)
                assert (message.offset, message.value) == (turn, b"%d" % turn)
                consumer.commit({message.partition: turn + 1})


def test_commits_are_durable_at_full_synchrony_in_wal_mode(path: Path) -> None:
    file = LogFile(path, busy_seconds=1)
    with file.reading() as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("PRAGMA synchronous").fetchone() == (2,)
        assert raw.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert raw.execute("PRAGMA page_size").fetchone() == (16384,)
    file.close()


class AnswerLost(LogFile):
    """A disk that does its work and then fails to say so."""

    losses = 2

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        with super().writing() as raw:
            yield raw
        if self.losses:
            self.losses -= 1
            raise StoreUnavailable("the answer to COMMIT was lost")


def test_a_flush_whose_outcome_is_unknown_is_repeated_without_appending_twice(path: Path) -> None:
    broker = open_log(path)
    file = AnswerLost(path, busy_seconds=1)
    producer = LocalProducer(file, clock=time.time_ns)
    producer.send("frames", b"one", partition=0)
    with pytest.raises(StoreUnavailable):
        producer.flush()  # "one" is in the log, though the producer cannot know
    producer.send("frames", b"two", partition=0)
    with pytest.raises(StoreUnavailable):
        producer.flush()
    producer.send("frames", b"three", partition=1)
    producer.flush()
    producer.send("frames", b"four", partition=0)
    producer.close()
    assert sorted(values(broker)) == sorted([b"one", b"two", b"three", b"four"])
    assert [lag.end for lag in broker.lag("frames", group="a")] == [3, 1]


def test_a_lock_held_by_another_process_is_said_plainly(path: Path) -> None:
    broker = open_log(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    producer = broker.producer()
    producer.send("frames", b"one", partition=0)
    with pytest.raises(StoreUnavailable, match=r"log\.sqlite.*another process holds it"):
        producer.flush()
    assert [lag.end for lag in broker.lag("frames", group="a")] == [0, 0]  # looking needs no lock
    other.execute("ROLLBACK")
    other.close()
    producer.close()
    assert values(broker) == [b"one"]


def test_a_reader_in_the_middle_of_a_lock_goes_on_reading(path: Path) -> None:
    broker = open_log(path)
    with broker.producer() as producer, broker.consumer("frames", group="a") as consumer:
        consumer.heartbeat()
        producer.send("frames", b"one", partition=0)
        producer.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert [message.value for message in consumer.poll(0)] == [b"one"]
        other.execute("ROLLBACK")
        other.close()


def test_a_full_log_keeps_the_buffer_and_goes_on_once_there_is_room(path: Path) -> None:
    broker = open_log(path, age=0.0)
    file = LogFile(path, busy_seconds=1)
    with file.reading() as raw:
        raw.execute("PRAGMA max_page_count=100").fetchall()  # this connection's disk is full at 1.6 MB
    producer = LocalProducer(file, clock=time.time_ns)
    with pytest.raises(StoreUnavailable, match=r"full.*retention"):
        send_numbered(producer, most=100)
    kept = [int(value[:4]) for value in values(broker)]
    assert kept == list(range(len(kept)))
    with pytest.raises(StoreUnavailable):
        producer.flush()
    assert broker.retain() == len(kept)
    producer.flush()
    assert [int(value[:4]) for value in values(broker)] == list(range(len(kept), len(kept) + 1))
    assert sum(lag.end for lag in broker.lag("frames", group="a")) == len(kept) + 1
    producer.close()


def send_numbered(producer: LocalProducer, *, most: int) -> None:
    for number in range(most):
        producer.send("frames", b"%04d" % number + PICTURE, partition=0)
        producer.flush()


def test_a_full_disk_keeps_what_was_promised_and_the_buffer(small_disk: Path) -> None:
    path = small_disk / "log.sqlite"
    broker = open_log(path)
    producer = broker.producer()
    with pytest.raises(StoreUnavailable, match=r"log\.sqlite: its disk is nearly full"):
        send_numbered(producer, most=1000)
    kept = [int(value[:4]) for value in values_by_bare_eyes(path)]
    sent = len(kept)
    assert sent > 100
    assert kept == list(range(sent))
    broker.apply([Topic("frames", 2, 0.0)])
    assert broker.retain() == sent
    producer.flush()
    assert [int(value[:4]) for value in values_by_bare_eyes(path)] == [sent]
    producer.close()
    broker.close()


def values_by_bare_eyes(path: Path) -> list[bytes]:
    raw = sqlite3.connect(path)
    found = [value for (value,) in raw.execute("SELECT value FROM records ORDER BY log, position")]
    raw.close()
    return found


def test_the_file_stays_bounded_under_retention(path: Path) -> None:
    bound = 2 << 20
    with open_log(path, size=bound) as broker, broker.producer() as producer:
        sizes = []
        for turn in range(40):
            for number in range(20):
                producer.send("frames", PICTURE, partition=number % 2)
            producer.flush()
            broker.retain()
            sizes.append(size_on_disk(path))
            if turn == 0:
                assert len(values(broker)) == 20
    assert 40 * 20 * len(PICTURE) > 70 << 20
    assert max(sizes) < 2 * bound + 20 * len(PICTURE) + (25 << 20)  # the write-ahead log's 16 MB and its overhead
    assert sizes[-1] <= max(sizes[:20]) * 1.1


def test_a_burst_gives_its_space_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.broker.local_retention.IDLE_PAGES", 64)  # 1 MB instead of 64
    with open_log(path) as broker, broker.producer() as producer:
        for _ in range(100):
            producer.send("frames", PICTURE, partition=0)
        producer.flush()
        assert pages_of(path) > 600
        broker.apply([Topic("frames", 2, 0.0)])
        assert broker.retain() == 100
        for _ in range(60):
            broker.retain()
            if pages_of(path) < 120:
                break
        assert pages_of(path) < 120
        producer.send("frames", b"goes on", partition=0)
    with LocalBroker(path) as broker:
        assert values(broker) == [b"goes on"]


def pages_of(path: Path) -> int:
    raw = sqlite3.connect(path)
    (pages,) = raw.execute("PRAGMA page_count").fetchone()
    raw.close()
    return int(pages)


def test_retention_lets_writers_in_between(path: Path) -> None:
    """Each batch is a transaction of its own: a loss in the middle leaves a log that is whole."""
    with open_log(path, age=0.0) as broker, broker.producer() as producer:
        for _ in range(300):
            producer.send("frames", b"x", partition=1)
        producer.flush()
        assert broker.retain() == 300
        assert [lag.end for lag in broker.lag("frames", group="a")] == [0, 300]
        assert values(broker) == []


def test_an_idle_consumer_costs_next_to_nothing(path: Path) -> None:
    with open_log(path) as broker, broker.consumer("frames", group="a") as consumer:
        consumer.poll(0)
        before = time.thread_time()
        assert consumer.poll(1.0) == []
        assert time.thread_time() - before < 0.1


@pytest.mark.parametrize("content", [b"no database at all, " * 100, b"SQLite format 3\x00" + bytes(5000)])
def test_a_file_that_is_no_log_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"log\.sqlite"):
        LocalBroker(path, busy_seconds=0.05)
    assert path.read_bytes() == content


def test_a_log_of_another_format_is_refused(path: Path) -> None:
    open_log(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(StoreUnavailable, match="format 99"):
        LocalBroker(path)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="check the folder"):
        LocalBroker(tmp_path / "file" / "log.sqlite")


def test_a_value_or_key_that_could_never_be_stored_is_refused_at_once(path: Path) -> None:
    with open_log(path) as broker, broker.producer() as producer:
        with pytest.raises(ValueError, match="takes"):
            producer.send("frames", bytes((256 << 20) + 1), partition=0)
        with pytest.raises(ValueError, match="surrogate"):
            producer.send("frames", b"", partition=0, key="\ud800")
        producer.send("frames", b"fine", partition=0)
        producer.flush()
        assert values(broker) == [b"fine"]


def test_a_loss_by_retention_names_each_group_once_with_its_sum(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_log(path, age=0.0) as broker, broker.producer() as producer:
        for _ in range(200):
            producer.send("frames", b"x", partition=0)
        producer.flush()
        for group, done in (("a", 150), ("b", 200), ("c", 0)):
            with broker.consumer("frames", group=group) as consumer:
                consumer.poll(0, most=200)
                consumer.commit({Partition("frames", 0): done})
        assert broker.retain() == 200
    said = sorted(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert [line.split()[2] for line in said] == ["200", "50"]
    assert "group c" in said[0]
    assert "group a" in said[1]


def test_a_log_whose_file_was_removed_or_replaced_takes_nothing_more(path: Path) -> None:
    broker = open_log(path)
    producer = broker.producer()
    producer.send("frames", b"one", partition=0)
    path.rename(path.with_name("aside"))
    with pytest.raises(StoreUnavailable, match="No such file"):
        producer.flush()
    path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="was replaced"):
        producer.flush()
    path.unlink()
    path.with_name("aside").rename(path)
    producer.close()
    assert values(broker) == [b"one"]
