import pytest
import torch
from torch import nn

from model.architecture import Architecture, Features
from model.blocks import doubling
from model.fold import folded
from tests.model.network.conftest import batch, lived_in, untrained


@pytest.mark.parametrize(
    ("backbone", "features"),
    [
        ("efficientnet_lite0", "expanded"),
        ("efficientnet_lite0", "linear"),
        ("resnet18", "linear"),
        ("resnet50", "linear"),
    ],
)
def test_folded_networks_answer_alike(backbone: str, features: Features) -> None:
    networks = untrained(Architecture(backbone=backbone, features=features))
    teacher, student = lived_in(networks.teacher), lived_in(networks.student)
    with torch.inference_mode():
        taught = teacher(batch(2, 64, 96))
        pairs = [(taught, folded(teacher)(batch(2, 64, 96))), (student(taught), folded(student)(taught))]
    for plain, other in pairs:
        for one, same in zip(plain, other, strict=True):
            assert (one - same).abs().max() <= 1e-5 * one.abs().max()


def test_a_transposed_convolution_is_scaled_by_output() -> None:
    network = lived_in(nn.Sequential(doubling(3, 5), nn.BatchNorm2d(5)))
    x = torch.randn(1, 3, 4, 4)
    assert torch.allclose(network(x), folded(network)(x), atol=1e-6)


def test_folding_leaves_the_original_alone() -> None:
    network = lived_in(nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5))).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded(network)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_norm_without_a_convolution_before_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="0"):
        folded(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)))
