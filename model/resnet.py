"""ResNet encoders, cut after the third layer: what the method compares."""

from dataclasses import dataclass

from torch import Tensor, nn

from model.blocks import BasicBlock, Block, Bottleneck, stack
from model.levels import Channels, Levels


@dataclass(frozen=True)
class ResNetSpec:
    """One member of the family.

    channels: of the three levels. inner: width of the 3×3 in each layer's bottlenecks, equal to channels where blocks
    are basic. counts: blocks per layer. bottleneck_count: blocks of the student's bottleneck.
    """

    basic: bool
    channels: Channels
    inner: Channels
    counts: tuple[int, int, int]
    bottleneck_count: int = 3

    @property
    def block(self) -> Block:
        """The class its layers are made of."""
        return BasicBlock if self.basic else Bottleneck


RESNETS: dict[str, ResNetSpec] = {
    "resnet18": ResNetSpec(
        basic=True, channels=(64, 128, 256), inner=(64, 128, 256), counts=(2, 2, 2), bottleneck_count=2
    ),
    "resnet34": ResNetSpec(basic=True, channels=(64, 128, 256), inner=(64, 128, 256), counts=(3, 4, 6)),
    "resnet50": ResNetSpec(basic=False, channels=(256, 512, 1024), inner=(64, 128, 256), counts=(3, 4, 6)),
    "wide_resnet50_2": ResNetSpec(basic=False, channels=(256, 512, 1024), inner=(128, 256, 512), counts=(3, 4, 6)),
}


class ResNetEncoder(nn.Module):
    """A ResNet up to its third layer, with torchvision's attribute names."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        self.channels = spec.channels
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _layer(spec, 0, inputs=64, stride=1)
        self.layer2 = _layer(spec, 1, inputs=spec.channels[0], stride=2)
        self.layer3 = _layer(spec, 2, inputs=spec.channels[1], stride=2)

    def forward(self, images: Tensor) -> Levels:
        """images: (B, 3, H, W) float32, ImageNet-normalised. Returns the outputs of layer1, layer2, layer3."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)

    def tap(self, images: Tensor) -> tuple[Levels, Levels]:
        """The levels twice: once for the student, once for the golden memory."""
        levels = self(images)
        return levels, levels


def _layer(spec: ResNetSpec, index: int, *, inputs: int, stride: int) -> nn.Sequential:
    inner, outputs = spec.inner[index], spec.channels[index]
    first = spec.block(inputs, inner, outputs, stride=stride)
    return stack(spec.block, first, inner=inner, outputs=outputs, count=spec.counts[index])
