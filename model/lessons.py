"""What one training run is given: batches of the golden pictures' views with their twins, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.batches import Batches, Twins
from model.fixture import Fixture
from model.learn_options import LearnOptions
from model.split import LearningImpossible
from model.textures import FolderTextures, Mixed, NormalTextures, ProceduralTextures, Textures
from model.turning import Turning, turns_allowed
from model.views import ViewForegrounds, Views, views_of


@dataclass(frozen=True)
class Lessons:
    """The batches of one run. texture_files: name and SHA-256 of each. turning: how, and why so."""

    batches: Batches
    views: Views
    turning: Turning
    texture_files: list[list[str]] = field(default_factory=list)

    @property
    def twins(self) -> Twins:
        """What the batches' twins are made by, and counted."""
        return self.batches.twins

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "twins": dict(self.twins.report.to_dict()),
            "texture_files": self.texture_files,
            "views": self.views.to_dict() | self.turning.to_dict(),
        }


def lessons_of(
    pictures: NDArray[np.uint8],
    groups: Sequence[str],
    fixture: Fixture,
    expert: nn.Module,
    options: LearnOptions,
    *,
    device: torch.device,
) -> Lessons:
    """Lessons from training pictures, (N, H, W, 3) uint8 in the fixture; groups: the part that each shows.

    expert: a frozen encoder with ImageNet weights. Raises LearningImpossible for views that these pictures do not have.
    """
    if options.turns == "auto":
        turning = turns_allowed(pictures, groups, fixture, expert, seed=options.seed)
    else:
        turning = Turning(options.turns, "asked for")
    size = fixture.height, fixture.width
    try:
        views = views_of(len(pictures), size, turns=turning.turns, tile=options.tile, seed=options.seed)
    except ValueError as problem:
        raise LearningImpossible(str(problem)) from problem
    cut = views.cut(pictures)
    textures, files = _textures(cut, options)
    twins = Twins(textures, ViewForegrounds(pictures, options.foreground, views), options.seed)
    return Lessons(Batches(cut, twins, size=options.batch, device=device), views, turning, files)


def _textures(views: NDArray[np.uint8], options: LearnOptions) -> tuple[Textures, list[list[str]]]:
    if options.textures is None:
        return Mixed((ProceduralTextures(), NormalTextures(views))), []
    folder = FolderTextures(options.textures)
    return folder, [list(pair) for pair in folder.hashes]
