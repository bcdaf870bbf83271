"""EfficientNet-Lite up to stride 16: the backbones for machines without a GPU."""

import math
from dataclasses import dataclass, replace
from itertools import accumulate

import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from model.architecture import Features
from model.levels import Channels, Levels

EPSILON = 1e-3  # BatchNorm's, as TensorFlow had it when these weights were trained
EXPANSION = 6


@dataclass(frozen=True)
class Group:
    """Blocks of one output width; only the first one strides."""

    kernel: int
    stride: int
    outputs: int
    count: int


STEM_WIDTH = 32  # of every member of the family
FIRST_WIDTH = 16
GROUPS = (Group(3, 2, 24, 2), Group(5, 2, 40, 2), Group(3, 2, 80, 3), Group(5, 1, 112, 3))
"""Lite0's second to fifth group; the first is one block without expansion, the rest lies beyond stride 16."""


@dataclass(frozen=True)
class LiteSpec:
    """A member of the family, by its factors over Lite0.

    width: of every group's channels, but not of the stem's. depth: of every group's blocks; the first stays one block.
    """

    width: float = 1.0
    depth: float = 1.0

    @property
    def first_width(self) -> int:
        """Channels of the first group."""
        return _widened(FIRST_WIDTH, self.width)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The second to the fifth group; a part of a block counts as a whole one."""
        return tuple(
            replace(group, outputs=_widened(group.outputs, self.width), count=math.ceil(group.count * self.depth))
            for group in GROUPS
        )

    @property
    def starts(self) -> tuple[int, ...]:
        """The first block of the first to the sixth group, counted through the groups."""
        return 0, *accumulate((group.count for group in self.groups), initial=1)

    @property
    def linear_taps(self) -> tuple[int, ...]:
        """Blocks whose output is a linear level: the last of the second, third and fifth group."""
        return self.starts[2] - 1, self.starts[3] - 1, self.starts[5] - 1

    @property
    def expanded_taps(self) -> tuple[int, ...]:
        """Blocks whose expansion is a level: the first of the third and fourth; the sixth's ends the encoder."""
        return self.starts[2], self.starts[3]

    def channels(self, features: Features) -> Channels:
        """C_1, C_2, C_3: an expanded level is the expansion of the linear one."""
        second, third, _, fifth = (group.outputs for group in self.groups)
        times = EXPANSION if features == "expanded" else 1
        return times * second, times * third, times * fifth


def _widened(width: int, factor: float) -> int:
    """The nearest multiple of 8, as the family has it."""
    return int(width * factor + 4) // 8 * 8


LITES: dict[str, LiteSpec] = {
    "efficientnet_lite0": LiteSpec(),
    "efficientnet_lite1": LiteSpec(depth=1.1),
    "efficientnet_lite2": LiteSpec(width=1.1, depth=1.2),
}
"""By the names of their backbones; factors as published with the family, borne out by its weights."""


class SamePadConv2d(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow does for even sizes: at stride 2 one less before than after."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int, groups: int = 1) -> None:
        uneven = stride == 2
        super().__init__(
            inputs, outputs, kernel, stride, padding=0 if uneven else kernel // 2, groups=groups, bias=False
        )
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self.margins = (before, after, before, after) if uneven else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride); H and W are even where the stride is 2."""
        return super().forward(x if self.margins is None else F.pad(x, self.margins))


class FirstBlock(nn.Module):
    """Depthwise 3×3 and projection, without an expansion."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv_dw = SamePadConv2d(STEM_WIDTH, STEM_WIDTH, 3, stride=1, groups=STEM_WIDTH)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH, eps=EPSILON)
        self.conv_pw = nn.Conv2d(STEM_WIDTH, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 32, H, W) to (B, outputs, H, W)."""
        out: Tensor = self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))
        return out


class Expansion(nn.Module):
    """The 1×1 convolution, BatchNorm and ReLU6 that open an inverted residual block."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv_pw = nn.Conv2d(inputs, EXPANSION * inputs, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(EXPANSION * inputs, eps=EPSILON)
        self.act = nn.ReLU6(inplace=True)

    def expand(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 6 inputs, H, W), in [0, 6]."""
        out: Tensor = self.act(self.bn1(self.conv_pw(x)))
        return out

    forward = expand


class InvertedResidual(Expansion):
    """Expansion, depthwise convolution, linear projection; the input is added where the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int) -> None:
        super().__init__(inputs)
        wide = EXPANSION * inputs
        self.conv_dw = SamePadConv2d(wide, wide, kernel, stride=stride, groups=wide)
        self.bn2 = nn.BatchNorm2d(wide, eps=EPSILON)
        self.conv_pwl = nn.Conv2d(wide, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.adds = stride == 1 and inputs == outputs

    def project(self, x: Tensor, expanded: Tensor) -> Tensor:
        """The block's output from its input (B, inputs, H, W) and the expansion of it (B, 6 inputs, H, W)."""
        out: Tensor = self.bn3(self.conv_pwl(self.act(self.bn2(self.conv_dw(expanded)))))
        return out + x if self.adds else out

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.project(x, self.expand(x))


class EfficientNetEncoder(nn.Module):
    """EfficientNet-Lite as far as its levels need; `blocks` counts through the groups.

    linear_channels: of the levels that `tap` gives the golden memory.
    """

    def __init__(self, features: Features = "expanded", spec: LiteSpec = LITES["efficientnet_lite0"]) -> None:
        super().__init__()
        self.features = features
        self.channels, self.linear_channels = spec.channels(features), spec.channels("linear")
        self.linear_taps, self.expanded_taps = spec.linear_taps, spec.expanded_taps
        self.conv_stem = SamePadConv2d(3, STEM_WIDTH, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH, eps=EPSILON)
        self.act = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = [FirstBlock(spec.first_width)]
        width = spec.first_width
        for group in spec.groups:
            for index in range(group.count):
                stride = group.stride if index == 0 else 1
                blocks.append(InvertedResidual(width, group.outputs, group.kernel, stride=stride))
                width = group.outputs
        if features == "expanded":
            blocks.append(Expansion(width))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> Levels:
        """images: (B, 3, H, W) float32, ImageNet-normalised, sides divisible by 16. Returns the three levels."""
        return self.tap(images)[0]

    def tap(self, images: Tensor) -> tuple[Levels, Levels]:
        """The levels, and beside them the linear outputs at the same strides, for the golden memory."""
        x = self.blocks[0](self.act(self.bn1(self.conv_stem(images))))
        wide: list[Tensor] = []
        linear: list[Tensor] = []
        last = self.blocks[len(self.blocks) - 1] if self.features == "expanded" else None
        for index, block in enumerate(self.blocks[1:], start=1):
            if block is last:
                continue
            assert isinstance(block, InvertedResidual)
            expanded = block.expand(x)
            if index in self.expanded_taps:
                wide.append(expanded)
            x = block.project(x, expanded)
            if index in self.linear_taps:
                linear.append(x)
        outputs = linear[0], linear[1], linear[2]
        return (outputs if last is None else (wide[0], wide[1], last(x))), outputs
