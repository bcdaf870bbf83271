"""Teaching a product: pictures in, a model file registered in the books, and activated if so asked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cli import parts
from cli.console import Report, err, escape, out, progress, write_json
from core.blobs import Kind
from core.errors import ModelUnusable, SettingsInvalid
from core.recipes import Recipe, Roi
from core.records import models, recipes
from core.records.models import ModelRow, NewModel
from core.settings import Settings, read_settings
from core.stop import Stop
from model.architecture import ABLATIONS
from model.errors import ModelError
from model.learning import LearnOptions, Learnt, learn
from model.model_file import sha256_of
from model.training import TrainingCancelled


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a training as the command line gives them."""

    budget: str = "180s"
    size: int = 256
    backbone: str = "efficientnet_lite0"
    ablation: str = "rd-e+gii"
    roi: str | None = None
    seed: int = 0
    review_rate: float = 0.01
    fail_rate: float = 0.002
    textures: Path | None = None
