import signal
import socket

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.anomaly_map import MapMaker
from model.architecture import Architecture, Features
from model.errors import RuntimeUnavailable
from model.levels import distances
from model.networks import Networks
from model.normalisation import IMAGENET
from model.runtimes import LARGEST_BATCH, Distances, Precision, RuntimeChoice, open_runtime
from tests.model.network.conftest import lived_in, pictures, untrained

SIZE = (64, 96)
OPENVINO = RuntimeChoice("openvino")
TORCH = RuntimeChoice("torch")


def _map(found: Distances) -> NDArray[np.float32]:
    return MapMaker(*SIZE, smooth=False)(found)


@pytest.mark.parametrize(
    ("backbone", "features"),
    [("efficientnet_lite0", "expanded"), ("efficientnet_lite0", "linear"), ("resnet18", "linear")],
)
def test_openvino_agrees_with_torch(backbone: str, features: Features) -> None:
    networks = untrained(Architecture(backbone=backbone, features=features))
    teacher, student = lived_in(networks.teacher), lived_in(networks.student)
    images = pictures(3)
    one, other = (open_runtime(teacher, student, size=SIZE, choice=choice) for choice in (TORCH, OPENVINO))
    found = one.distances(images)
    assert np.abs(_map(found) - _map(other.distances(images))).max() <= 1e-3
    with torch.inference_mode():  # the networks as they were trained: unfolded, normalised outside
        taught = teacher(IMAGENET(torch.from_numpy(images)))
        wanted = [level.numpy() for level in distances(taught, student(taught))]
    assert all(np.abs(w - f).max() <= 1e-4 for w, f in zip(wanted, found, strict=True))


def _precisions() -> list[Precision]:
    import openvino

    offered = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["bf16"] if "BF16" in offered else []


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bfloat16_agrees_with_float32_within_its_bound(default_networks: Networks, runtime: str) -> None:
    if runtime == "openvino" and not _precisions():
        pytest.skip("this CPU has no bfloat16 arithmetic")
    choice = RuntimeChoice("torch" if runtime == "torch" else "openvino", precision="bf16")
    teacher, student = default_networks.teacher, default_networks.student
    half = open_runtime(teacher, student, size=SIZE, choice=choice)
    full = open_runtime(teacher, student, size=SIZE, choice=OPENVINO)
    assert half.fingerprint.precision == "bf16"
    difference = np.abs(_map(half.distances(pictures(2))) - _map(full.distances(pictures(2)))).max()
    assert 1e-5 < difference <= 0.05  # not nothing: the precision that was asked for was taken


def test_openvino_says_what_it_is_and_takes_float32_unless_told(default_networks: Networks) -> None:
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE)
    assert runtime.fingerprint.runtime == ("torch" if torch.cuda.is_available() else "openvino")
    assert runtime.fingerprint.precision == "f32"
    assert runtime.fingerprint.version[0].isdigit()


@pytest.mark.parametrize(("choice", "bound"), [(OPENVINO, 1e-6), (TORCH, 1e-5)], ids=["openvino", "torch"])
def test_a_picture_is_judged_alike_in_any_company(
    default_networks: Networks, choice: RuntimeChoice, bound: float
) -> None:
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=choice)
    images = pictures(LARGEST_BATCH + 3)
    together = runtime.distances(images)
    assert all(len(level) == len(images) for level in together)
    for index in (0, LARGEST_BATCH, LARGEST_BATCH + 2):
        alone = runtime.distances(images[index : index + 1])
        assert all(np.abs(t[index] - a[0]).max() <= bound for t, a in zip(together, alone, strict=True))


def test_answers_are_kept_when_the_runtime_goes_on(default_networks: Networks) -> None:
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=OPENVINO)
    first = runtime.distances(pictures(1))
    before = [level.copy() for level in first]
    runtime.distances(pictures(1, seed=1))
    assert all(np.array_equal(level, kept) for level, kept in zip(first, before, strict=True))


def test_training_on_does_not_change_what_was_opened(default_networks: Networks) -> None:
    networks = untrained(Architecture())
    runtime = open_runtime(networks.teacher, networks.student, size=SIZE, choice=TORCH)
    before = runtime.distances(pictures(1))
    with torch.no_grad():
        for parameter in networks.student.parameters():
            parameter.add_(1)
    after = runtime.distances(pictures(1))
    assert all(np.array_equal(one, same) for one, same in zip(before, after, strict=True))
    assert networks.student.training


@pytest.mark.parametrize(
    "images",
    [
        pictures(1, 96, 64),
        pictures(1)[0],
        pictures(1)[:0],
        pictures(1)[..., :1],
        pictures(1).astype(np.float32),
    ],
    ids=["turned", "no batch", "empty", "grey", "float"],
)
def test_pictures_of_another_form_are_refused(default_networks: Networks, images: NDArray[np.uint8]) -> None:
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=TORCH)
    with pytest.raises(ValueError, match=r"\(N, 64, 96, 3\)"):
        runtime.distances(images)


def test_a_view_of_a_larger_picture_is_taken_as_it_looks(default_networks: Networks) -> None:
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=OPENVINO)
    large = pictures(2, 128, 192)
    view = large[:, 32:96, 48:144]
    for one, same in zip(runtime.distances(view), runtime.distances(view.copy()), strict=True):
        assert np.array_equal(one, same)


def test_opening_and_running_openvino_calls_nobody(default_networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: called.append(address))
    runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=OPENVINO)
    runtime.distances(pictures(1))
    assert called == []


def test_a_signal_is_heard_after_one_model_took_the_place_of_another(default_networks: Networks) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    teacher, student = default_networks.teacher, default_networks.student
    try:
        first, second = (open_runtime(teacher, student, size=SIZE, choice=OPENVINO) for _ in range(2))
        del first
        del second
        signal.raise_signal(signal.SIGUSR1)  # with a core for each model this process would end here
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]


def test_networks_that_hold_no_numbers_are_not_opened() -> None:
    networks = untrained(Architecture())
    with torch.no_grad():
        next(networks.student.parameters()).view(-1)[0] = torch.nan
    for choice in (TORCH, OPENVINO):  # OpenVINO's ReLU makes 0 of NaN: nothing behind it would notice
        with pytest.raises(ValueError, match="finite"):
            open_runtime(networks.teacher, networks.student, size=SIZE, choice=choice)


def test_threads_are_taken_and_given_back(default_networks: Networks) -> None:
    before = torch.get_num_threads()
    for name in ("torch", "openvino"):
        choice = RuntimeChoice("torch" if name == "torch" else "openvino", threads=2)
        runtime = open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=choice)
        assert np.isfinite(_map(runtime.distances(pictures(1)))).all()
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="0 threads"):
        RuntimeChoice(threads=0)


def test_a_precision_that_the_processor_lacks_is_not_offered(default_networks: Networks) -> None:
    import openvino

    if "FP16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has half precision")
    choice = RuntimeChoice("openvino", precision="f16")
    with pytest.raises(RuntimeUnavailable, match="f16"):
        open_runtime(default_networks.teacher, default_networks.student, size=SIZE, choice=choice)
