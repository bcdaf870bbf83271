"""The small student for EfficientNet-Lite teachers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.architecture import Skip
from model.blocks import BasicBlock, cbr, doubling
from model.injection import InjectedStudent, similarity_gate
from model.levels import Channels, Levels


@dataclass(frozen=True)
class SlimSpec:
    """Widths of a small student; source: rd-e.md §3.

    taught: of the teacher's features. inputs: of the features that bottleneck and injection see. trunk: of the
    decoder's stages, by level. bottleneck: at stride 32. narrowed: the teacher's wide features are first reduced to
    `inputs`, the skips meet the trunk, and heads end in a ReLU as the features do. Otherwise the skips meet the heads,
    and heads stay linear as the features are.
    """

    taught: Channels
    inputs: Channels
    trunk: Channels
    bottleneck: int
    narrowed: bool

    def fitted(self, channels: Channels) -> "SlimSpec":
        """The same student for a teacher whose features are `channels` wide.

        Each width grows with the features of its level, the bottleneck with those it lies under, so that the student
        squeezes as hard as the one that was measured: a roomier one may rebuild flaws too, a tighter one loses sound
        detail. A teacher that is only deeper has the same features, and so the same student.
        """
        first, second, third = (wide / own for wide, own in zip(channels, self.taught, strict=True))

        def scaled(widths: Channels) -> Channels:
            return _full(first * widths[0]), _full(second * widths[1]), _full(third * widths[2])

        return SlimSpec(
            taught=channels,
            inputs=scaled(self.inputs) if self.narrowed else channels,
            trunk=scaled(self.trunk),
            bottleneck=_full(third * self.bottleneck),
            narrowed=self.narrowed,
        )


def _full(width: float) -> int:
    """The nearest multiple of 16, as the measured widths are: a CPU takes so many float32 channels at once."""
    return 16 * round(width / 16)


SLIM_EXPANDED = SlimSpec((144, 240, 672), inputs=(48, 80, 160), trunk=(48, 80, 160), bottleneck=224, narrowed=True)
SLIM_LINEAR = SlimSpec((24, 40, 112), inputs=(24, 40, 112), trunk=(48, 64, 128), bottleneck=192, narrowed=False)
"""Measured with EfficientNet-Lite0."""


class SlimBottleneck(nn.Module):
    """All three levels brought to stride 16, joined, and squeezed to stride 32."""

    def __init__(self, spec: SlimSpec) -> None:
        super().__init__()
        first, second, third = spec.inputs
        self.from_first = nn.Sequential(cbr(first, second, 3, 2), cbr(second, third, 3, 2))
        self.from_second = cbr(second, third, 3, 2)
        self.squeeze = nn.Sequential(
            cbr(3 * third, spec.bottleneck, 1),
            cbr(spec.bottleneck, spec.bottleneck, 3, 2),
            BasicBlock(spec.bottleneck, spec.bottleneck, spec.bottleneck),
        )

    def forward(self, given: Levels) -> Tensor:
        """Levels (B, inputs_k, H_k, W_k) to (B, bottleneck, H_3 / 2, W_3 / 2)."""
        first, second, third = given
        squeezed: Tensor = self.squeeze(torch.cat([self.from_first(first), self.from_second(second), third], dim=1))
        return squeezed


class UpStage(nn.Module):
    """Twice the size, two basic blocks, and a 1×1 head that speaks the teacher's language."""

    def __init__(self, inputs: int, width: int, outputs: int, *, rectified: bool) -> None:
        super().__init__()
        self.up = nn.Sequential(doubling(inputs, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(BasicBlock(width, width, width), BasicBlock(width, width, width))
        self.head = nn.Conv2d(width, outputs, 1)
        self.last: nn.Module = nn.ReLU() if rectified else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, H, W) to the trunk (B, width, 2 H, 2 W) and the rebuilt features (B, outputs, 2 H, 2 W)."""
        trunk = self.blocks(self.up(x))
        return trunk, self.last(self.head(trunk))


class SlimStudent(InjectedStudent):
    """A student of a few million parameters, with or without guided injection."""

    def __init__(self, channels: Channels, spec: SlimSpec, skip: Skip) -> None:
        super().__init__(spec.inputs, skip)
        self.narrowed = spec.narrowed
        if spec.narrowed:
            pairs = zip(channels, spec.inputs, strict=True)
            self.narrow = nn.ModuleList(cbr(wide, narrow, 1) for wide, narrow in pairs)
        self.bottleneck = SlimBottleneck(spec)
        first, second, third = spec.trunk
        carried = spec.trunk if spec.narrowed else channels  # what the next stage is given
        self.stage3 = UpStage(spec.bottleneck, third, channels[2], rectified=spec.narrowed)
        self.stage2 = UpStage(carried[2], second, channels[1], rectified=spec.narrowed)
        self.stage1 = UpStage(carried[1], first, channels[0], rectified=spec.narrowed)

    def forward(self, taught: Levels) -> Levels:
        """Features rebuilt from the teacher's, of the same shapes and in the same order."""
        _, t2, t3 = taught
        given = self._narrow(taught)
        h3, s3 = self.stage3(self.bottleneck(given))
        f3 = self._guided(1, h3, s3, given=given, taught=t3)
        h2, s2 = self.stage2(f3)
        f2 = self._guided(0, h2, s2, given=given, taught=t2)
        _, s1 = self.stage1(f2)
        return s1, s2, s3

    def _narrow(self, taught: Levels) -> Levels:
        if not self.narrowed:
            return taught
        first, second, third = (reduce(level) for reduce, level in zip(self.narrow, taught, strict=True))
        return first, second, third

    def _guided(self, index: int, trunk: Tensor, rebuilt: Tensor, *, given: Levels, taught: Tensor) -> Tensor:
        """The gate always compares full features; what is injected into is the trunk or, where linear, the head."""
        met = trunk if self.narrowed else rebuilt
        return self.inject(
            index, met, taught=given[index + 1], finer=given[index], gate=lambda: similarity_gate(rebuilt, taught)
        )
