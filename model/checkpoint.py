"""
Training that survives a crash: networks, optimisers and place in the sequence, written aside and then moved.

Pictures, twins and their order are functions of the seed and the iteration, and no layer draws random numbers, so these
are the whole random state. Read with weights_only: a checkpoint is data, never code.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from model.files import write_whole
from model.steps import Classroom

FORMAT = 1


class CheckpointInvalid(ValueError):
    """A checkpoint is damaged or belongs to another training run; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Where a run is: stage and iteration to go on with, and the seconds already spent in that stage.

    fingerprint: names the run (settings, seed, pictures), so that none goes on with another's networks. past: what
    training wants to tell in the end of all that lies before, in plain values.
    """

    stage: int
    iteration: int
    elapsed: float
    fingerprint: str
    past: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, room: Classroom, place: Place) -> None:
    """Write a checkpoint; readers see the old file or the new one. Raises OSError."""
    teacher = room.optimisers.teacher
    state: dict[str, Any] = {
        "format": FORMAT,
        "place": [place.stage, place.iteration, place.elapsed, place.fingerprint, dict(place.past)],
        "teacher": room.networks.teacher.state_dict(),
        "student": room.networks.student.state_dict(),
        "teacher_optimiser": teacher.state_dict() if teacher else None,
        "student_optimiser": room.optimisers.student.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getbuffer())


def load_checkpoint(path: Path, room: Classroom, fingerprint: str) -> Place:
    """Put the networks and optimisers of `room` where the checkpoint left them; returns the place to go on.

    Raises CheckpointInvalid for a damaged file or one of another run.
    """
    advice = f"delete {path} to begin again"
    try:
        state = torch.load(path, map_location=room.device, weights_only=True)
        if state["format"] != FORMAT:
            raise CheckpointInvalid(f"checkpoint {path} has format {state['format']}, not {FORMAT}; {advice}")
        place = Place(*state["place"])
        if place.fingerprint != fingerprint:
            raise CheckpointInvalid(f"checkpoint {path} belongs to a run with other settings or pictures; {advice}")
        room.networks.teacher.load_state_dict(state["teacher"])
        room.networks.student.load_state_dict(state["student"])
        if room.optimisers.teacher:
            room.optimisers.teacher.load_state_dict(state["teacher_optimiser"])
        room.optimisers.student.load_state_dict(state["student_optimiser"])
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as problem:
        raise CheckpointInvalid(f"checkpoint {path} cannot be read ({problem}); {advice}") from problem
    return place
