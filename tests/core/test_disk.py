"""Files that are whole or not there, however many write them and whatever happens meanwhile."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.disk import write_whole


@pytest.mark.parametrize("durable", [True, False])
def test_many_that_write_one_file_leave_one_whole_file(tmp_path: Path, durable: bool) -> None:
    path, begin = tmp_path / "model", threading.Barrier(4)

    def write(letter: bytes) -> None:
        begin.wait()
        for _ in range(50):
            write_whole(path, letter * 30_000, durable=durable)
            assert len(set(path.read_bytes())) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [b"a", b"b", b"c", b"d"]))
    assert [found.name for found in tmp_path.iterdir()] == ["model"]
    assert path.stat().st_size == 30_000


def test_a_full_disk_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_what_is_durable_is_flushed_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flushed = tmp_path / "model", []
    flush = os.fsync

    def noted(number: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{number}").readlink().name[:6], path.exists()))
        flush(number)

    monkeypatch.setattr(os, "fsync", noted)
    write_whole(path, b"x", durable=False)
    assert not flushed
    path.unlink()
    write_whole(path, b"x")
    assert flushed == [(".part-", False), (tmp_path.name[:6], True)]
