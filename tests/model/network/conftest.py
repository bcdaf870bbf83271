from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.architecture import Architecture
from model.backbones import build_encoder
from model.networks import Networks, assemble, build_networks

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"


def pictures(count: int, height: int = 64, width: int = 96, *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random pictures, (count, height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def batch(count: int, height: int = 64, width: int = 64, *, seed: int = 0) -> Tensor:
    """Normalised pictures, (count, 3, height, width) float32."""
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def untrained(architecture: Architecture, *, seed: int = 0) -> Networks:
    """Networks whose expert has start values only: no ImageNet weights are needed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return assemble(architecture, build_encoder(architecture), seed=seed)


def lived_in(network: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give each BatchNorm statistics and weights as after training, so that folding has something to fold."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0, 0.1, generator=generator)
    return network.eval()


@pytest.fixture(scope="session")
def default_networks() -> Networks:
    """The CPU default with its real ImageNet weights; do not change them."""
    return build_networks(Architecture())


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """PyTorch's threads wait for one another in loops; beside other work on few cores that costs more than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
