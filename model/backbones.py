"""Encoders by name."""

from torch import nn

from model.architecture import Architecture
from model.efficientnet import LITES, EfficientNetEncoder
from model.levels import Channels
from model.resnet import RESNETS, ResNetEncoder

SIDE_STEP = 32
"""Height and width of an input are multiples of this: the bottleneck lies at stride 32."""


def build_encoder(architecture: Architecture) -> nn.Module:
    """An encoder without trained weights.

    Its forward takes (B, 3, H, W) float32, ImageNet-normalised, and returns Levels at strides 4, 8 and 16; `.channels`
    tells their widths.
    """
    if architecture.backbone in RESNETS:
        return ResNetEncoder(RESNETS[architecture.backbone])
    return EfficientNetEncoder(architecture.features, LITES[architecture.backbone])


def feature_channels(architecture: Architecture) -> Channels:
    """C_1, C_2, C_3 of an architecture's features."""
    if architecture.backbone in RESNETS:
        return RESNETS[architecture.backbone].channels
    return LITES[architecture.backbone].channels(architecture.features)


def check_size(height: int, width: int) -> None:
    """Raise ValueError for an input size that the networks cannot take."""
    if height <= 0 or width <= 0 or height % SIDE_STEP or width % SIDE_STEP:
        raise ValueError(f"the input is {height}x{width} px; both sides must be multiples of {SIDE_STEP}")
