"""What the method's authors released, as far as we have it: made-up weights by rule, and recorded answers to them."""

from zlib import crc32

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.architecture import Architecture, Skip
from model.backbones import build_encoder
from model.student import build_student
from tests.model.network.conftest import PARITY

PATHS = {"gii": Skip.GII, "plain_skip": Skip.PLAIN, "no_skip": Skip.NONE}
Vectors = dict[str, NDArray[np.float32]]
Tables = dict[str, dict[str, Tensor]]


def made_up(role: str, name: str, like: Tensor) -> Tensor:
    """A tensor that depends on its name alone (rd-e.md, section 11)."""
    shape = tuple(like.shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=like.dtype)
    random = np.random.RandomState(crc32(f"{role}.{name}".encode()))
    z = random.standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        z = 1 + np.float32(0.1) * np.abs(z)
    elif name.endswith(("running_mean", "bias")):
        z = np.float32(0.1) * z
    elif len(shape) == 1:
        z = 1 + np.float32(0.1) * z
    elif len(shape) == 4:
        z = z * np.float32(np.sqrt(1 / (shape[1] * shape[2] * shape[3])))
    return torch.from_numpy(np.asarray(z, dtype=np.float32))


def noise(seed: int) -> Tensor:
    """Two pictures of noise, (2, 3, 256, 256), as the recorded networks were given them."""
    random = np.random.RandomState(seed)
    return torch.from_numpy(random.standard_normal((2, 3, 256, 256)).astype(np.float32))


def parity_vectors() -> Vectors:
    """The recorded answers; without them the test that asks is skipped, and says so."""
    path = PARITY / "urd_wide_resnet50_2.npz"
    if not path.is_file():
        pytest.skip(f"the parity vectors are not beside this checkout: {path}")
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def released_names(backbone: str = "wide_resnet50_2") -> Tables:
    """A checkpoint's names with tensors of the right shapes and without data, never-run parts included."""
    architecture = Architecture(backbone=backbone)
    with torch.device("meta"):
        encoder, student = build_encoder(architecture), build_student(architecture)
        spare = {"encoder.layer4.0.conv1.weight": torch.empty(2), "encoder.fc.bias": torch.empty(3)}
        unused = {"bn.conv4.weight": torch.empty(2), "bn.bn4.running_var": torch.empty(3)}
    teacher = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    return {"teacher": teacher | spare, "student": dict(student.state_dict()) | unused}


def light(backbone: str = "wide_resnet50_2") -> Tables:
    """A checkpoint of zeros in which each tensor has one number on the disk, whatever its shape."""
    return {
        role: {name: torch.zeros((), dtype=like.dtype).expand(like.shape) for name, like in table.items()}
        for role, table in released_names(backbone).items()
    }
