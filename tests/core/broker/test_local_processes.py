"""The local log under several processes that are killed at any moment."""

import random
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import pytest

from core.broker.local import LocalBroker
from core.broker.protocol import Message, Topic
from tests.core.processes import kill, rest, start

BATCH = 6


def everything(path: Path) -> list[Message]:
    with LocalBroker(path) as broker, broker.consumer("frames", group=f"audit {time.monotonic_ns()}") as consumer:
        found: list[Message] = []
        while messages := consumer.poll(0, most=256):
            found += messages
        return found


def numbers_by_name(messages: list[Message]) -> dict[str, list[list[int]]]:
    """By appender, the numbers in each partition in the log's order."""
    found: dict[str, list[list[int]]] = defaultdict(lambda: [[], [], [], []])
    for message in messages:
        name, number, _ = message.value.split(b" ", 2)
        found[name.decode()][message.partition.number].append(int(number))
    return found


def append(path: Path, name: str, *, most: int = 600_000, fault: str = "") -> subprocess.Popen[str]:
    return start("append_for_ever", path, name, BATCH, most, fault)


def test_all_that_killed_producers_were_promised_is_there_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    acknowledged: dict[str, int] = {}
    for turn in range(5):
        exactly, anywhere = f"exactly-{turn}", f"anywhere-{turn}"
        first = append(path, exactly, fault=f"local_in_flush:{turn * 2 + 1}")  # dies between its last insert and commit
        second = append(path, anywhere)  # on the first turn both make the file
        assert second.stdout is not None
        said = second.stdout.readline()
        time.sleep(random.random() * 0.2)
        said += kill(second)
        acknowledged[anywhere] = int(said.split()[-1])
        said, _ = first.communicate(timeout=60)
        assert first.returncode == -9
        acknowledged[exactly] = int(said.split()[-1]) if said else 0
        assert acknowledged[exactly] == turn * 2 * BATCH
    found = numbers_by_name(everything(path))
    for name, promised in acknowledged.items():
        count = sum(map(len, found[name]))
        assert count >= promised
        assert count % BATCH == 0  # a flush is there whole or not at all
        assert found[name] == [list(range(partition, count, 4)) for partition in range(4)]
        if name.startswith("exactly"):
            assert count == promised


def test_a_consumer_killed_again_and_again_skips_nothing_and_repeats_nothing_committed(tmp_path: Path) -> None:
    path, total = tmp_path / "log.sqlite", 1200
    append(path, "source", most=total).communicate(timeout=60)
    read: set[tuple[int, int]] = set()
    committed = [0, 0, 0, 0]

    def follow(said: str) -> None:
        for line in said.splitlines():
            match line.split():
                case ["read", partition, offset, *_]:
                    assert int(offset) >= committed[int(partition)]
                    read.add((int(partition), int(offset)))
                case ["done", partition, end]:
                    committed[int(partition)] = int(end)
                    assert {(int(partition), offset) for offset in range(int(end))} <= read

    for _ in range(5):
        process = start("read_group", path, "worker-1", 60, total)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.random() * 0.3)
        follow(kill(process))
    last = start("read_group", path, "worker-1", 60, total)  # its partitions come at once, though no lease has ended
    said = rest(last)
    follow(said)
    assert committed == [total // 4] * 4
    assert len(read) == total


def test_two_processes_of_a_group_read_everything_once(tmp_path: Path) -> None:
    path, total = tmp_path / "log.sqlite", 900
    with LocalBroker(path) as broker:
        broker.apply([Topic("frames", 4)])
    readers = [start("read_group", path, member, 60, total) for member in ("worker-1", "worker-2")]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    append(path, "source", most=total).communicate(timeout=60)
    shares = [
        [tuple(line.split()[1:3]) for line in rest(reader).splitlines() if line.startswith("read")]
        for reader in readers
    ]
    assert [reader.returncode for reader in readers] == [0, 0]
    seen = shares[0] + shares[1]
    assert len(seen) == len(set(seen)) == total
    assert all(len(share) > total // 10 for share in shares)


def test_the_partitions_of_a_killed_process_go_to_the_others_after_its_lease(tmp_path: Path) -> None:
    path, total = tmp_path / "log.sqlite", 120
    with LocalBroker(path) as broker:
        broker.apply([Topic("frames", 4)])
    killed, heir = (start("read_group", path, member, 2, total) for member in ("worker-1", "worker-2"))
    for reader in (killed, heir):
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    kill(killed)  # with all partitions, or two of them
    append(path, "source", most=total).communicate(timeout=60)
    said = rest(heir)
    assert len({tuple(line.split()[1:3]) for line in said.splitlines() if line.startswith("read")}) == total


@pytest.mark.parametrize("turn", range(3))
def test_many_processes_may_make_the_file_at_once(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "deep" / "er" / "log.sqlite"
    processes = [append(path, f"p{number}", most=BATCH) for number in range(4)]
    for process in processes:
        assert process.communicate(timeout=60)[0] == f"{BATCH}\n"
    assert len(everything(path)) == 4 * BATCH
