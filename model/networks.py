"""The three networks of RD-E, ready to train."""

import copy
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from model.architecture import Architecture
from model.backbones import build_encoder
from model.student import build_student
from model.weights import imagenet_weights, load_imagenet


@dataclass(frozen=True)
class Networks:
    """Expert, teacher and student of one architecture.

    expert, teacher: images (B, 3, H, W) to Levels. student: the teacher's Levels to Levels of the same shapes. The
    expert never learns. With the expert off, teacher and expert are the same frozen network.
    """

    expert: nn.Module
    teacher: nn.Module
    student: nn.Module


def build_networks(architecture: Architecture, *, weights: Path | None = None, seed: int = 0) -> Networks:
    """Networks at the start of training: ImageNet weights in expert and teacher, seeded start values in the student.

    weights: a file of ImageNet weights, or a folder that holds one per backbone. Raises WeightsMissing.
    """
    expert = build_encoder(architecture)
    load_imagenet(expert, architecture.backbone, imagenet_weights(architecture.backbone, weights))
    return assemble(architecture, expert, seed=seed)


def assemble(architecture: Architecture, expert: nn.Module, *, seed: int = 0) -> Networks:
    """Networks around an expert that has its weights already; the expert is frozen in place."""
    freeze(expert)
    teacher = expert
    if architecture.expert:
        teacher = copy.deepcopy(expert).requires_grad_(requires_grad=True).train()
    return Networks(expert, teacher, build_student(architecture, seed=seed))


def freeze(network: nn.Module) -> nn.Module:
    """Evaluation mode and no gradient, for good."""
    return network.eval().requires_grad_(requires_grad=False)
