"""From camera values to what the backbones were trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """Mean and spread by colour (red, green, blue) of pictures in [0, 1]."""

    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    def __call__(self, images: Tensor) -> Tensor:
        """images: (B, H, W, 3), RGB, 0 to 255, uint8 or float. Returns (B, 3, H, W) float32, normalised."""
        offset, spread = self.tensors()
        return normalise(images, offset.to(images.device), spread.to(images.device))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Offset and spread in camera values, each (1, 3, 1, 1) float32."""
        offset = 255 * torch.tensor(self.mean, dtype=torch.float64).reshape(1, 3, 1, 1)
        spread = 255 * torch.tensor(self.std, dtype=torch.float64).reshape(1, 3, 1, 1)
        return offset.float(), spread.float()


def normalise(images: Tensor, offset: Tensor, spread: Tensor) -> Tensor:
    """images: (B, H, W, 3), 0 to 255. Returns (B, 3, H, W) float32."""
    return (images.permute(0, 3, 1, 2).float() - offset) / spread


IMAGENET = Normalisation()
"""What all our backbones' weights were trained with."""
