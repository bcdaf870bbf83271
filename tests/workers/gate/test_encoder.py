"""A gate that follows its belt by the encoder, from registers to results; with a real process and a PLC at the end."""

from pathlib import Path

import pytest

from tests.workers.gate.bench import told
from tests.workers.gate.plant import Plant
from workers.gate.image import Coil, Input

BY_BELT = {"distance_m": 1.2, "fastest_m_s": 0.5, "counts_per_m": 2000}
FAILSAFE = "REJECTED_FAILSAFE"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.sqlite"


def running(path: Path, **more: object) -> Plant:
    plant = Plant(path, **BY_BELT, **more)  # type: ignore[arg-type]
    plant.speed = 1.0
    plant.pass_time(500)
    return plant


def stop_line(plant: Plant) -> None:
    plant.write(Coil.LINE_RUNNING, on=False)
    plant.speed = 0.0


def start_line(plant: Plant) -> None:
    plant.write(Coil.LINE_RUNNING, on=True)
    plant.speed = 1.0


def test_a_line_stop_costs_no_part(path: Path) -> None:
    plant = running(path)
    plant.trigger(7)
    plant.pass_time(1000)
    stop_line(plant)
    plant.pass_time(30_000)
    assert plant.results() == {}
    assert plant.alarms() == {}, "a part that stands before its camera is waited for"
    plant.hear(told(7))
    start_line(plant)
    plant.pass_time(1100)
    assert plant.results() == {}
    plant.pass_time(200)
    assert plant.results() == {7: True}
    assert plant.route_of(7) == "ACCEPTED"
    assert plant.routes()[0].encoder == 500


def test_an_encoder_that_was_reset_is_a_fault_that_only_a_passed_challenge_takes_back(path: Path) -> None:
    plant = running(path)
    plant.trigger(7)
    plant.hear(told(7))
    plant.pass_time(500)
    plant.encoder = 0
    plant.pass_time(40)
    assert plant.on(Input.FAULT)
    assert plant.on(Input.NOT_QUALIFIED)
    plant.pass_time(2000)
    assert plant.results() == {7: False}
    assert plant.route_of(7) == f"{FAILSAFE} TRIGGER_ERROR"
    assert "encoder ran backward or was reset" in plant.alarms()["GATE_FAULT"]
    plant.order("reset")
    assert plant.on(Input.FAULT)
    plant.order("qualify")
    assert not plant.on(Input.FAULT)
    plant.trigger(8)
    plant.hear(told(8))
    plant.pass_time(2240)
    assert plant.results() == {8: True}


def test_a_belt_that_runs_backward_is_never_a_pass(path: Path) -> None:
    plant = running(path)
    plant.trigger(7)
    plant.hear(told(7))
    plant.pass_time(2000)
    plant.speed = -1.0
    plant.pass_time(500)
    plant.speed = 1.0
    plant.pass_time(1000)
    assert plant.results() == {7: False}


@pytest.mark.parametrize("tells", [True, False])
def test_an_encoder_that_is_dead_while_the_line_runs_is_a_fault_as_long_as_that_lasts(path: Path, tells: bool) -> None:
    plant = running(path)
    plant.trigger(7)
    plant.hear(told(7))
    plant.speed, plant.tells_place = 0.0, tells
    plant.pass_time(4_600)
    assert "GATE_FAULT" not in plant.alarms()
    assert "stood still for 5 s" in plant.alarms()["GATE_FAULT"]
    assert plant.results() == {7: False}
    assert plant.route_of(7) == f"{FAILSAFE} TRIGGER_ERROR"
    plant.speed, plant.tells_place = 1.0, True
    assert "GATE_FAULT" not in plant.alarms()
    plant.trigger(8)
    plant.hear(told(8))
    plant.pass_time(2240)
    assert plant.results() == {8: True}


def test_a_line_that_starts_again_is_given_its_time_to_move(path: Path) -> None:
    plant = running(path)
    stop_line(plant)
    plant.pass_time(60_000)
    plant.write(Coil.LINE_RUNNING, on=True)
    plant.pass_time(4_000)
    assert not plant.on(Input.FAULT)


def test_a_belt_that_stops_between_parts_while_its_line_runs_may_be_left_alone(path: Path) -> None:
    plant = running(path, encoder_still_s=0)
    plant.speed = 0.0
    plant.pass_time(60_000)
    assert not plant.on(Input.FAULT)


def test_the_cameras_places_come_from_the_line(path: Path) -> None:
    plant = running(path, cameras_m={"top": 0.5})
    plant.trigger(7)
    plant.trigger(8)
    plant.pass_time(880)  # 880 of 1000 counts; 100 are allowed
    plant.hear(told(7))
    plant.pass_time(100)
    plant.hear(told(8))
    plant.pass_time(1400)
    assert plant.results() == {7: False, 8: True}


def test_silence_counts_only_while_the_line_runs(path: Path) -> None:
    plant = running(path, stop_late=0, stop_late_percent=0)
    plant.trigger(7)
    stop_line(plant)
    plant.pass_time(20_000)
    assert "NOT_INSPECTING" not in plant.alarms()
    start_line(plant)
    plant.pass_time(4_600)
    assert "NOT_INSPECTING" not in plant.alarms()
    plant.pass_time(500)
    assert "NOT_INSPECTING" in plant.alarms()
