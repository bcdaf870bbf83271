"""Blobs as files: nothing outside the root, nothing half written, a full disk, whole hours and what they leave."""

import random
import resource
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.blobs.file import FileBlobs
from core.blobs.hours import drop_older
from core.blobs.keys import Kind
from core.errors import BlobMissing, StoreUnavailable
from tests.core.processes import kill, start
from tests.core.test_blobs import NOON, key_at


@pytest.fixture
def store(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


def test_a_link_that_leads_out_of_the_root_is_no_blob(store: FileBlobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    store.put("frame/a", b"")
    (tmp_path / "blobs/frame/link").symlink_to(tmp_path / "secret")
    (tmp_path / "blobs/frame/folder").symlink_to(tmp_path)
    for key in ("frame/link", "frame/folder/secret"):
        with pytest.raises(BlobMissing):
            store.get(key)
    assert store.delete_prefix("frame") == 3
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_full_disk_is_unavailable_and_leaves_the_old_blob_whole(store: FileBlobs, tmp_path: Path) -> None:
    store.put("frame/a", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(StoreUnavailable, match="frame/a"):
            store.put("frame/a", bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.get("frame/a") == b"old"
    assert [path.name for path in (tmp_path / "blobs/frame").iterdir()] == ["a"]
    store.put("frame/a", bytes(1 << 20))
    assert store.size("frame/a") == 1 << 20


def test_no_space_left_is_unavailable_and_says_what_to_check(small_disk: Path) -> None:
    store = FileBlobs(small_disk)

    def put_many() -> None:
        for number in range(1000):
            store.put(f"frame/{number}", bytes(200_000))

    with pytest.raises(StoreUnavailable, match=r"No space left.*check the disk"):
        put_many()
    kept = list(store.keys())
    assert all(store.size(key) == 200_000 for key in kept)
    store.delete(kept[0])
    store.put("frame/again", bytes(200_000))
    assert list((small_disk / "frame").glob(".part-*")) == []


def test_a_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        FileBlobs(tmp_path / "file").put("frame/a", b"x")


def test_a_killed_put_is_never_served_and_swept_away_later(tmp_path: Path) -> None:
    root, folder = tmp_path / "blobs", tmp_path / "blobs/frame"
    store = FileBlobs(root)
    for _ in range(4):
        process = start("put_for_ever", root)
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        time.sleep(random.random() * 0.01)
        kill(process)
        assert list(store.keys()) == ["frame/a"]
        assert len(set(store.get("frame/a"))) == 1
        assert store.size("frame/a") == 300_000
        store.delete("frame/a")
    (folder / ".part-left-behind").write_bytes(b"half")
    leftovers = len(list(folder.iterdir()))
    assert store.sweep("frame", before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep("frame", before=datetime.now(UTC) + timedelta(hours=1)) == leftovers
    assert list(folder.iterdir()) == []


def test_dropping_an_hour_takes_leftovers_and_empty_folders_along(store: FileBlobs, tmp_path: Path) -> None:
    key = key_at(NOON - timedelta(days=1))
    store.put(key, b"x")
    (tmp_path / "blobs" / key).with_name(".part-1").write_bytes(b"half")
    assert drop_older(store, Kind.RING, NOON) == 1
    assert list((tmp_path / "blobs").iterdir()) == []
    store.put(key, b"again")
    assert store.get(key) == b"again"


def test_a_blob_has_the_permissions_that_the_umask_gives(store: FileBlobs, tmp_path: Path) -> None:
    store.put("frame/a", b"x")
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    mode = stat.S_IMODE((tmp_path / "blobs/frame/a").stat().st_mode)
    assert mode == stat.S_IMODE(plain.stat().st_mode)  # the umask's word, not a temporary file's 0600


def test_it_says_how_full_its_disk_is_even_before_its_folder_is_there(small_disk: Path) -> None:
    store = FileBlobs(small_disk / "not/yet/there")
    before = store.disk()
    assert before.total == 48 << 20
    store.put("frame/a", bytes(10 << 20))
    after = store.disk()
    assert after.used - before.used >= 10 << 20
    assert after.total == before.total
