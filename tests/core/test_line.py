from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import SettingsInvalid
from core.gates import Gate
from core.line import Camera, Line, line_of, read_line

RING = Camera(name="ring-top", product="ring", source="simulator:ring?rate=10", deadline_ms=5000)
BOARD = Camera(name="board-top", product="board", source='folder:/data/"odd"\\name')


def test_a_line_survives_its_file(tmp_path: Path) -> None:
    line = line_of([RING, BOARD], name="line 2")
    (tmp_path / "line.toml").write_text(line.to_toml())
    assert read_line(tmp_path / "line.toml") == line


def test_gates_survive_the_file_too(tmp_path: Path) -> None:
    gate = Gate(
        name="reject-1", cameras=("ring-top", "board-top"), deadline_ms=900.5, product_codes={"ring": 1, "board": 2},
        stop_on=("BIN_FULL",), reject_sensor=True, mqtt="mqtt://broker.example:1883", mqtt_password_file=Path("secret"),
    )  # fmt: skip
    line = line_of([RING, BOARD], gates=[gate, Gate(name="reject-2", cameras=("ring-top",), deadline_ms=1)])
    (tmp_path / "line.toml").write_text(line.to_toml())
    assert read_line(tmp_path / "line.toml") == line
    assert line.find_gate("reject-1") == gate


def test_an_unknown_gate_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match=r"'reject-9'.*none"):
        line_of([RING]).find_gate("reject-9")


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ([("a", ["ring-top"]), ("a", ["ring-top"])], "used twice: a"),
        ([("a", ["ring-top", "side"])], "gate a: the line has no camera side"),
        ([("a", ["counting"])], "counting only counts its parts"),
    ],
)
def test_gates_that_do_not_fit_the_cameras_are_refused(gates: list[tuple[str, list[str]]], said: str) -> None:
    counting = RING.model_copy(update={"name": "counting", "part_ids": "counter"})
    made = [Gate(name=name, cameras=tuple(cameras), deadline_ms=1) for name, cameras in gates]
    with pytest.raises(ValidationError, match=said):
        line_of([RING, counting], gates=made)


def test_a_counting_camera_is_allowed_where_the_time_of_its_pictures_is_checked() -> None:
    counting = RING.model_copy(update={"part_ids": "counter"})
    assert line_of([counting], gates=[Gate(name="a", cameras=("ring-top",), deadline_ms=1, capture_within_ms=40)]).gate


def test_cameras_get_partitions_by_their_place() -> None:
    line = line_of([RING, BOARD], partitions=4)
    assert [line.partition_of(camera.name) for camera in line.camera] == [0, 1]


def test_a_stated_partition_wins_over_the_place() -> None:
    assert line_of([RING, BOARD.model_copy(update={"partition": 3})]).partition_of("board-top") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[camera]]\nname = 'a'", "source"), ("name = [", "line file"), ("[[camera]]\ncolour = 1", "colour"),
        ("partitions = 1\n[[camera]]\nname='a'\nproduct='p'\nsource='s'\npartition=1", "partition must be below 1"),
        ("[[camera]]\nname='A B'\nproduct='p'\nsource='s'", "name"),
        ("[[camera]]\nname='../up'\nproduct='p'\nsource='s'", "name"),
        ("[[camera]]\nname='a'\nproduct='p'\nsource='s'\n" * 2, "used twice: a"),
    ],
)  # fmt: skip
def test_a_wrong_line_file_says_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text(text)
    with pytest.raises(SettingsInvalid, match=said):
        read_line(tmp_path / "line.toml")


def test_a_missing_line_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="flawline demo"):
        read_line(tmp_path / "none.toml")


def test_an_unknown_camera_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match=r"'side'.*ring-top"):
        Line(camera=(RING,)).find("side")


@pytest.mark.parametrize(("camera_m", "fits"), [(0.0, True), (1.19, True), (1.2, False), (3.0, False)])
def test_a_camera_stands_before_the_gate_that_measures_the_way_by_the_encoder(camera_m: float, fits: bool) -> None:
    by_belt = Gate(name="a", cameras=("ring-top",), distance_m=1.2, fastest_m_s=0.5, counts_per_m=2000)
    camera = RING.model_copy(update={"distance_m": camera_m})
    if fits:
        assert line_of([camera], gates=[by_belt]).find("ring-top").distance_m == camera_m
    else:
        with pytest.raises(ValueError, match="gate a: ring-top must stand before it"):
            line_of([camera], gates=[by_belt])
    assert line_of([camera], gates=[by_belt.model_copy(update={"counts_per_m": 0})]).gate
