"""Keys and their rules, and what every blob store promises: whole blobs or none, whole hours dropped."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.services.plant import Services
from core.blobs.hours import drop_older, hours_before, start_of
from core.blobs.keys import Kind, check_key, frame_key
from core.blobs.open import open_blobs
from core.blobs.protocol import BlobStore
from core.errors import BlobMissing, SettingsInvalid
from core.messages import FrameId
from core.settings import BlobSettings, Settings
from core.times import ns_of
from tests.servers import s3_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FRAME = FrameId("ring-top", 1_790_000_000_000_000_001, 7)


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> Iterator[BlobStore]:
    """Each store, opened as the settings say; what it holds in S3 goes at the end."""
    urls = {"file": BlobSettings(url=f"file:{tmp_path / 'blobs'}"), "s3": s3_of(servers)}
    opened = open_blobs(Settings(blobs=urls[request.param]))
    yield opened
    for kind in {key.partition("/")[0] for key in opened.keys()}:  # noqa: SIM118 - no mapping
        opened.delete_prefix(kind)


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


# What every store promises


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "a/../b", "..", "a/.", ".part-1", "a/.hidden", "a b",
                                 "a\x00", "a\nb", "a/b/", "ü", "a" * 201, "a/" * 500 + "a", "C:\\", "a\n"])  # fmt: skip
def test_what_is_no_key_is_never_written_and_reads_as_missing(store: BlobStore, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.put(key, b"x")
    with pytest.raises(ValueError, match="is no key"):
        store.delete(key)
    with pytest.raises(BlobMissing):
        store.get(key)
    assert not store.exists(key)


@pytest.mark.parametrize("durable", [True, False])
def test_what_was_put_is_got_and_a_second_put_replaces_it(store: BlobStore, durable: bool) -> None:
    store.put("frame/a.jpg", b"first", durable=durable)
    store.put("frame/a.jpg", bytes(range(256)), durable=durable)
    assert store.get("frame/a.jpg") == bytes(range(256))
    assert store.size("frame/a.jpg") == 256
    assert store.exists("frame/a.jpg")
    assert list(store.keys()) == ["frame/a.jpg"]


def test_what_was_never_put_is_missing(store: BlobStore) -> None:
    store.put("frame/a/b.jpg", b"")
    for key in ("frame/x.jpg", "frame/a", "frame/a/b.jpg/c", "other/x"):
        with pytest.raises(BlobMissing, match="no blob"):
            store.get(key)
        assert not store.exists(key)
    store.delete("frame/x.jpg")
    store.delete("frame/a/b.jpg")
    assert not store.exists("frame/a/b.jpg")


def test_keys_and_folders_are_listed_by_whole_parts(store: BlobStore) -> None:
    for key in ("ring/2026/b", "ring/2026/a", "ring/20261/c", "ring/2027", "heat/2026/d"):
        store.put(key, b"")
    assert sorted(store.keys("ring/2026")) == ["ring/2026/a", "ring/2026/b"]
    assert list(store.keys("nothing")) == []
    assert store.folders("ring") == ["ring/2026", "ring/20261"]
    assert store.folders("nothing") == []
    assert store.delete_prefix("ring/2026") == 2
    assert sorted(store.keys()) == ["heat/2026/d", "ring/20261/c", "ring/2027"]


def test_keys_that_begin_alike_are_no_folder_of_each_other(store: BlobStore) -> None:
    names = ["k/a-b/1", "k/a.b", "k/a/1", "k/a0", "k/a/B", "k/a_"]
    for name in names:
        store.put(name, b"1")
    assert sorted(store.keys("k/a")) == ["k/a/1", "k/a/B"]
    assert sorted(store.keys()) == sorted(names)
    assert store.used("k/a") == 2


@pytest.mark.parametrize("prefix", ["..", "/", "a//b", "a/", ".part"])
def test_a_prefix_that_nobody_can_mean_lists_counts_and_deletes_nothing(store: BlobStore, prefix: str) -> None:
    store.put("a/b", b"x")
    for ask in (store.delete_prefix, store.folders, store.used, lambda prefix: list(store.keys(prefix))):
        with pytest.raises(ValueError, match="is no key"):
            ask(prefix)
    assert store.get("a/b") == b"x"


# Many at once


def test_all_of_a_batch_are_stored_and_the_last_of_equal_keys_stays(store: BlobStore) -> None:
    store.put_all([])
    store.put_all([("ring/one", b"1", False)])
    items = [(f"ring/{number}", bytes([number]) * number, number % 2 == 0) for number in range(60)]
    store.put_all([*items, ("ring/7", b"again", True)])
    wanted = {key: data for key, data, _ in items} | {"ring/7": b"again", "ring/one": b"1"}
    assert {key: store.get(key) for key in store.keys()} == wanted  # noqa: SIM118
    assert store.used("ring") == sum(map(len, wanted.values()))


def test_a_batch_with_a_key_that_is_none_raises(store: BlobStore) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.put_all([("../x", b"x", True), ("ring/a", b"a", True)])


def test_a_thousand_and_more_are_listed_counted_and_removed(store: BlobStore) -> None:
    store.put_all([(f"ring/2026/{number}", b"xy", False) for number in range(1100)])
    store.put("ring/2027/x", b"x")
    assert len(set(store.keys("ring/2026"))) == 1100
    assert store.used("ring/2026") == 2200
    assert store.delete_prefix("ring/2026") == 1100
    assert list(store.keys()) == ["ring/2027/x"]
    assert store.delete_prefix("ring/2026") == 0
    assert store.used("nothing") == 0


def test_a_large_blob_comes_back_whole(store: BlobStore) -> None:
    data = bytes(range(256)) * (9 << 12)  # 9 MiB
    store.put("model/large", data)
    assert store.get("model/large") == data
    assert store.size("model/large") == len(data)


def test_sweeping_never_touches_a_blob(store: BlobStore) -> None:
    store.put("model/a", b"x")
    assert store.sweep("model", before=datetime.now(UTC) + timedelta(days=1)) == 0
    assert store.get("model/a") == b"x"


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="FLAWLINE_BLOBS__URL"):
        open_blobs(Settings(blobs=BlobSettings(url="ftp://host")))


# Retention


def test_only_hours_that_ended_are_dropped(store: BlobStore) -> None:
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


def test_folders_that_are_nobodys_hour_stay(store: BlobStore) -> None:
    for key in ("ring/notes/01/01/01/a", "ring/2026/13/01/01/a", "ring/2026/01/01/24/a", "ring/2026/01/b"):
        store.put(key, b"x")
    assert drop_older(store, Kind.RING, NOON) == 0
    assert len(list(store.keys())) == 4
