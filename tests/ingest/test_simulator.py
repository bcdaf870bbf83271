import itertools
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulator import PRODUCTS, CameraFault, DefectKind, Simulator
from ingest.simulator.board import Board
from ingest.simulator.camera import noise_levels
from ingest.simulator.flaws import visible_change
from ingest.simulator.ring import Ring
from ingest.simulator.weave import Weave

CASES = [(built.name, kind) for built in (Ring, Board, Weave) for kind in built.kinds]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_part_follows_from_product_seed_and_number_alone(product: str) -> None:
    one, other = Simulator(product, seed=5, defect_rate=0.5), Simulator(product, seed=5, defect_rate=0.5)
    for part in (3, 0, 11):
        other.render(part + 1)  # what was rendered before makes no difference
        first, second = one.render(part), other.render(part)
        assert np.array_equal(first.picture, second.picture)
        assert first.truth.label == second.truth.label
        assert np.array_equal(first.truth.mask, second.truth.mask)


def test_another_seed_is_another_shift(ring: Simulator) -> None:
    assert not np.array_equal(ring.render(0).picture, Simulator("ring", seed=8, defect_rate=0.0).render(0).picture)


@pytest.mark.parametrize("product", PRODUCTS)
def test_good_parts_differ_from_one_another_as_in_life(product: str) -> None:
    simulator = Simulator(product, seed=1, defect_rate=0.0)
    pictures = [simulator.render(part).picture.astype(np.int16) for part in range(4)]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one - other).mean() > 2.0
        assert abs(float(one.mean()) - float(other.mean())) < 12.0


@pytest.mark.parametrize("product", PRODUCTS)
def test_pictures_are_exposed_like_photographs(product: str) -> None:
    picture = Simulator(product, seed=1, defect_rate=0.0).render(0).picture
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    assert 40 < picture.mean() < 180
    assert np.count_nonzero(picture == 255) < 0.01 * picture.size
    assert np.count_nonzero(picture == 0) < 0.01 * picture.size


def test_noise_is_of_sensor_size_and_differs_between_two_pictures_of_one_part(ring: Simulator) -> None:
    levels = noise_levels()
    assert levels.shape == (256,)
    assert np.all(levels > 0.3)
    assert np.all(levels < 6.0)
    flat = ring.render(0).picture[8:24, 8:40].astype(np.float32)
    assert flat.std() > 1.0


@pytest.mark.parametrize(("product", "kind"), CASES)
def test_each_defect_shows_inside_its_mask_and_nowhere_else(product: str, kind: DefectKind) -> None:
    simulator = Simulator(product, seed=21)
    for part in range(4):
        marred, good = simulator.spoilt(part, kind), simulator.good(part)
        mask = marred.truth.mask
        change = np.abs(marred.picture.astype(np.float32) - good.picture.astype(np.float32)).max(axis=2)
        assert marred.truth.defect is kind
        assert 0 < marred.truth.severity <= 1
        assert mask.shape == (480, 640)
        assert 24 <= mask.sum() < 0.2 * mask.size
        assert change[mask].mean() > 6.0
        assert change[mask].mean() > 4 * change[~mask].mean()
        assert np.quantile(change[~mask], 0.995) < 8.0


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_product_has_at_least_four_kinds_and_all_of_them_occur(product: str) -> None:
    simulator = Simulator(product, seed=2, defect_rate=1.0)
    assert len(simulator.kinds) >= 4
    assert {simulator.kind(part) for part in range(60)} == set(simulator.kinds)


def test_defects_come_at_the_asked_rate_and_good_parts_have_an_empty_mask() -> None:
    simulator = Simulator("ring", seed=4, defect_rate=0.2)
    kinds = [simulator.kind(part) for part in range(400)]
    assert 50 <= sum(kind is not None for kind in kinds) <= 110
    good, bad = kinds.index(None), next(part for part, kind in enumerate(kinds) if kind)
    assert simulator.truth(bad).label == kinds[bad]
    truth = simulator.truth(good)
    assert (truth.label, truth.severity) == ("good", 0.0)
    assert not truth.mask.any()


def test_severity_leans_to_the_visible_and_its_subtle_share_can_be_set() -> None:
    def barely(subtle: float) -> float:
        simulator = Simulator("ring", seed=4, defect_rate=1.0, subtle=subtle)
        severities = [simulator.severity(part) for part in range(300)]
        assert max(severities) > 0.8
        return sum(severity < 0.33 for severity in severities) / len(severities)

    assert barely(0.0) == 0.0
    assert barely(0.1) < 0.25
    assert barely(0.9) > 0.75


def test_the_truth_alone_is_the_truth_of_the_picture() -> None:
    simulator = Simulator("weave", seed=6, defect_rate=0.6)
    for part in range(5):
        alone, rendered = simulator.truth(part), simulator.render(part).truth
        assert (alone.defect, alone.severity) == (rendered.defect, rendered.severity)
        assert np.array_equal(alone.mask, rendered.mask)


def test_the_share_of_defects_does_not_change_how_a_good_part_looks() -> None:
    never, sometimes = Simulator("ring", seed=3, defect_rate=0.0), Simulator("ring", seed=3, defect_rate=0.3)
    part = next(part for part in range(50) if sometimes.truth(part).defect is None)
    assert np.array_equal(never.render(part).picture, sometimes.render(part).picture)


def test_scheduled_faults_come_when_they_are_due_and_spoil_the_picture(ring: Simulator) -> None:
    sequence = list(CameraFault)
    schedule = [(range(10 + at, 11 + at), fault) for at, fault in enumerate(sequence)]
    faulty = Simulator("ring", seed=7, defect_rate=0.0, faults=schedule)
    assert faulty.fault(9) is None
    assert [faulty.render(10 + at).fault for at in range(len(sequence))] == sequence
    clean = [ring.render(10 + at).picture.astype(np.float32) for at in range(len(sequence))]
    shown = [faulty.render(10 + at).picture.astype(np.float32) for at in range(len(sequence))]
    assert shown[sequence.index(CameraFault.DARK)].mean() < 0.3 * clean[1].mean()
    assert (shown[sequence.index(CameraFault.SATURATED)] == 255).mean() > 0.2
    blurred = sequence.index(CameraFault.BLUR)
    assert np.abs(np.diff(shown[blurred], axis=1)).mean() < 0.7 * np.abs(np.diff(clean[blurred], axis=1)).mean()
    shifted = sequence.index(CameraFault.SHIFTED)
    assert np.abs(shown[shifted] - clean[shifted]).mean() > 15


def test_a_frozen_camera_repeats_the_last_picture_before_it_froze() -> None:
    simulator = Simulator("ring", seed=7, defect_rate=0.0, faults=[(range(5, 8), CameraFault.FROZEN)])
    last = simulator.render(4).picture
    assert all(np.array_equal(simulator.render(part).picture, last) for part in (5, 6, 7))
    assert not np.array_equal(simulator.render(8).picture, last)


def test_faults_by_chance_come_at_their_rate() -> None:
    simulator = Simulator("ring", seed=1, fault_rate=0.25)
    found = Counter(simulator.fault(part) for part in range(400))
    assert 60 < 400 - found[None] < 140
    assert set(found) == {None, *CameraFault}


def test_an_unknown_product_or_share_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(ValueError, match="ring, board, weave"):
        Simulator("gearbox", seed=1)
    with pytest.raises(ValueError, match=r"defect_rate is 1\.5"):
        Simulator("ring", seed=1, defect_rate=1.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 59), st.integers(0, 59), st.integers(4, 20))
def test_a_visible_change_is_found_where_it_is(row: int, column: int, side: int) -> None:
    clean = np.full((80, 80, 3), 120, np.float32)
    marred = clean.copy()
    marred[row : row + side, column : column + side, 1] += 40
    mask = visible_change(clean, marred)
    assert mask[row : row + side, column : column + side].mean() > 0.6
    grown = np.zeros_like(mask)
    grown[max(0, row - 4) : row + side + 4, max(0, column - 4) : column + side + 4] = True
    assert not (mask & ~grown).any()


def test_nothing_changed_is_an_empty_mask() -> None:
    clean = np.full((40, 40, 3), 90, np.float32)
    assert not visible_change(clean, clean + 3.0).any()


@pytest.mark.parametrize("product", PRODUCTS)
def test_rendering_keeps_up_with_a_fast_line(product: str) -> None:
    simulator = Simulator(product, seed=1, defect_rate=0.08)
    times = []
    for part in range(12):
        began = time.process_time()
        simulator.render(part)
        times.append(time.process_time() - began)
    assert sorted(times)[len(times) // 2] < 0.08  # far above what it takes: the machine may be busy otherwise
