import torch
import torch.nn.functional as F  # noqa: N812

from model.architecture import Architecture
from model.efficientnet import EfficientNetEncoder, SamePadConv2d
from model.networks import Networks, build_networks
from tests.model.network.conftest import batch


def test_padding_is_tensorflows_for_even_sizes() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 0, 0] = 1  # seen by the first tap of a 3×3 that starts at the edge, by the second of a 5×5
    for kernel, tap in ((3, 0), (5, 1)):
        convolution = SamePadConv2d(1, 1, kernel, stride=2)
        out = convolution(image)
        assert out.shape == (1, 1, 4, 4)
        assert out[0, 0, 0, 0] == convolution.weight[0, 0, tap, tap]


def test_stride_one_keeps_the_size_and_is_symmetric() -> None:
    convolution = SamePadConv2d(2, 2, 5, stride=1, groups=2)
    image = torch.randn(1, 2, 6, 10)
    assert torch.equal(convolution(image), F.conv2d(image, convolution.weight, padding=2, groups=2))


def test_expanded_features_lie_between_zero_and_six_and_linear_ones_do_not(default_networks: Networks) -> None:
    linear = build_networks(Architecture(features="linear")).expert
    with torch.no_grad():
        wide, narrow = default_networks.expert(batch(1)), linear(batch(1))
    assert all(level.min() >= 0 and level.max() <= 6 for level in wide)
    assert all(level.min() < 0 for level in narrow)


def test_the_expanded_levels_are_expansions_of_the_linear_ones(default_networks: Networks) -> None:
    expert = default_networks.expert
    assert isinstance(expert, EfficientNetEncoder)
    linear = build_networks(Architecture(features="linear")).expert
    image = batch(1)
    with torch.no_grad():
        wide, narrow = expert(image), linear(image)
        assert torch.allclose(wide[0], expert.blocks[3].expand(narrow[0]), atol=1e-5)  # type: ignore[operator]
        assert torch.allclose(wide[1], expert.blocks[5].expand(narrow[1]), atol=1e-5)  # type: ignore[operator]


def test_norms_use_the_epsilon_they_were_trained_with() -> None:
    norms = [part for part in EfficientNetEncoder().modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
    assert len(norms) == 2 + 1 + 3 * 10 + 1
