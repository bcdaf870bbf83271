"""Residual blocks that encoders and students share; attribute names are those of torchvision's ResNet."""

from collections.abc import Callable

from torch import Tensor, nn


def cbr(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, BatchNorm, ReLU."""
    return nn.Sequential(convolution(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps the size at stride 1 and halves it at stride 2."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Transposed 2×2 convolution of stride 2: each place becomes four."""
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut; the second width is there for a signature in common."""

    def __init__(self, inputs: int, _inner: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + kept)
        return out


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride), 1×1 around a shortcut."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = convolution(inner, inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + kept)
        return out


class BasicUpBlock(nn.Module):
    """A basic block that doubles the size: its first 3×3 is a transposed 2×2."""

    def __init__(self, inputs: int, _inner: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = doubling(inputs, outputs)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.upsample = nn.Sequential(doubling(inputs, outputs), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2 H, 2 W)."""
        kept = self.upsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + kept)
        return out


class BottleneckUpBlock(nn.Module):
    """A bottleneck that doubles the size: its 3×3 is a transposed 2×2."""

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = doubling(inner, inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.upsample = nn.Sequential(doubling(inputs, outputs), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2 H, 2 W)."""
        kept = self.upsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + kept)
        return out


Block = Callable[..., nn.Module]
"""`BasicBlock` or `Bottleneck`: (inputs, inner, outputs, stride=1)."""


def stack(block: Block, first: nn.Module, *, inner: int, outputs: int, count: int) -> nn.Sequential:
    """`first`, which changes size and channels, and `count - 1` more blocks that keep both."""
    return nn.Sequential(first, *(block(outputs, inner, outputs) for _ in range(count - 1)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """A 1×1 convolution and BatchNorm where a plain addition would not fit."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
