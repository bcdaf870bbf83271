"""Few pictures and many go through two compiled graphs, and nobody can tell by the answer."""

import os

import numpy as np
import pytest

from model.inspection_network import InspectionNetwork
from model.networks import Networks
from model.openvino_graph import Lanes, offers
from model.openvino_runtime import OpenVinoRuntime, convert
from model.runtimes import Precision, RuntimeChoice
from model.scorer import Scorer
from tests.model.network.conftest import pictures

SIZE = (64, 96)
CORES = len(os.sched_getaffinity(0))
several = pytest.mark.skipif(CORES < 2, reason="one core has no streams side by side")


def _runtime(networks: Networks, precision: Precision = "f32", threads: int | None = None) -> OpenVinoRuntime:
    network = InspectionNetwork(networks.teacher, networks.student)
    return OpenVinoRuntime(network, SIZE, RuntimeChoice("openvino", precision, threads))


@several
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_picture_alone_scores_as_it_does_among_many(default_networks: Networks, precision: Precision) -> None:
    if not offers(precision):
        pytest.skip(f"this CPU has no {precision} arithmetic")
    scorer = Scorer(_runtime(default_networks, precision))
    images = pictures(2 * CORES + 7)  # more than the streams there are: side by side, whatever their number
    together = scorer(images)
    spread = float(np.std(together.scores))
    assert spread > 0
    for index in range(len(images)):
        alone = scorer(images[index : index + 1])
        assert np.abs(alone.maps[0] - together.maps[index]).max() <= 1e-3 * spread
        assert abs(alone.scores[0] - together.scores[index]) <= 1e-3 * spread


@several
def test_few_pictures_take_all_cores_and_many_the_streams(default_networks: Networks) -> None:
    network = InspectionNetwork(default_networks.teacher, default_networks.student)
    lanes = Lanes(convert(network, SIZE), RuntimeChoice("openvino", threads=2))
    assert lanes.takes_few(1)
    assert not lanes.takes_few(2)  # two streams: neither would idle


def test_one_thread_needs_no_second_graph(default_networks: Networks) -> None:
    network = InspectionNetwork(default_networks.teacher, default_networks.student)
    lanes = Lanes(convert(network, SIZE), RuntimeChoice("openvino", threads=1))
    assert not lanes.takes_few(1)
    images = pictures(1)
    outputs = [np.full((1, SIZE[0] // stride, SIZE[1] // stride), np.nan, np.float32) for stride in (4, 8, 16)]
    lanes(images, outputs)
    assert all(np.isfinite(level).all() for level in outputs)


def test_squares_are_summed_without_being_written(default_networks: Networks) -> None:
    graph = convert(InspectionNetwork(default_networks.teacher, default_networks.student), SIZE)
    sums = [node.input_value(0).get_node() for node in graph.get_ops() if node.get_type_name() == "ReduceSum"]
    assert sums
    assert all(product.input_value(0) != product.input_value(1) for product in sums)


def test_an_answer_stays_as_it_is_when_the_next_pictures_come(default_networks: Networks) -> None:
    runtime = _runtime(default_networks)
    images = pictures(6)
    for count in (1, 3):
        before = runtime.distances(images[:count])
        kept = [level.copy() for level in before]
        runtime.distances(images[-count:])
        assert all((level == own).all() for level, own in zip(before, kept, strict=True))


def test_pictures_may_lie_anywhere_in_memory(default_networks: Networks) -> None:
    runtime = _runtime(default_networks)
    images = pictures(3)
    fixed, mirrored = images.copy(), images[:, :, ::-1].copy()[:, :, ::-1]
    fixed.flags.writeable = False
    for given in (fixed, mirrored):
        for level, own in zip(runtime.distances(given), runtime.distances(images), strict=True):
            assert (level == own).all()


@several
@pytest.mark.parametrize("count", range(1, 10))
def test_every_picture_of_a_batch_gets_its_own_answer(default_networks: Networks, count: int) -> None:
    runtime = _runtime(default_networks)
    images = pictures(count)
    together = runtime.distances(images)
    for index in range(count):
        alone = runtime.distances(images[index : index + 1])
        for level, own in zip(together, alone, strict=True):
            assert level[index] == pytest.approx(own[0], abs=1e-6)
