"""Students: from the teacher's features through a narrow bottleneck back to those features."""

import torch
from torch import Tensor, nn

from model.architecture import Architecture, Skip
from model.backbones import feature_channels
from model.blocks import BasicUpBlock, BottleneckUpBlock, convolution, stack
from model.injection import InjectedStudent, similarity_gate
from model.levels import Levels
from model.resnet import RESNETS, ResNetSpec
from model.slim_student import SLIM_EXPANDED, SLIM_LINEAR, SlimStudent


class Ocbe(nn.Module):
    """One-class bottleneck embedding: all three levels brought to stride 16, joined, and squeezed to stride 32."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        first, second, third = spec.channels
        self.conv1 = convolution(first, second, 3, 2)
        self.bn1 = nn.BatchNorm2d(second)
        self.conv2 = convolution(second, third, 3, 2)
        self.bn2 = nn.BatchNorm2d(third)
        self.conv3 = convolution(second, third, 3, 2)
        self.bn3 = nn.BatchNorm2d(third)
        self.relu = nn.ReLU(inplace=True)
        inner, outputs = 2 * spec.inner[2], 2 * third
        squeeze = spec.block(3 * third, inner, outputs, stride=2)
        self.bn_layer = stack(spec.block, squeeze, inner=inner, outputs=outputs, count=spec.bottleneck_count)

    def forward(self, taught: Levels) -> Tensor:
        """Levels (B, C_k, H_k, W_k) to (B, 2 C_3, H_3 / 2, W_3 / 2)."""
        first, second, third = taught
        from_first = self.relu(self.bn1(self.conv1(first)))
        from_first = self.relu(self.bn2(self.conv2(from_first)))
        from_second = self.relu(self.bn3(self.conv3(second)))
        squeezed: Tensor = self.bn_layer(torch.cat([from_first, from_second, third], dim=1))
        return squeezed


class Decoder(nn.Module):
    """The encoder's layers in reverse: `layer1` gives level 3, `layer3` level 1."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        _, second, third = spec.channels
        self.layer1 = _up_layer(spec, 2, inputs=2 * third, count=spec.counts[0])
        self.layer2 = _up_layer(spec, 1, inputs=third, count=spec.counts[1])
        self.layer3 = _up_layer(spec, 0, inputs=second, count=spec.counts[2])


def _up_layer(spec: ResNetSpec, level: int, *, inputs: int, count: int) -> nn.Sequential:
    up = BasicUpBlock if spec.basic else BottleneckUpBlock
    inner, outputs = spec.inner[level], spec.channels[level]
    return stack(spec.block, up(inputs, inner, outputs), inner=inner, outputs=outputs, count=count)


class ResNetStudent(InjectedStudent):
    """The student for ResNet teachers, under the names that the authors' released code gives its parameters."""

    def __init__(self, spec: ResNetSpec, skip: Skip) -> None:
        super().__init__(spec.channels, skip)
        self.bn = Ocbe(spec)
        self.decoder = Decoder(spec)

    def forward(self, taught: Levels) -> Levels:
        """Features rebuilt from the teacher's, of the same shapes and in the same order."""
        t1, t2, t3 = taught
        s3 = self.decoder.layer1(self.bn(taught))
        f3 = self.inject(1, s3, taught=t3, finer=t2, gate=lambda: similarity_gate(s3, t3))
        s2 = self.decoder.layer2(f3)
        f2 = self.inject(0, s2, taught=t2, finer=t1, gate=lambda: similarity_gate(s2, t2))
        s1 = self.decoder.layer3(f2)
        return s1, s2, s3


def build_student(architecture: Architecture, *, seed: int = 0) -> nn.Module:
    """A student with its start values: the same for the same seed, and no global random state is moved.

    Its forward takes the teacher's Levels and returns Levels of the same shapes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = _student(architecture)
        _start(student)
    return student


def _student(architecture: Architecture) -> nn.Module:
    if architecture.backbone in RESNETS:
        return ResNetStudent(RESNETS[architecture.backbone], architecture.skip)
    measured = SLIM_EXPANDED if architecture.features == "expanded" else SLIM_LINEAR
    channels = feature_channels(architecture)
    return SlimStudent(channels, measured.fitted(channels), architecture.skip)


def _start(student: nn.Module) -> None:
    """Xavier-normal on each convolution; transposed ones and BatchNorm keep PyTorch's own start (rd-e.md §3)."""
    for part in student.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
