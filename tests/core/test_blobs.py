"""Keys and their rules, and the folder store: whole blobs or none, nothing outside the root, whole hours dropped."""

import random
import resource
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.blobs import Kind, check_key, drop_older, frame_key, hours_before, start_of
from core.errors import BlobMissing, StoreUnavailable
from core.file_blobs import FileBlobs
from core.messages import FrameId
from core.times import ns_of
from tests.core.processes import kill, start

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FRAME = FrameId("ring-top", 1_790_000_000_000_000_001, 7)


@pytest.fixture
def store(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


def key_at(moment: datetime, kind: Kind = Kind.RING, seq: int = 7) -> str:
    return frame_key(kind, FRAME._replace(seq=seq), ns_of(moment), "jpg")


# Keys


def test_a_key_tells_kind_hour_and_identity() -> None:
    key = frame_key(Kind.HEAT, FRAME, 1_790_000_000_123_456_789, "png")
    assert key == "heat/2026/09/21/14/ring-top/1790000000123456789_1790000000000000001_7.png"


@given(st.text(), st.text(), st.integers(0, 1 << 62), st.integers(0, 1 << 62))
def test_whatever_a_message_says_its_key_is_a_key_below_its_kind(camera: str, ext: str, seq: int, at: int) -> None:
    key = frame_key(Kind.FRAME, FrameId(camera, at, seq), at, ext)
    assert check_key(key) == key
    assert key.startswith("frame/")
    assert len(key.split("/")) == 7
    assert start_of(key.rsplit("/", 2)[0]) <= datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1000)


def test_cameras_with_unusable_names_keep_keys_of_their_own() -> None:
    keys = {
        frame_key(Kind.FRAME, FrameId(name, 1, 1), 1, "jpg") for name in ("../x", "..", "", "a/b", "a b", "ü", ".a")
    }
    assert len(keys) == 7


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "a/../b", "..", "a/.", ".part-1", "a/.hidden", "a b",
                                 "a\x00", "a\nb", "a/b/", "ü", "a" * 201, "a/" * 500 + "a", "C:\\", "a\n"])  # fmt: skip
def test_what_is_no_key_is_never_written_and_reads_as_missing(store: FileBlobs, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.put(key, b"x")
    with pytest.raises(ValueError, match="is no key"):
        store.delete(key)
    with pytest.raises(BlobMissing):
        store.get(key)
    assert not store.exists(key)


# The folder store


@pytest.mark.parametrize("durable", [True, False])
def test_what_was_put_is_got_and_a_second_put_replaces_it(store: FileBlobs, durable: bool) -> None:
    store.put("frame/a.jpg", b"first", durable=durable)
    store.put("frame/a.jpg", bytes(range(256)), durable=durable)
    assert store.get("frame/a.jpg") == bytes(range(256))
    assert store.size("frame/a.jpg") == 256
    assert store.exists("frame/a.jpg")
    assert list(store.keys()) == ["frame/a.jpg"]


def test_what_was_never_put_is_missing(store: FileBlobs) -> None:
    store.put("frame/a/b.jpg", b"")
    for key in ("frame/x.jpg", "frame/a", "frame/a/b.jpg/c", "other/x"):
        with pytest.raises(BlobMissing, match="no blob"):
            store.get(key)
        assert not store.exists(key)
    store.delete("frame/x.jpg")
    store.delete("frame/a/b.jpg")
    assert not store.exists("frame/a/b.jpg")


def test_keys_and_folders_are_listed_by_whole_parts(store: FileBlobs) -> None:
    for key in ("ring/2026/b", "ring/2026/a", "ring/20261/c", "ring/2027", "heat/2026/d"):
        store.put(key, b"")
    assert list(store.keys("ring/2026")) == ["ring/2026/a", "ring/2026/b"]
    assert list(store.keys("nothing")) == []
    assert store.folders("ring") == ["ring/2026", "ring/20261"]
    assert store.folders("nothing") == []
    assert store.delete_prefix("ring/2026") == 2
    assert list(store.keys()) == ["heat/2026/d", "ring/20261/c", "ring/2027"]


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


# Retention


def test_only_hours_that_ended_are_dropped(store: FileBlobs) -> None:
    ages = [timedelta(minutes=minutes) for minutes in (1, 59, 61, 119, 121, 60 * 24 * 40)]
    for seq, age in enumerate(ages):
        store.put(key_at(NOON - age, seq=seq), b"x")
    store.put(key_at(NOON - ages[-1], Kind.FRAME), b"evidence")
    assert hours_before(store, Kind.RING, NOON - timedelta(hours=1)) == [
        "ring/2026/10/15/12",
        "ring/2026/11/24/09",
        "ring/2026/11/24/10",
    ]
    assert drop_older(store, Kind.RING, NOON - timedelta(hours=1)) == 4
    assert drop_older(store, Kind.RING, NOON - timedelta(hours=1)) == 0
    assert sorted(store.keys("ring")) == sorted(key_at(NOON - age, seq=seq) for seq, age in enumerate(ages[:2]))
    assert len(list(store.keys("frame"))) == 1


@given(st.integers(0, 10**18 * 4), st.integers(0, 10**18 * 4))
def test_a_blob_is_never_dropped_before_its_time(captured_at: int, cut: int) -> None:
    class Held:
        """What `hours_before` asks of a store that holds one blob."""

        def folders(self, prefix: str) -> list[str]:
            parts, depth = key.split("/"), len(prefix.split("/"))
            return ["/".join(parts[: depth + 1])] if key.startswith(prefix + "/") else []

    key = frame_key(Kind.RING, FRAME, captured_at, "jpg")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=cut // 1000)
    hours = hours_before(Held(), Kind.RING, moment)  # type: ignore[arg-type]
    if captured_at // 1000 >= cut // 1000:
        assert hours == []
    if captured_at < cut - 3_600 * 10**9:
        assert hours == [key.rsplit("/", 2)[0]]


def test_dropping_an_hour_takes_leftovers_and_empty_folders_along(store: FileBlobs, tmp_path: Path) -> None:
    key = key_at(NOON - timedelta(days=1))
    store.put(key, b"x")
    (tmp_path / "blobs" / key).with_name(".part-1").write_bytes(b"half")
    assert drop_older(store, Kind.RING, NOON) == 1
    assert list((tmp_path / "blobs").iterdir()) == []
    store.put(key, b"again")
    assert store.get(key) == b"again"


def test_folders_that_are_nobodys_hour_stay(store: FileBlobs) -> None:
    for key in ("ring/notes/01/01/01/a", "ring/2026/13/01/01/a", "ring/2026/01/01/24/a", "ring/2026/01/b"):
        store.put(key, b"x")
    assert drop_older(store, Kind.RING, NOON) == 0
    assert len(list(store.keys())) == 4


def test_a_blob_has_the_permissions_that_the_umask_gives(store: FileBlobs, tmp_path: Path) -> None:
    store.put("frame/a", b"x")
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    mode = stat.S_IMODE((tmp_path / "blobs/frame/a").stat().st_mode)
    assert mode == stat.S_IMODE(plain.stat().st_mode)  # the umask's word, not a temporary file's 0600
