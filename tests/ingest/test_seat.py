"""One capture process for each camera of a machine, and session numbers that only grow."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import NotAllowed, StoreUnavailable
from ingest.seat import CameraSeat

NOW = 1_790_000_000 * 10**9

HOLD = """
import sys
from pathlib import Path
from ingest.seat import CameraSeat
with CameraSeat(Path(sys.argv[1]), "top") as seat:
    print(seat.next_session(), flush=True)
    sys.stdin.read()
"""


def session(folder: Path, now: int, camera: str = "top") -> int:
    with CameraSeat(folder, camera, clock=lambda: now) as seat:
        return seat.next_session()


def test_a_session_is_the_time_of_its_start(tmp_path: Path) -> None:
    assert session(tmp_path / "new" / "folder", NOW) == NOW
    assert session(tmp_path / "new" / "folder", NOW + 5) == NOW + 5


def test_a_clock_that_was_set_back_gives_no_old_number(tmp_path: Path) -> None:
    assert session(tmp_path, NOW) == NOW
    assert session(tmp_path, NOW - 3600 * 10**9) == NOW + 1
    assert session(tmp_path, 0) == NOW + 2
    assert session(tmp_path, NOW + 9) == NOW + 9
    assert session(tmp_path, 5, camera="side") == 5


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=10))
def test_sessions_only_grow_whatever_the_clock_says(tmp_path_factory: pytest.TempPathFactory, clock: list[int]) -> None:
    folder = tmp_path_factory.mktemp("seats")
    found = [session(folder, now) for now in clock]
    assert found == sorted(set(found))


@pytest.mark.parametrize("content", [b"", b"torn", b"\x00" * 32, b"-5"])
def test_a_damaged_number_is_started_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "top.seat").write_bytes(content)
    assert session(tmp_path, NOW) == NOW


def test_a_second_process_for_a_camera_refuses_to_start_and_a_killed_one_leaves_its_seat(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        number = int(first.stdout.readline())
        with pytest.raises(NotAllowed, match=r"another process already takes the pictures of camera top.*stop that"):
            CameraSeat(tmp_path, "top", patience=0.1).__enter__()
        with CameraSeat(tmp_path, "side", patience=0.1):
            pass  # another camera is none of its business
        first.kill()
    with CameraSeat(tmp_path, "top") as seat:
        assert seat.next_session() > number


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match=r"camera top.*check the folder"):
        CameraSeat(tmp_path / "file" / "below", "top").__enter__()
