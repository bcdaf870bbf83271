"""Feature levels and the cosines between them.

Cosines are taken in float32 whatever autocast does around them: on normal pixels they lie near 1, where bfloat16 has
steps of 0.004, coarser than the distances that matter.
"""

import torch
from torch import Tensor

Levels = tuple[Tensor, Tensor, Tensor]
"""Features (B, C_k, H_k, W_k) of the levels 1, 2, 3, always in this order: at stride 4, 8 and 16 of the input."""

Channels = tuple[int, int, int]
"""C_1, C_2, C_3."""

TINY_SQUARED = 1e-16
"""Square of the least length a feature is divided by, so that two zero vectors have cosine 0."""


def cosine(u: Tensor, v: Tensor) -> Tensor:
    """How alike two feature maps are at each place.

    u, v: (B, C, H, W), any float type. Returns (B, H, W) float32 in [-1, 1], up to rounding.
    """
    return _cosine(u, v, dim=1)


def flat_cosine(u: Tensor, v: Tensor) -> Tensor:
    """How alike two feature maps are as a whole: one number per image over all channels and places.

    u, v: (B, C, H, W), any float type. Returns (B,) float32.
    """
    return _cosine(u.flatten(1), v.flatten(1), dim=1)


def _cosine(u: Tensor, v: Tensor, dim: int) -> Tensor:
    with torch.autocast(u.device.type, enabled=False):
        u, v = u.float(), v.float()
        scale_u = (u * u).sum(dim).clamp_min(TINY_SQUARED).rsqrt()
        scale_v = (v * v).sum(dim).clamp_min(TINY_SQUARED).rsqrt()
        return (u * v).sum(dim) * scale_u * scale_v


def distances(taught: Levels, rebuilt: Levels) -> Levels:
    """Where the student fails to rebuild the teacher, level by level.

    taught, rebuilt: by level k (B, C_k, H_k, W_k). Returns D_k = 1 - cosine, (B, H_k, W_k) float32, in [0, 2].
    """
    first, second, third = (1 - cosine(t, s) for t, s in zip(taught, rebuilt, strict=True))
    return first, second, third
