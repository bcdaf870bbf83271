"""Kill -9 at the nastiest points: no frame lost, none counted twice, none passed that was not proved."""

import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.line.plant import PATIENCE, Plant, build, child_of, is_alive, kill, until

PICTURES = 40
INSPECTING = [
    "inspect_after_poll", "inspect_after_blobs", "inspect_in_transaction", "inspect_after_transaction",
    "inspect_after_publish", "inspect_after_commit", "local_in_flush",
]  # fmt: skip

INSPECTION = ("worker", "inspection", "--name", "one")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose log holds the frames of 40 pictures and no verdict yet."""
    plant = build(tmp_path_factory.mktemp("captured") / "data", pictures=PICTURES)
    assert plant.start("worker", "capture", "top").wait(PATIENCE) == 0, plant.said()
    assert plant.lag() >= PICTURES
    return plant.data


@pytest.fixture
def plant(captured: Path, tmp_path: Path) -> Plant:
    """The captured line in a folder of its own."""
    shutil.copytree(captured, tmp_path / "data")
    return Plant(tmp_path / "data")


def judge_the_rest(plant: Plant) -> None:
    with plant.running(*INSPECTION), plant.running("worker", "books"):
        until(plant, lambda: plant.lag() == 0, "all frames to be judged")


def assert_books_balance(plant: Plant, frames: int) -> None:
    found = plant.books()
    assert (found.rows, found.lost, found.duplicates, found.rejected) == (frames, 0, 0, 0), plant.said()
    assert found.counted == frames
    told = Counter(message.id for message in plant.told())
    assert len(told) == frames, "every frame's verdict is told, at least once"
    rows = {(row.camera, row.session, row.seq): row for row in plant.rows()}
    for message in plant.told():
        assert message.score == rows[message.id].score, "a verdict that is told twice is told the same"
    store = plant.data / "blobs"
    assert all((store / row.thumb).is_file() for row in rows.values())


@pytest.mark.parametrize("point", INSPECTING)
def test_inspection_killed_at_any_point_loses_and_doubles_nothing(plant: Plant, point: str) -> None:
    plant.environment = {"FLAWLINE_BROKER__BATCH": "8"}
    victim = plant.start(*INSPECTION, FLAWLINE_WORKER__FAULT=f"{point}:2")
    assert victim.wait(PATIENCE) == -signal.SIGKILL, plant.said()
    judge_the_rest(plant)
    assert_books_balance(plant, PICTURES)
    assert {row.verdict for row in plant.rows()} == {"PASS"}


@pytest.mark.parametrize("point", ["capture_after_append:7", "local_in_flush:9"])
def test_capture_killed_at_any_point_takes_every_picture_once(tmp_path: Path, point: str) -> None:
    plant = build(tmp_path / "data", pictures=20)
    assert plant.start("worker", "capture", "top", FLAWLINE_WORKER__FAULT=point).wait(PATIENCE) == -signal.SIGKILL
    assert plant.start("worker", "capture", "top").wait(PATIENCE) == 0, plant.said()
    judge_the_rest(plant)
    assert_books_balance(plant, 20)
    assert len({row.sha256 for row in plant.rows()}) == 20, "every picture of the folder was judged"


def test_a_worker_killed_again_and_again_at_the_same_place_goes_on_in_the_end(plant: Plant) -> None:
    for _ in range(2):
        victim = plant.start(*INSPECTION, FLAWLINE_WORKER__FAULT="inspect_after_transaction:1")
        assert victim.wait(PATIENCE) == -signal.SIGKILL, plant.said()
    judge_the_rest(plant)
    assert_books_balance(plant, PICTURES)


def test_any_process_of_up_may_be_killed_and_up_itself_too(tmp_path: Path) -> None:
    plant = build(tmp_path / "data", pictures=0, source="simulator:ring?rate=8", deadline_ms=0)
    # the model takes pictures of 64×64 px: the simulator's are INVALID (MISALIGNED), and the books count them as well
    line = plant.start("up", "--no-dashboard")
    try:
        until(plant, lambda: plant.books().rows >= 8, "the first verdicts")
        for words in ("worker inspection", "worker capture top", "worker books", "worker housekeeping"):
            victim = child_of(line.pid, words)
            assert victim, words
            kill(victim)
            until(plant, lambda w=words, v=victim: (child_of(line.pid, w) or v) != v, f"{words} to come back")  # type: ignore[misc]
        until(plant, lambda: len(plant.books().sessions) == 2, "frames of the camera that came back")
        roles = (child_of(line.pid, f"worker {words}") for words in ("inspection", "capture", "books"))
        children = [pid for pid in roles if pid]
        kill(line.pid)
        line.wait(PATIENCE)
        until(plant, lambda: not any(is_alive(pid) for pid in children), "the children to stop by themselves")
    finally:
        line.kill()
        line.wait(PATIENCE)
    with plant.running("up", "--no-dashboard"):
        until(plant, lambda: len(plant.books().sessions) == 3, "frames of the camera after the restart")
    judge_the_rest(plant)
    found = plant.books()
    assert (found.lost, found.duplicates, found.rejected) == (0, 0, 0), f"{found}\n{plant.said()}"
    assert len(found.sessions) == 3, "the first, one after the capture's death, one after the restart"
    captured = sum(book.captured or 0 for book in found.sessions)
    assert found.rows >= captured, "what was captured was judged; a killed session may not have told its last frames"
    assert {row.verdict for row in plant.rows()} == {"INVALID"}
