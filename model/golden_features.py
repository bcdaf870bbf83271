"""The features by which parts are compared with golden ones: the linear levels, merged at stride 8."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from model.levels import Channels, Levels

STRIDE = 8
WIDEST = 192  # channels kept as they are; more are projected, because the search's cost grows with them
PROJECTED = 128
_SEED = 20_250_101


class GoldenFeatures(nn.Module):
    """Levels at strides 4, 8, 16 to one (B, C, H / 8, W / 8) float32 tensor.

    Nothing is averaged over neighbouring cells: that would hide small print and fine scratches. Where the channels are
    many, a fixed random projection keeps their distances (Johnson and Lindenstrauss) at a fraction of the cost.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        total = sum(channels)
        self.channels = total if total <= WIDEST else PROJECTED
        projection = torch.randn(PROJECTED, total, 1, 1, generator=torch.Generator().manual_seed(_SEED))
        self.projects = total > WIDEST
        self.projection: Tensor
        self.register_buffer("projection", projection / PROJECTED**0.5, persistent=False)

    def forward(self, levels: Levels) -> Tensor:
        """levels: (B, C_k, H / 4·2^k, W / 4·2^k), any float type."""
        first, second, third = (level.float() for level in levels)
        first = F.avg_pool2d(first, 2)
        third = F.interpolate(third, scale_factor=2.0, mode="bilinear", align_corners=False)
        merged = torch.cat([first, second, third], dim=1)
        return F.conv2d(merged, self.projection) if self.projects else merged
