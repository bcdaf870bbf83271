import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.verdicts import InvalidReason
from ingest.gate import Gate, GateLimits
from ingest.pictures import Picture, decode
from ingest.simulator import PRODUCTS, CameraFault, Simulator

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LEARN = GateLimits().learn
CAUGHT = {
    CameraFault.BLUR: {InvalidReason.BLUR},
    CameraFault.DARK: {InvalidReason.DARK},
    CameraFault.SATURATED: {InvalidReason.BRIGHT, InvalidReason.CLIPPED},
    CameraFault.FROZEN: {InvalidReason.FROZEN},
    CameraFault.SHIFTED: {InvalidReason.MISALIGNED},
}


def taught(ring: Simulator) -> Gate:
    gate = Gate()
    for part in range(LEARN):
        assert gate.check(ring.render(part).picture).reason is None
    assert gate.ready
    return gate


@pytest.mark.parametrize("product", PRODUCTS)
def test_sound_pictures_pass_however_defective_the_part_is(product: str) -> None:
    simulator, gate = Simulator(product, seed=31, defect_rate=0.5), Gate()
    results = [gate.check(simulator.render(part).picture) for part in range(40)]
    assert [result.detail for result in results if result.reason] == []


@pytest.mark.parametrize("fault", CameraFault)
@pytest.mark.parametrize("product", PRODUCTS)
def test_each_camera_fault_is_caught_by_its_name(product: str, fault: CameraFault) -> None:
    faulty = range(LEARN + 2, LEARN + 14)
    simulator, gate = Simulator(product, seed=32, defect_rate=0.1, faults=[(faulty, fault)]), Gate()
    results = {part: gate.check(simulator.render(part).picture) for part in range(faulty.stop + 3)}
    if product == "weave" and fault is CameraFault.SHIFTED:
        assert not any(result.reason for result in results.values())  # a shifted cloth is the same cloth
        return
    assert {results[part].reason for part in faulty} <= CAUGHT[fault]
    assert all(results[part].detail for part in faulty)
    assert not any(results[part].reason for part in results if part not in faulty)


@pytest.mark.parametrize("data_set", ["cubes", "circuit_board", "cookies", "magnetic_tile"])
@pytest.mark.parametrize("order", ["by name", "mixed"])
def test_real_pictures_are_not_refused(data_set: str, order: str) -> None:
    folder = DATA / data_set
    if not folder.is_dir():
        pytest.skip(f"real pictures of {data_set} are not at {folder}")
    paths = sorted(path for part in ("train", "test") for path in (folder / part).rglob("*.*"))
    if order == "mixed":
        random.Random(4).shuffle(paths)
    gate = Gate()
    refused = []
    for path in paths[:110]:
        result = gate.check(decode(path.read_bytes(), max_pixels=10_000_000))
        if result.reason:
            refused.append(f"{path.name}: {result.reason} {result.detail}")
    assert refused == []


def grey(value: float, *, noise: float = 8.0, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(value, noise, (96, 128, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (grey(3, noise=1), InvalidReason.DARK),
        (grey(251, noise=1), InvalidReason.BRIGHT),
        (grey(120), None),
    ],
)
def test_before_the_baseline_only_what_holds_for_every_camera_is_judged(
    picture: Picture, reason: InvalidReason | None
) -> None:
    gate = Gate()
    assert gate.check(picture).reason is reason
    assert not gate.ready


def test_a_blurred_picture_passes_before_the_baseline_and_not_after_it(ring: Simulator) -> None:
    blurred = np.asarray(cv2.GaussianBlur(ring.render(99).picture, (0, 0), 4.0), np.uint8)
    assert Gate().check(blurred).reason is None
    result = taught(ring).check(blurred)
    assert result.reason is InvalidReason.BLUR
    assert result.metrics["focus_ratio"] < 0.5


def test_a_few_bad_pictures_among_the_first_do_not_spoil_the_baseline(ring: Simulator) -> None:
    gate = Gate()
    for part in range(LEARN + 3):
        picture = ring.render(part).picture
        gate.check((picture * 0.02).astype(np.uint8) if part in (2, 5, 6) else picture)
    assert gate.ready
    assert gate.check((ring.render(50).picture * 0.3).astype(np.uint8)).reason is InvalidReason.DARK


def test_the_same_picture_again_is_frozen_at_once(ring: Simulator) -> None:
    gate, picture = Gate(), ring.render(0).picture
    assert gate.check(picture).reason is None
    assert gate.check(picture.copy()).reason is InvalidReason.FROZEN
    assert gate.check(ring.render(1).picture).reason is None


def test_less_change_than_noise_is_frozen_from_the_second_time_on(ring: Simulator) -> None:
    gate, picture = Gate(), ring.render(0).picture
    nearly = []
    for at in range(4):
        again = picture.copy()
        again[at, at] ^= 1  # what a video codec leaves of a still picture
        nearly.append(gate.check(again).reason)
    assert nearly == [None, None, InvalidReason.FROZEN, InvalidReason.FROZEN]


def test_pictures_of_a_resting_scene_with_sensor_noise_are_not_frozen() -> None:
    gate = Gate()
    assert [gate.check(grey(120, noise=1.5, seed=seed)).reason for seed in range(6)] == [None] * 6


def test_saturated_highlights_are_clipped_even_where_the_mean_is_normal(ring: Simulator) -> None:
    gate = taught(ring)
    picture = ring.render(60).picture.copy()
    picture[:170] = 255
    picture[170:] = (picture[170:] * 0.6).astype(np.uint8)
    assert gate.check(picture).reason is InvalidReason.CLIPPED


def test_alignment_can_be_switched_off(ring: Simulator) -> None:
    gate = Gate(align=False)
    for part in range(LEARN):
        gate.check(ring.render(part).picture)
    moved = np.roll(ring.render(50).picture, 60, axis=1)
    assert gate.check(moved).reason is None
    assert taught(ring).check(moved).reason is InvalidReason.MISALIGNED


def test_another_picture_size_is_learnt_anew(ring: Simulator) -> None:
    gate = taught(ring)
    small = np.ascontiguousarray(ring.render(50).picture[:320, :320])
    assert gate.check(small).reason is None
    assert not gate.ready


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (9, 2)])
def test_pictures_of_any_shape_are_judged_without_an_error(shape: tuple[int, int]) -> None:
    gate = Gate()
    for seed in range(LEARN + 2):
        picture = np.random.default_rng(seed).integers(60, 190, (*shape, 3), np.uint8)
        assert gate.check(picture).reason in (None, *InvalidReason)
