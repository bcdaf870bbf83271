"""
Where training begins: with fresh networks, or with those of an earlier model of the same product.

Weights alone are taken over. Limits, memory and units are made anew, from parts that no network of the line of models
has learnt from: their scores would be too low, and the limits from them too tight.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.architecture import Architecture
from model.errors import ModelFileInvalid
from model.golden import Finding, Golden
from model.model_file import load
from model.networks import Networks
from model.split import LearningImpossible, Split, short, split_golden
from model.training import TEACHER_SHARE

WARM_TEACHER_SHARE = 0.2  # of the budget: half of a fresh teacher's, which has everything still to learn
WARM_RATES = 0.2  # of fresh networks' learning rates: Adam's first steps, without memory, would undo what was learnt
TRAINED_ON = "trained_on"  # the tensor in a model file


@dataclass(frozen=True)
class WarmStart:
    """An earlier model to begin from.

    path: its file. required: what does not fit is refused; otherwise networks begin fresh, and a finding says why.
    """

    path: Path
    required: bool = True


@dataclass(frozen=True)
class Start:
    """Where training begins.

    asked: None for fresh networks. teacher, student: of the earlier model, frozen; None for fresh ones. sha256: of its
    file. trained: short digests of the pictures that it and those before it have learnt from; None where the file does
    not say. findings: why networks begin fresh although an earlier model is there.
    """

    asked: WarmStart | None = None
    teacher: nn.Module | None = None
    student: nn.Module | None = None
    sha256: str | None = None
    trained: frozenset[str] | None = frozenset()
    findings: tuple[Finding, ...] = ()

    @property
    def teacher_share(self) -> float:
        """Of the training budget for the teacher, when staged."""
        return TEACHER_SHARE if self.teacher is None else WARM_TEACHER_SHARE

    @property
    def rate_scale(self) -> float:
        """Of the learning rates of fresh networks."""
        return 1.0 if self.teacher is None else WARM_RATES

    def put_into(self, networks: Networks) -> None:
        """Teacher and student as the earlier model has them; the expert keeps its ImageNet weights."""
        if self.teacher is None or self.student is None:
            return
        if networks.teacher is not networks.expert:
            networks.teacher.load_state_dict(self.teacher.state_dict())
        networks.student.load_state_dict(self.student.state_dict())

    def split(
        self, golden: Golden, extra: Golden | None, *, fail_rate: float, seed: int = 0, weighs: bool = True
    ) -> tuple[Split, "Start"]:
        """Which pictures train and which calibrate, none of them known to the earlier model; and what start that is.

        See split_golden. Raises LearningImpossible.
        """
        try:
            trained = self._unseen(golden, extra)
            return split_golden(golden, extra, fail_rate=fail_rate, seed=seed, trained=trained, weighs=weighs), self
        except LearningImpossible as problem:
            if self.asked is None or self.asked.required or self.teacher is None:
                raise
            fresh = split_golden(golden, extra, fail_rate=fail_rate, seed=seed, weighs=weighs)
            return fresh, _fresh(self.asked, problem)

    def trained_on(self, golden: Golden, split: Split) -> Tensor:
        """For the model file: what the earlier models and this one have learnt from, (N,) int64, a picture each."""
        known = (self.trained or frozenset()) | {short(golden.digests[number]) for number in split.train.tolist()}
        return torch.from_numpy(np.array([_signed(digest) for digest in sorted(known)], dtype=np.int64))

    def _unseen(self, golden: Golden, extra: Golden | None) -> frozenset[str]:
        """What must not calibrate. Raises LearningImpossible where that, or what to unlearn, is not known."""
        required = self.asked is None or self.asked.required
        if self.trained is None:
            if required and extra is not None:
                return frozenset()  # whoever names pictures to calibrate on says that they are new
            raise LearningImpossible(
                "the earlier model does not say which pictures it has learnt from, so none can be held out from it: "
                "give good pictures of other parts to calibrate on, or begin without it"
            )
        here = {short(digest) for digest in golden.digests + (extra.digests if extra else ())}
        gone = len(self.trained - here)
        if gone and not required:
            # A picture may have been taken out because it shows a flaw: what was learnt from it must not live on.
            raise LearningImpossible(f"{gone} of the pictures it has learnt from are not among these")
        return self.trained


def open_start(asked: WarmStart | None, architecture: Architecture) -> Start:
    """The start that is asked for, for networks of this architecture.

    Raises ModelFileInvalid for a file that is none, or of another architecture, where it is required.
    """
    if asked is None:
        return Start()
    try:
        file = load(asked.path)
        found = file.manifest.built()
        if found != architecture:
            raise ModelFileInvalid(
                f"{asked.path} cannot be begun from: it holds {_words(found)}, and {_words(architecture)} is to be "
                "trained; ask for the same network, or begin without it"
            )
        teacher, student = file.networks()
    except ModelFileInvalid as problem:
        if asked.required:
            raise
        return _fresh(asked, problem)
    known = file.tensors.get(TRAINED_ON)
    return Start(asked, teacher, student, file.sha256, None if known is None else _digests(known.tolist()))


def _fresh(asked: WarmStart, why: Exception) -> Start:
    return Start(asked, findings=(Finding(asked.path, "note", f"training begins fresh, not from this model: {why}"),))


def _digests(numbers: Iterable[int]) -> frozenset[str]:
    return frozenset(f"{number & (2**64 - 1):016x}" for number in numbers)


def _signed(digest: str) -> int:
    """Sixteen hexadecimal digits as an int64."""
    number = int(digest, 16)
    return number - 2**64 if number >= 2**63 else number


def _words(architecture: Architecture) -> str:
    values = architecture.to_dict()
    expert = "with" if values["expert"] else "without"
    return f"{values['backbone']} ({values['features']} features, skip {values['skip']}, {expert} expert)"
