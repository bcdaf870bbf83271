"""Guided information injection: teacher detail flows into the decoder where student and teacher agree."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from model.architecture import Skip
from model.blocks import cbr, convolution
from model.levels import Channels, cosine


def similarity_gate(rebuilt: Tensor, taught: Tensor) -> Tensor:
    """M_k: how far student and teacher agree at each place; no gradient, not clamped.

    rebuilt, taught: (B, C, H, W). Returns (B, 1, H, W) float32. Source: rd-e.md §2.
    """
    with torch.no_grad():
        return cosine(rebuilt.detach(), taught.detach()).unsqueeze(1)


class Halving(nn.Module):
    """Down2: bilinear by one half without aligned corners, which is the mean of each 2×2."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / 2, W / 2)."""
        return F.avg_pool2d(x, 2)


class InjectedStudent(nn.Module):
    """The skips of a student's decoder, under the names that the authors' released code gives them.

    Of each list, entry 1 serves level 3 and entry 0 level 2. `widths`: channels of the injected features, by level.
    """

    def __init__(self, widths: Channels, skip: Skip) -> None:
        super().__init__()
        self.skip = skip
        if skip is Skip.NONE:
            return
        pairs = ((widths[0], widths[1]), (widths[1], widths[2]))
        self.conv1x1_downsample_dim = nn.ModuleList(
            nn.Sequential(Halving(), convolution(finer, same, 1), nn.BatchNorm2d(same), nn.ReLU(inplace=True))
            for finer, same in pairs
        )
        self.fuse_encoder = nn.ModuleList(cbr(same, same, 3) for _, same in pairs)
        if skip is Skip.GII:
            self.conv3x3_simattn = nn.ModuleList(cbr(same, same, 3) for _, same in pairs)
        self.fuse_skip = nn.ModuleList(cbr(2 * same, same, 3) for _, same in pairs)

    def inject(
        self, index: int, rebuilt: Tensor, *, taught: Tensor, finer: Tensor, gate: Callable[[], Tensor]
    ) -> Tensor:
        """f_k: what the next decoder stage is given at level k = index + 2.

        rebuilt: s_k, taught: t_k, both (B, W_k, H, W); finer: t_{k-1}, (B, W_{k-1}, 2 H, 2 W); gate: gives M_k,
        (B, 1, H, W). Returns (B, W_k, H, W). Source: rd-e.md §2.
        """
        if self.skip is Skip.NONE:
            return rebuilt
        detail = self.fuse_encoder[index](taught + self.conv1x1_downsample_dim[index](finer))  # e_k
        if self.skip is Skip.GII:
            agreed = gate().to(detail.dtype)
            mixed = rebuilt + agreed * (detail - rebuilt)  # M e + (1 - M) s
            detail = self.conv3x3_simattn[index](mixed)  # g_k
        fused: Tensor = self.fuse_skip[index](torch.cat([rebuilt, detail], dim=1))
        return fused
