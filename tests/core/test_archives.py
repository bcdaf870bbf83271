"""An archive proves itself: what was cut, changed, added or smuggled in is found before anything is restored."""

import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.archives import BLOBS, DATABASE, LINE, LIST, MANIFEST, PARTIAL, members, verify, writing
from core.errors import BackupUnusable, SettingsInvalid, StoreUnavailable

KEY = "frame/2026/11/25/07/ring-top/1_2_3.jpg"


def archive(path: Path, **more: bytes) -> Path:
    with writing(path) as made:
        made.add(DATABASE, b"rows")
        made.add(LINE, b"name = 'x'")
        for key, data in ({KEY: b"picture"} | more).items():
            made.add(BLOBS + key, data)
        made.finish({"backup": {}})
    return path


def repacked(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same archive with its members changed, as one who edits it would write it."""
    with tarfile.open(path) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    change(held)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in held.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_what_was_added_is_read_in_order_and_every_bit_is_proved(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz")
    assert verify(path)["backup"] == {}
    assert [(name, content.read()) for name, content in members(path)][:3] == [
        (DATABASE, b"rows"),
        (LINE, b"name = 'x'"),
        (BLOBS + KEY, b"picture"),
    ]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert archive(tmp_path / "a.tar.gz").stat().st_mode & 0o077 == 0


@given(
    st.dictionaries(st.from_regex(r"frame/[a-z0-9]{1,12}\.jpg", fullmatch=True), st.binary(max_size=3000), max_size=8)
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_members_come_back_as_they_were(tmp_path: Path, blobs: dict[str, bytes]) -> None:
    path = tmp_path / "p.tar.gz"
    path.unlink(missing_ok=True)
    archive(path, **blobs)
    verify(path)
    found = {name.removeprefix(BLOBS): content.read() for name, content in members(path) if name.startswith(BLOBS)}
    assert found == {KEY: b"picture"} | blobs


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for length in range(0, len(whole) - 8, max(1, len(whole) // 60)):
        cut.write_bytes(whole[:length])
        with pytest.raises(BackupUnusable):
            verify(cut)


def test_one_changed_byte_anywhere_is_found(tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(archive(tmp_path / "a.tar.gz").read_bytes()))
    changed = tmp_path / "changed.tar.gz"
    said = [place for place in range(len(plain)) if bytes(plain[place : place + 4]) in (b"rows", b"pict", b"name")]
    for place in said:
        bad = bytearray(plain)
        bad[place] ^= 1
        changed.write_bytes(gzip.compress(bytes(bad)))
        with pytest.raises(BackupUnusable):
            verify(changed)
    assert len(said) >= 3


def test_the_changed_member_is_named(tmp_path: Path) -> None:
    path = repacked(archive(tmp_path / "a.tar.gz"), lambda held: held.update({BLOBS + KEY: b"another"}))
    with pytest.raises(BackupUnusable, match=r"1_2_3\.jpg is not what was written"):
        verify(path)


def drop(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(held: dict[str, bytes]) -> None:
        del held[name]

    return change


def insert(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(held: dict[str, bytes]) -> None:
        last = {key: held.pop(key) for key in (LIST, MANIFEST)}
        held.update({name: b"smuggled"} | last)

    return change


def append(held: dict[str, bytes]) -> None:
    held.update({BLOBS + "frame/late.jpg": b"x"})


@pytest.mark.parametrize(
    "change",
    [drop(DATABASE), drop(LINE), drop(BLOBS + KEY), drop(LIST), drop(MANIFEST), insert(BLOBS + "frame/x.jpg"), append],
)
def test_members_that_are_missing_or_were_added_are_found(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    with pytest.raises(BackupUnusable):
        verify(repacked(archive(tmp_path / "a.tar.gz"), change))


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "blobs/../../outside",
        "blobs//etc/passwd",
        "blobs/.hidden",
        "other",
        "blobs/",
        "Database",
    ],
)
def test_a_member_with_a_path_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    path = repacked(archive(tmp_path / "a.tar.gz"), insert(name))
    with pytest.raises(BackupUnusable, match="has no place in a backup"):
        verify(path)
    with pytest.raises(BackupUnusable, match="has no place in a backup"):
        list(members(path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_folders_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(DATABASE)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(BackupUnusable, match="has no place in a backup"):
        verify(path)


def test_an_archive_of_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    def newer(held: dict[str, bytes]) -> None:
        held[MANIFEST] = json.dumps({**json.loads(held[MANIFEST]), "format": 2}).encode()

    with pytest.raises(BackupUnusable, match="update flawline"):
        verify(repacked(archive(tmp_path / "a.tar.gz"), newer))


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x1f\x8b" + b"\0" * 40, gzip.compress(b"no tar" * 200)],
    ids=["empty", "text", "damaged", "no tar"],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BackupUnusable):
        verify(path)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable, match="no backup at"):
        verify(tmp_path / "none.tar.gz")


def test_a_backup_is_never_written_over(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz")
    before = path.read_bytes()
    with pytest.raises(SettingsInvalid, match="never written over"):
        archive(path)
    assert path.read_bytes() == before


def test_one_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "a.tar.gz") as made:
            made.add(DATABASE, b"rows")
            raise StoreUnavailable("the database went away")

    with pytest.raises(StoreUnavailable, match="went away"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_so_and_leaves_nothing_behind(tmp_path: Path, small_disk: Path) -> None:
    def fill() -> None:
        with writing(small_disk / "a.tar.gz") as made:
            for number in range(500):
                made.add(f"{BLOBS}frame/{number}.jpg", os.urandom(1 << 17))

    with pytest.raises(StoreUnavailable, match="No space left"):
        fill()
    assert list(small_disk.iterdir()) == []


def test_what_a_killed_backup_left_goes_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / f".old{PARTIAL}", tmp_path / f".young{PARTIAL}"
    for left in (old, young):
        left.write_bytes(b"half")
    folder = tmp_path / f".folder{PARTIAL}"
    folder.mkdir()
    (folder / "books").write_bytes(b"half")
    for left in (old, folder):
        os.utime(left, (time.time() - 90000, time.time() - 90000))
    archive(tmp_path / "a.tar.gz")
    assert not old.exists()
    assert not folder.exists()
    assert young.exists()
