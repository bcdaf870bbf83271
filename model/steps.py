"""
One step of each way to train; rd-e.md, section 4.

joint      the paper's six steps, teacher and student side by side
teacher    the teacher alone: its loss does not depend on the student
student    the student alone, on a teacher that has finished learning
baseline   RD4AD: no expert, no twins; the ImageNet network is the teacher
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from model.batches import Batch, Batches
from model.levels import Levels
from model.losses import baseline_loss, student_loss, teacher_loss
from model.networks import Networks

TEACHER_RATE, STUDENT_RATE = 1e-4, 5e-3  # of the authors' release, as the betas
BETAS = (0.5, 0.999)
CACHE_BYTES = 768 * 1024**2


class TrainingDiverged(RuntimeError):
    """A loss is no longer a finite number; the message names the iteration."""


@dataclass(frozen=True)
class Optimisers:
    """Adam for each network that learns; the teacher's is None with the expert off."""

    teacher: Optimizer | None
    student: Optimizer
    teacher_rate: float = TEACHER_RATE

    def set_factor(self, factor: float) -> None:
        """Scale both learning rates from their start values."""
        for optimiser, rate in ((self.teacher, self.teacher_rate), (self.student, STUDENT_RATE)):
            for group in optimiser.param_groups if optimiser else ():
                group["lr"] = rate * factor


def optimisers_for(networks: Networks, teacher_rate: float = TEACHER_RATE) -> Optimisers:
    """Fresh optimisers with the release's settings, but for the teacher's learning rate where another is asked for."""
    learns = [weight for weight in networks.teacher.parameters() if weight.requires_grad]
    teacher = Adam(learns, lr=teacher_rate, betas=BETAS) if learns else None
    student = Adam(networks.student.parameters(), lr=STUDENT_RATE, betas=BETAS)
    return Optimisers(teacher, student, teacher_rate)


@dataclass(frozen=True)
class Halves:
    """Which networks run in bfloat16 while they train; losses are float32 always."""

    encoders: bool = False
    student: bool = False

    @classmethod
    def fastest(cls, device: torch.device, backbone: str) -> "Halves":
        """What pays on this machine.

        A CPU with bfloat16 units trains the student 1.7 times as fast, but depthwise convolutions more slowly.
        """
        if device.type == "cuda":
            return cls(encoders=True, student=True)
        if not cpu_has_bfloat16():
            return cls()
        return cls(encoders=not backbone.startswith("efficientnet"), student=True)


@dataclass(frozen=True)
class Classroom:
    """All that a step needs besides its batch."""

    networks: Networks
    optimisers: Optimisers
    halves: Halves
    device: torch.device

    def encoding(self) -> torch.autocast:
        """The precision of expert and teacher."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.halves.encoders)

    def rebuilding(self) -> torch.autocast:
        """The precision of the student."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.halves.student)


@dataclass(frozen=True)
class Losses:
    """What a step reached; None where that network did not learn."""

    teacher: float | None = None
    student: float | None = None


Features = tuple[Levels, Levels]
"""Expert's and teacher's features of good pictures, E(n) and T(n)."""


def joint_step(room: Classroom, batch: Batch, _features: "FeatureCache") -> Losses:
    """The six steps of the method, in its order."""
    expert, teacher, student = room.networks.expert, room.networks.teacher, room.networks.student
    assert room.optimisers.teacher is not None
    with torch.no_grad(), room.encoding():  # 1. the expert never learns
        wanted_normal, wanted_marred = expert(batch.normal), expert(batch.marred)
    lesson = _teach(room, batch, wanted_normal, wanted_marred)  # 2. and 3.
    with torch.no_grad(), room.encoding(), evaluating(teacher):  # 4. again, with the new weights
        given_normal, given_marred = teacher(batch.normal), teacher(batch.marred)
    student.train()
    with room.rebuilding():  # 5. two passes, good pictures first: each batch has its own statistics
        rebuilt_normal, rebuilt_marred = student(given_normal), student(given_marred)
    loss = student_loss(rebuilt_normal, rebuilt_marred, wanted_normal, given_normal)
    return Losses(lesson, descend(loss, room.optimisers.student))  # 6.


def teacher_step(room: Classroom, batch: Batch, features: "FeatureCache") -> Losses:
    """Steps 1 to 3 alone."""
    with torch.no_grad(), room.encoding():
        wanted_normal, wanted_marred = features.of_expert(batch), room.networks.expert(batch.marred)
    return Losses(teacher=_teach(room, batch, wanted_normal, wanted_marred))


def student_step(room: Classroom, batch: Batch, features: "FeatureCache") -> Losses:
    """Steps 4 to 6 with a teacher that no longer changes."""
    teacher, student = room.networks.teacher, room.networks.student
    with torch.no_grad(), room.encoding(), evaluating(teacher):
        wanted_normal, given_normal = features.of_expert(batch), features.of_teacher(batch)
        given_marred = teacher(batch.marred)
    student.train()
    with room.rebuilding():
        rebuilt_normal, rebuilt_marred = student(given_normal), student(given_marred)
    loss = student_loss(rebuilt_normal, rebuilt_marred, wanted_normal, given_normal)
    return Losses(student=descend(loss, room.optimisers.student))


def baseline_step(room: Classroom, batch: Batch, features: "FeatureCache") -> Losses:
    """Plain reverse distillation from the ImageNet network."""
    with torch.no_grad(), room.encoding():
        given = features.of_expert(batch)
    room.networks.student.train()
    with room.rebuilding():
        rebuilt = room.networks.student(given)
    return Losses(student=descend(baseline_loss(rebuilt, given), room.optimisers.student))


Step = Callable[[Classroom, Batch, "FeatureCache"], Losses]
STEPS: Mapping[str, Step] = {
    "joint": joint_step,
    "teacher": teacher_step,
    "student": student_step,
    "baseline": baseline_step,
}


class FeatureCache:
    """Features of the good pictures by networks that stand still: each computed when it is first needed, then kept.

    One picture at a time, so that they do not depend on who shared a batch with them. Beyond `limit` bytes nothing more
    is kept: slower, and the same otherwise.
    """

    def __init__(self, room: Classroom, batches: Batches, *, limit: int = CACHE_BYTES) -> None:
        self._room = room
        self._batches = batches
        self._room_left = limit
        self._kept: dict[tuple[str, int], Levels] = {}

    def of_expert(self, batch: Batch) -> Levels:
        """E(n) by level (B, C_k, H_k, W_k), in the student's precision."""
        return self._features("expert", self._room.networks.expert, batch)

    def of_teacher(self, batch: Batch) -> Levels:
        """T(n) in evaluation mode; only for a teacher that no longer learns."""
        return self._features("teacher", self._room.networks.teacher, batch)

    def _features(self, name: str, network: nn.Module, batch: Batch) -> Levels:
        each = [self._one(name, network, pick) for pick in batch.picks.tolist()]
        first, second, third = (torch.cat(level) for level in zip(*each, strict=True))
        return first, second, third

    def _one(self, name: str, network: nn.Module, pick: int) -> Levels:
        """Features of one picture, (1, C_k, H_k, W_k)."""
        kept = self._kept.get((name, pick))
        if kept is not None:
            return kept
        dtype = torch.bfloat16 if self._room.halves.student else torch.float32
        with torch.no_grad(), self._room.encoding(), evaluating(network):
            first, second, third = (level.to(dtype) for level in network(self._batches.normals(np.array([pick]))))
        size = sum(level.numel() * level.element_size() for level in (first, second, third))
        if size <= self._room_left:
            self._room_left -= size
            self._kept[name, pick] = first, second, third
        return first, second, third


def descend(loss: Tensor, optimiser: Optimizer) -> float:
    """One step down; raises TrainingDiverged when the loss is NaN or infinite."""
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingDiverged(f"the loss is {value}")
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return value


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to what it was."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (Linux only; elsewhere no)."""
    facts = Path("/proc/cpuinfo")
    words = facts.read_text(encoding="utf-8").split() if facts.exists() else []
    return "avx512_bf16" in words or "amx_bf16" in words


def _teach(room: Classroom, batch: Batch, wanted_normal: Levels, wanted_marred: Levels) -> float:
    """Steps 2 and 3: two passes, twins last, so that the running statistics see both."""
    teacher = room.networks.teacher
    assert room.optimisers.teacher is not None
    teacher.train()
    with room.encoding():
        normal, marred = teacher(batch.normal), teacher(batch.marred)
    return descend(teacher_loss(normal, marred, wanted_normal, wanted_marred, batch.mask), room.optimisers.teacher)
