"""EfficientNet-Lite0 up to stride 16: the backbone for machines without a GPU."""

from dataclasses import dataclass

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


FIRST_WIDTH = 16
GROUPS = (Group(3, 2, 24, 2), Group(5, 2, 40, 2), Group(3, 2, 80, 3), Group(5, 1, 112, 3))
"""The second to the fifth group; the first is one block without expansion, the rest lies beyond stride 16."""
LINEAR_CHANNELS: Channels = (24, 40, 112)
EXPANDED_CHANNELS: Channels = (144, 240, 672)
LINEAR_TAPS = (2, 4, 10)
"""Blocks whose output is a linear level: the last of the second, third and fifth group."""
EXPANDED_TAPS = (3, 5)
"""Blocks whose expansion is a level: the first of the third and fourth group; the sixth group's ends the encoder."""


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

    def __init__(self) -> None:
        super().__init__()
        self.conv_dw = SamePadConv2d(32, 32, 3, stride=1, groups=32)
        self.bn1 = nn.BatchNorm2d(32, eps=EPSILON)
        self.conv_pw = nn.Conv2d(32, FIRST_WIDTH, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(FIRST_WIDTH, eps=EPSILON)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 32, H, W) to (B, 16, H, W)."""
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
    """EfficientNet-Lite0 as far as its levels need; `blocks` counts through the groups."""

    def __init__(self, features: Features = "expanded") -> None:
        super().__init__()
        self.features = features
        self.channels = EXPANDED_CHANNELS if features == "expanded" else LINEAR_CHANNELS
        self.conv_stem = SamePadConv2d(3, 32, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(32, eps=EPSILON)
        self.act = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = [FirstBlock()]
        width = FIRST_WIDTH
        for group in GROUPS:
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
            if index in EXPANDED_TAPS:
                wide.append(expanded)
            x = block.project(x, expanded)
            if index in LINEAR_TAPS:
                linear.append(x)
        outputs = linear[0], linear[1], linear[2]
        return (outputs if last is None else (wide[0], wide[1], last(x))), outputs
