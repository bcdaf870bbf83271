"""The golden features of pictures by a frozen expert, where nothing has been trained yet."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.golden_features import GoldenFeatures
from model.inspection_network import Tapped, linear_channels
from model.normalisation import IMAGENET

CHUNK = 8


class ExpertFeatures:
    """Looks at pictures through an encoder with ImageNet weights, on the device where it lies."""

    def __init__(self, expert: nn.Module) -> None:
        self._expert = cast("Tapped", expert)
        self._device = next(expert.parameters()).device
        self._features = GoldenFeatures(linear_channels(expert))

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """N pictures of one size, (H, W, 3) uint8 RGB, to (N, C, H / 8, W / 8) float32."""
        parts = []
        for start in range(0, len(pictures), CHUNK):
            given = IMAGENET(torch.from_numpy(np.stack(pictures[start : start + CHUNK])).to(self._device))
            _, linear = self._expert.tap(given.contiguous(memory_format=torch.channels_last))
            first, second, third = (level.cpu() for level in linear)
            parts.append(self._features((first, second, third)).numpy())
        return np.concatenate(parts)
