import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SourceUnavailable
from ingest.sources.folder import FolderSource, natural
from ingest.sources.source import Claim, Grabbed, SourceState

LONG_AGO = 1_700_000_000.0


def put(path: Path, content: bytes = b"picture", *, age: float | None = None) -> Path:
    path.write_bytes(content)
    then = LONG_AGO if age is None else time.time() - age
    os.utime(path, (then, then))
    return path


def take_all(source: FolderSource, *, session: int = 1, done: bool = True) -> list[Grabbed]:
    """Read, claim and finish until nothing comes."""
    taken: list[Grabbed] = []
    while (grabbed := source.read(0.05)) is not None:
        if grabbed.again is None:
            source.claim(grabbed, Claim(session, len(taken), 1000 + len(taken)))
        taken.append(grabbed)
        if done:
            source.done(grabbed)
    return taken


def names(taken: list[Grabbed]) -> list[str]:
    return [grabbed.name for grabbed in taken]


def test_pictures_come_in_natural_order_with_their_own_bytes(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        put(tmp_path / f"part {number}.jpg", b"bytes %d" % number)
    with FolderSource(tmp_path) as source:
        assert source.waits
        taken = take_all(source)
    assert names(taken) == ["part 1.jpg", "part 9.jpg", "part 10.jpg"]
    assert [grabbed.encoded for grabbed in taken] == [b"bytes 1", b"bytes 9", b"bytes 10"]
    assert taken[0].part_id == "part 1"


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_natural_order_is_the_order_of_the_numbers(numbers: list[int]) -> None:
    assert sorted((f"p{n}.png" for n in numbers), key=natural) == [f"p{n}.png" for n in sorted(numbers)]


@given(st.lists(st.text("ab1_2."), min_size=1))
def test_natural_order_can_compare_any_names(words: list[str]) -> None:
    assert min(words, key=natural) in words


def test_a_replay_ends_after_its_last_picture(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    with FolderSource(tmp_path) as source:
        assert source.state == SourceState.OPEN
        take_all(source)
        ended: SourceState = source.state
        assert ended == SourceState.ENDED
        assert source.read(0.0) is None


def test_a_loop_begins_again(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    with FolderSource(tmp_path, loop=True) as source:
        taken = [source.read(1.0) for _ in range(5)]
    assert [grabbed.name for grabbed in taken if grabbed] == ["a.png", "b.png", "a.png", "b.png", "a.png"]


def test_other_files_hidden_files_and_half_renamed_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.png", "part.png.tmp", "part.partial"):
        put(tmp_path / name)
    put(tmp_path / "part.png")
    with FolderSource(tmp_path) as source:
        assert names(take_all(source)) == ["part.png"]


def test_a_file_that_is_still_being_written_is_not_taken_before_it_stands_still(tmp_path: Path) -> None:
    growing = tmp_path / "growing.jpg"
    with FolderSource(tmp_path, watch=True) as source, growing.open("wb") as file:
        for _ in range(8):
            file.write(b"half ")
            file.flush()
            assert source.read(0.15) is None
        began = time.monotonic()
        grabbed = source.read(5.0)
        assert grabbed is not None
        assert grabbed.encoded == b"half " * 8
        assert time.monotonic() - began > 0.3


def test_a_watched_folder_gives_what_arrives_later_and_never_ends(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    with FolderSource(tmp_path, watch=True) as source:
        assert names(take_all(source)) == ["1.png"]
        assert source.state is SourceState.OPEN
        put(tmp_path / "2.png")
        assert names(take_all(source)) == ["2.png"]


def test_a_file_renamed_into_place_is_taken_whole(tmp_path: Path) -> None:
    with FolderSource(tmp_path, watch=True) as source:
        assert source.read(0.0) is None
        put(tmp_path / "x.tmp", b"whole", age=0.0).rename(tmp_path / "x.png")
        grabbed = source.read(3.0)
    assert grabbed is not None
    assert grabbed.encoded == b"whole"


def test_new_content_under_an_old_name_is_another_picture(tmp_path: Path) -> None:
    put(tmp_path / "shot.jpg", b"first")
    with FolderSource(tmp_path, watch=True, notes=tmp_path / "notes" / "taken.sqlite") as source:
        assert [grabbed.encoded for grabbed in take_all(source)] == [b"first"]
        put(tmp_path / "shot.jpg", b"second picture")
        assert [grabbed.encoded for grabbed in take_all(source, session=2)] == [b"second picture"]


def test_after_a_restart_nothing_is_taken_twice_and_nothing_is_left_out(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "taken.sqlite"
    for number in range(5):
        put(tmp_path / f"{number}.png")
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        for seq in range(2):
            grabbed = source.read(1.0)
            assert grabbed is not None
            source.claim(grabbed, Claim(1, seq, 1000))
            source.done(grabbed)
    put(tmp_path / "5.png")
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        assert names(take_all(source, session=2)) == ["2.png", "3.png", "4.png", "5.png"]
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        assert take_all(source, session=3) == []


def test_a_picture_that_was_claimed_before_a_kill_comes_first_and_keeps_its_identity(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "taken.sqlite"
    for number in range(3):
        put(tmp_path / f"{number}.png", b"%d" % number)
    killed = FolderSource(tmp_path, watch=True, notes=notes)
    killed.__enter__()
    for seq in range(2):
        grabbed = killed.read(1.0)
        assert grabbed is not None
        killed.claim(grabbed, Claim(77, seq, 1000 + seq))
        if seq == 0:
            killed.done(grabbed)
    # the process dies here: `done` of the first is on disk with the second's claim, the second was perhaps not sent
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        taken = take_all(source, session=78)
    assert names(taken) == ["1.png", "2.png"]
    assert taken[0].again == Claim(77, 1, 1001)
    assert taken[0].encoded == b"1"
    assert taken[1].again is None


def test_a_claimed_picture_that_was_deleted_is_still_accounted_for(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "taken.sqlite"
    path = put(tmp_path / "a.png")
    killed = FolderSource(tmp_path, watch=True, notes=notes)
    killed.__enter__()
    grabbed = killed.read(1.0)
    assert grabbed is not None
    killed.claim(grabbed, Claim(5, 0, 1000))
    path.unlink()
    with FolderSource(tmp_path, watch=True, notes=notes) as source:
        (again,) = take_all(source)
    assert again.again == Claim(5, 0, 1000)
    assert "removed" in again.problem


def test_notes_of_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "taken.sqlite"
    path = put(tmp_path / "a.png")
    with FolderSource(tmp_path, notes=notes) as source:
        take_all(source)
    path.unlink()
    with FolderSource(tmp_path, notes=notes):
        pass
    put(tmp_path / "a.png")
    with FolderSource(tmp_path, notes=notes) as source:
        assert names(take_all(source)) == ["a.png"]


def test_bad_files_are_handed_on_and_never_dropped(tmp_path: Path) -> None:
    put(tmp_path / "0.png", b"")
    put(tmp_path / "1.png", b"this is a text")
    (tmp_path / "2.png").mkdir()
    os.utime(tmp_path / "2.png", (LONG_AGO, LONG_AGO))
    with FolderSource(tmp_path) as source:
        empty, text, folder = take_all(source)
    assert empty.encoded == b""
    assert text.encoded == b"this is a text"
    assert "cannot be read" in folder.problem


def test_a_rate_spaces_the_pictures(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / f"{number}.png")
    with FolderSource(tmp_path, rate=20.0) as source:
        began = time.monotonic()
        taken = [source.read(1.0) for _ in range(4)]
        lasted = time.monotonic() - began
    assert all(taken)
    assert lasted >= 0.14


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"nowhere is no folder; create it"), FolderSource(tmp_path / "nowhere"):
        pass


def test_a_folder_that_vanishes_is_lost_until_it_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    with FolderSource(folder, watch=True) as source:
        folder.rmdir()
        assert source.read(0.05) is None
        assert source.state == SourceState.LOST
        assert "cannot be listed" in source.detail
        folder.mkdir()
        put(folder / "a.png")
        assert names(take_all(source)) == ["a.png"]
        assert source.detail == ""
