"""How far a runtime is from PyTorch in float32, on whole maps and in units of good parts."""

import numpy as np
import pytest

from model.architecture import Architecture
from model.networks import Networks
from model.remembering import remember
from model.runtime_parity import MOST_PICTURES, SAME, measure_parity, parity_told, spread_of
from model.runtimes import Precision, RuntimeChoice, RuntimeName, open_runtime
from model.scorer import Scorer
from tests.model.network.conftest import lived_in, pictures, untrained

SIZE = (64, 96)
SCORES = (0.5, 0.6, 0.7, 0.8)


@pytest.fixture(scope="module")
def networks() -> Networks:
    made = untrained(Architecture(backbone="resnet18", features="linear"))
    lived_in(made.teacher)
    lived_in(made.student)
    return made


def scorer_on(networks: Networks, runtime: RuntimeName, precision: Precision, *, valid: bool = False) -> Scorer:
    choice = RuntimeChoice(runtime, precision, 1)
    mask = np.zeros(SIZE, bool)
    mask[:32] = True
    opened = open_runtime(networks.teacher, networks.student, size=SIZE, choice=choice)
    return Scorer(opened, valid=mask if valid else None)


def test_pytorch_itself_needs_no_comparison(networks: Networks) -> None:
    scorer = scorer_on(networks, "torch", "f32")
    found = measure_parity(scorer, pictures(2), SCORES, networks=(networks.teacher, networks.student))
    assert (found.pictures, found.largest) == (0, 0.0)
    assert parity_told(found, scorer.runtime.fingerprint) == SAME


def test_openvino_is_as_near_as_is_required(networks: Networks) -> None:
    scorer = scorer_on(networks, "openvino", "f32")
    found = measure_parity(scorer, pictures(9), SCORES, networks=(networks.teacher, networks.student))
    assert found.pictures == MOST_PICTURES
    assert 0 < found.largest <= 1e-3
    assert found.spread == pytest.approx(np.std(SCORES))
    assert found.share == pytest.approx(found.largest / found.spread)
    assert "4 held-out good parts, the map of openvino in f32" in parity_told(found, scorer.runtime.fingerprint)


def test_half_precision_is_measured_as_it_is_and_only_where_it_is_looked_at(networks: Networks) -> None:
    pair = (networks.teacher, networks.student)
    whole = measure_parity(scorer_on(networks, "torch", "bf16"), pictures(2), SCORES, networks=pair)
    upper = measure_parity(scorer_on(networks, "torch", "bf16", valid=True), pictures(2), SCORES, networks=pair)
    assert whole.pictures == 2
    assert 1e-6 < upper.largest <= whole.largest


def test_with_a_memory_the_fused_maps_are_compared(networks: Networks) -> None:
    choice = RuntimeChoice("openvino", "f32", 1)
    runtime = open_runtime(networks.teacher, networks.student, size=SIZE, choice=choice, memory=True)
    second, _ = remember(runtime, pictures(6, seed=1), "both")
    scorer = Scorer(runtime, second=second)
    pair = (networks.teacher, networks.student)
    found = measure_parity(scorer, pictures(1), SCORES, networks=pair, second=second)
    assert found.pictures == 1
    assert 0 < found.largest < 0.1


def test_scores_that_do_not_spread_give_no_unit(networks: Networks) -> None:
    assert (spread_of([]), spread_of([0.5]), spread_of([0.5, 0.5])) == (0.0, 0.0, 0.0)
    scorer = scorer_on(networks, "torch", "bf16")
    found = measure_parity(scorer, pictures(1), [0.5], networks=(networks.teacher, networks.student))
    assert found.share is None
    assert "standard deviation" not in parity_told(found)
