"""Our networks give the numbers that the authors' released network gives on made-up weights (rd-e.md, section 11)."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.anomaly_map import MapMaker
from model.architecture import Architecture, Skip
from model.backbones import build_encoder
from model.errors import WeightsMissing
from model.fold import folded
from model.levels import Levels, distances
from model.losses import student_loss, teacher_loss
from model.networks import freeze
from model.released_weights import NEVER_RUN, load_released, load_released_encoder
from model.student import build_student
from tests.model.network.conftest import PARITY
from tests.model.network.released import PATHS, Vectors, made_up, noise, parity_vectors

WIDE = "wide_resnet50_2"


def _encoder(role: str) -> nn.Module:
    with torch.device("meta"):
        encoder = build_encoder(Architecture(backbone=WIDE))
    weights = {f"encoder.{n}": made_up(role, f"encoder.{n}", t) for n, t in encoder.state_dict().items()}
    encoder = encoder.to_empty(device="cpu")
    load_released_encoder(encoder, weights)
    return freeze(encoder)


def _student(skip: Skip, made: dict[str, Tensor]) -> nn.Module:
    """`made` keeps what another student has had made already: the names' numbers are the same for all."""
    with torch.device("meta"):
        student = build_student(Architecture(backbone=WIDE, skip=skip))
    for name, like in student.state_dict().items():
        if name not in made:
            made[name] = made_up("student", name, like)
    student = student.to_empty(device="cpu")
    load_released(student, {name: made[name] for name in student.state_dict()})
    return freeze(student)


@dataclass
class Released:
    """The authors' networks as far as they are the same on all paths, and what they answer."""

    teacher: nn.Module
    normal: Levels  # T(n)
    marred: Levels  # T(a)
    expert_normal: Levels
    expert_marred: Levels
    made: dict[str, Tensor]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return parity_vectors()


@pytest.fixture(scope="module")
def released(vectors: Vectors) -> Released:
    teacher, expert = _encoder("teacher"), _encoder("expert")
    n, a = noise(0), noise(1)
    with torch.inference_mode():
        return Released(teacher, teacher(n), teacher(a), expert(n), expert(a), {})


def _map(taught: Levels, rebuilt: Levels) -> NDArray[np.float32]:
    first, second, third = (level.numpy() for level in distances(taught, rebuilt))
    return MapMaker(256, 256, smooth=False)((first, second, third))


def test_the_teacher_answers_as_released(vectors: Vectors, released: Released) -> None:
    for k, level in enumerate(released.normal, start=1):
        assert np.abs(level[0, :32, :4, :4].numpy() - vectors[f"t{k}_head"]).max() <= 1e-4
        assert level.mean().item() == pytest.approx(float(vectors[f"t{k}_mean"]), abs=1e-4)


def test_the_teacher_loss_is_the_released_one(vectors: Vectors, released: Released) -> None:
    mask = torch.zeros(2, 1, 256, 256)
    mask[0, 0, 40:120, 60:200] = 1
    mask[1, 0, 128:192, 16:48] = 1
    given = (released.normal, released.marred, released.expert_normal, released.expert_marred)
    assert teacher_loss(*given, mask).item() == pytest.approx(float(vectors["teacher_loss"]), abs=1e-3)


@pytest.mark.parametrize("path", PATHS)
def test_the_student_answers_as_released(vectors: Vectors, released: Released, path: str) -> None:
    student = _student(PATHS[path], released.made)
    with torch.inference_mode():
        rebuilt, rebuilt_marred = student(released.normal), student(released.marred)
        loss = student_loss(rebuilt, rebuilt_marred, released.expert_normal, released.normal).item()
    for k, level in enumerate(rebuilt, start=1):
        assert np.abs(level[0, :32, :4, :4].numpy() - vectors[f"{path}.s{k}_head"]).max() <= 1e-4
        assert level.mean().item() == pytest.approx(float(vectors[f"{path}.s{k}_mean"]), abs=1e-4)
    assert np.abs(_map(released.normal, rebuilt) - vectors[f"{path}.map"]).max() <= 1e-4
    assert np.abs(_map(released.marred, rebuilt_marred) - vectors[f"{path}.map_a"]).max() <= 1e-4
    assert loss == pytest.approx(float(vectors[f"{path}.student_loss"]), abs=1e-3)


def test_folding_changes_nothing_in_the_released_network(vectors: Vectors, released: Released) -> None:
    student = folded(_student(Skip.GII, released.made))
    with torch.inference_mode():
        taught = folded(released.teacher)(noise(0)[:1])
        rebuilt = student(taught)
    assert np.abs(_map(taught, rebuilt) - vectors["gii.map"][:1]).max() <= 1e-4


@pytest.fixture(scope="module")
def names() -> dict[str, dict[str, list[int]]]:
    path = PARITY / "urd_state_dict_names.json"
    if not path.is_file():
        pytest.skip(f"the released names are not beside this checkout: {path}")
    listed: dict[str, dict[str, list[int]]] = json.loads(path.read_text())
    return listed


def test_our_names_and_shapes_are_the_released_ones(names: dict[str, dict[str, list[int]]]) -> None:
    architecture = Architecture(backbone=WIDE)
    with torch.device("meta"):
        ours = {
            "teacher": {f"encoder.{n}": list(t.shape) for n, t in build_encoder(architecture).state_dict().items()},
            "student": {n: list(t.shape) for n, t in build_student(architecture).state_dict().items()},
        }
    for role, listed in names.items():
        assert ours[role] == {name: shape for name, shape in listed.items() if not name.startswith(NEVER_RUN)}


def test_what_is_never_run_is_dropped_on_import() -> None:
    student = build_student(Architecture(backbone="resnet18"))
    weights = dict(student.state_dict()) | {"bn.conv4.weight": torch.zeros(1), "bn.bn4.bias": torch.zeros(1)}
    load_released(student, weights)
    encoder = build_encoder(Architecture(backbone="resnet18"))
    named = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    load_released_encoder(encoder, named | {"encoder.layer4.0.conv1.weight": torch.zeros(1)})


def _without(weights: dict[str, Tensor]) -> None:
    del weights["bn.conv3.weight"]


def _with_more(weights: dict[str, Tensor]) -> None:
    weights["decoder.layer4.0.conv1.weight"] = torch.zeros(1)


def _with_another_shape(weights: dict[str, Tensor]) -> None:
    weights["fuse_skip.1.0.weight"] = torch.zeros(2, 2, 3, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without, "bn.conv3.weight is missing"),
        (_with_more, "decoder.layer4.0.conv1.weight is surplus"),
        (_with_another_shape, r"fuse_skip.1.0.weight is \(2, 2, 3, 3\)"),
    ],
)
def test_an_import_names_what_does_not_fit(change: Callable[[dict[str, Tensor]], None], said: str) -> None:
    student = build_student(Architecture(backbone="resnet18"))
    weights = dict(student.state_dict())
    change(weights)
    with pytest.raises(WeightsMissing, match=said):
        load_released(student, weights)


def test_a_released_teacher_is_known_by_its_prefix() -> None:
    encoder = build_encoder(Architecture(backbone="resnet18"))
    with pytest.raises(WeightsMissing, match="encoder"):
        load_released_encoder(encoder, encoder.state_dict())
