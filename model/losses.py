"""What teacher and student are taught; source of every formula: rd-e.md §2."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from model.levels import Levels, cosine, flat_cosine


def mask_levels(mask: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """A mask at each level's size, by cascade: each from the one before, which is already black and white.

    mask: (B, 1, H, W), 1 where anomalous. Returns (B, H_k, W_k) float32 in {0, 1} for each size. Thin marks vanish on
    the way; that is the method's own behaviour.
    """
    levels = []
    mask = mask.float()
    for size in sizes:
        mask = F.interpolate(mask, size=size, mode="bilinear", align_corners=True)
        mask = (mask >= 0.5).float()
        levels.append(mask[:, 0])
    return levels


def teacher_loss(normal: Levels, marred: Levels, wanted_normal: Levels, wanted_marred: Levels, mask: Tensor) -> Tensor:
    """L_T: stay the expert on normal pictures, and differ from it exactly where a twin is marred.

    normal, marred: T(n), T(a). wanted_normal, wanted_marred: E(n), E(a), which get no gradient. mask: (B, 1, H, W), 1
    where a is marred. Returns a scalar, float32.
    """
    levels = zip(normal, marred, wanted_normal, wanted_marred, _masks(mask, normal), strict=True)
    total = mask.new_zeros((), dtype=torch.float32)
    for t_n, t_a, e_n, e_a, m in levels:
        e_n, e_a = e_n.detach(), e_a.detach()  # noqa: PLW2901 (the targets, from here on)
        stay = (1 - cosine(t_n, e_n)).mean()
        differ = ((1 - cosine(t_a, e_n)) - m).abs().mean()
        near = (1 - flat_cosine(t_a, e_a)).mean()
        total = total + stay + differ + near
    return total


def student_loss(
    student_normal: Levels, student_marred: Levels, expert_normal: Levels, teacher_normal: Levels
) -> Tensor:
    """L_S: answer with normal features, the expert's and the teacher's, whatever is shown.

    student_normal, student_marred: S(T(n)), S(T(a)). expert_normal, teacher_normal: E(n), T(n), which get no gradient.
    Returns a scalar, float32.
    """
    rebuilt = (student_normal, student_marred)
    wanted = (expert_normal, teacher_normal)
    return torch.stack([baseline_loss(s, t) for s in rebuilt for t in wanted]).sum()


def baseline_loss(student_normal: Levels, teacher_normal: Levels) -> Tensor:
    """Plain reverse distillation: rebuild the teacher's features of normal pictures.

    student_normal: S(T(n)). teacher_normal: T(n), which gets no gradient. Returns a scalar, float32.
    """
    levels = zip(student_normal, teacher_normal, strict=True)
    return torch.stack([(1 - flat_cosine(s, t.detach())).mean() for s, t in levels]).sum()


def _masks(mask: Tensor, levels: Levels) -> list[Tensor]:
    return mask_levels(mask, [(level.shape[2], level.shape[3]) for level in levels])
