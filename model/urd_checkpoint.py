"""
A checkpoint of the method's authors, {'teacher': state dict, 'student': state dict}, as networks of ours.

A file from elsewhere is data, never code: only torch's archives are opened, and only tensors are taken from them. What
does not fit to the last tensor is refused, because a network with a wrong tensor still answers, wrongly (rd-e.md, §3).
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.architecture import Architecture, Skip
from model.backbones import build_encoder
from model.errors import WeightsMissing
from model.networks import freeze
from model.released_weights import ENCODER_PREFIX, few, load_released, load_released_encoder, misfits, run_parts
from model.student import build_student

BACKBONE = "wide_resnet50_2"  # the release fixes its student's widths to it
TEACHER, STUDENT = "teacher", "student"
COUNTER = "num_batches_tracked"
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
LARGEST = 4 * 1024**3  # bytes; the whole release takes 0.8 GB, twice that in float64
_DAMAGE = (
    OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile,  # what torch and zipfile mean to raise
    ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, MemoryError, struct.error,
)  # fmt: skip

Tables = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Released:
    """The authors' networks, frozen, and what they are."""

    teacher: nn.Module
    student: nn.Module
    architecture: Architecture


def read_urd(path: Path, *, skip: Skip | None = None) -> Released:
    """The networks in a checkpoint of the authors' form.

    skip: which way the student works; its file holds the tensors of all three. None for the one that its counters show
    it was trained on, or guided injection where they have counted nothing. Raises WeightsMissing, which says what is
    wrong with the file, or that it was trained on another way than the one asked for.
    """
    tables = _tables(path)
    full = Architecture(backbone=BACKBONE)
    problems = [
        f"{role}: {problem}"
        for role, own in _names(full).items()
        for problem in misfits(own, tables[role]) or _bad_values(run_parts(tables[role]))
    ]
    if problems:
        raise WeightsMissing(f"{path} does not hold the {BACKBONE} of the released code: {few(problems)}")
    architecture = Architecture(backbone=BACKBONE, skip=_way(path, tables[STUDENT], skip))
    with torch.device("meta"):  # their start values would take seconds, and be overwritten
        encoder, student = build_encoder(architecture), build_student(architecture)
    encoder, student = encoder.to_empty(device="cpu"), student.to_empty(device="cpu")
    load_released_encoder(encoder, tables[TEACHER])
    load_released(student, {name: tables[STUDENT][name] for name in student.state_dict()})
    return Released(freeze(encoder), freeze(student), architecture)


def trained_way(student: Mapping[str, Tensor]) -> Skip | None:
    """The way a released student was trained on, by which of its norms have counted batches; None if none has.

    The release trains all three ways into the same tensors: those off its way keep their start values.
    """

    def has_run(part: str) -> bool:
        counters = (tensor for name, tensor in student.items() if name.startswith(part) and name.endswith(COUNTER))
        return any(int(counter) > 0 for counter in counters)

    if not has_run("bn."):
        return None
    if has_run("conv3x3_simattn."):
        return Skip.GII
    return Skip.PLAIN if has_run("fuse_skip.") else Skip.NONE


def _way(path: Path, student: Mapping[str, Tensor], asked: Skip | None) -> Skip:
    trained = trained_way(student)
    if asked is not None and trained not in (None, asked):
        raise WeightsMissing(
            f"the student in {path} was trained with the skip {trained}, by what its norms have counted; with {asked} "
            f"it would run tensors that never learnt. Import it with {trained}"
        )
    return asked or trained or Skip.GII


def _names(architecture: Architecture) -> Tables:
    """What the authors' names stand for in our networks: tensors without data."""
    with torch.device("meta"):
        encoder, student = build_encoder(architecture), build_student(architecture)
    renamed = {ENCODER_PREFIX + name: tensor for name, tensor in encoder.state_dict().items()}
    return {TEACHER: renamed, STUDENT: student.state_dict()}


def _bad_values(weights: Mapping[str, Tensor]) -> list[str]:
    """Tensors of the right shape that no network can run on."""
    found = []
    for name, tensor in weights.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            found.append(f"{name} is no plain table of numbers")
        elif name.endswith(COUNTER):
            if tensor.is_floating_point() or tensor.is_complex():
                found.append(f"{name} is no whole number")
        elif tensor.dtype not in FLOATS:
            found.append(f"{name} holds {tensor.dtype}, not real numbers")
        elif not tensor.float().isfinite().all():  # a float64 may be too large for float32
            found.append(f"{name} holds values that are no finite numbers")
        elif name.endswith("running_var") and (tensor < 0).any():
            found.append(f"{name} holds a variance below 0")
    return sorted(found)


def _tables(path: Path) -> Tables:
    """The two state dicts in a file; raises WeightsMissing where it is anything else."""
    try:
        _check_archive(path)
        # opened here: by its name torch would take other kinds of file as well
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is refused below
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        # torch's own words advise to load it all the same, and that would run whatever the file brings along
        raise WeightsMissing(
            f"{path} is not read: it asks for {_wish(problem)}, and flawline takes tensors from a file, never code. "
            "Have it saved again as {'teacher': teacher.state_dict(), 'student': student.state_dict()}"
        ) from problem
    except FileNotFoundError as problem:
        raise WeightsMissing(f"{path}: no such file; give a checkpoint of the authors' code") from problem
    except _DAMAGE as problem:
        first = str(problem).partition("\n")[0] or type(problem).__name__
        raise WeightsMissing(f"{path} cannot be read as a checkpoint ({first}); copy it again") from problem
    wrong = _wrong_form(found)
    if wrong:
        raise WeightsMissing(
            f"{path} is no checkpoint of the authors' form, {{'teacher': state dict, 'student': state dict}}: {wrong}"
        )
    return {role: dict(found[role]) for role in (TEACHER, STUDENT)}


def _check_archive(path: Path) -> None:
    """Raise ValueError for what torch.save has not written: it has made archives without compression since 1.6."""
    if not zipfile.is_zipfile(path):
        if not path.exists():
            raise FileNotFoundError(path)
        raise ValueError("it is no archive of torch.save; torch 1.6 or later writes them")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its archive is compressed, as torch.save never makes it")
    total = sum(entry.file_size for entry in entries)
    if total > LARGEST:
        raise ValueError(f"it holds {total / 1e9:.1f} GB, the whole release takes 0.8")


def _wrong_form(found: object) -> str:
    if not isinstance(found, Mapping):
        return f"it holds a {type(found).__name__}"
    names = sorted(map(str, found))
    if set(names) != {TEACHER, STUDENT}:
        return f"it holds {few(names) or 'nothing'}"
    for role, table in found.items():
        if not isinstance(table, Mapping):
            return f"its {role} is a {type(table).__name__}"
        strange = sorted(f"{role}: {name}" for name, value in table.items() if not isinstance(value, Tensor))
        if strange:
            return f"these are no tensors: {few(strange)}"
        if not all(isinstance(name, str) for name in table):
            return f"its {role} has names that are no text"
    return ""


def _wish(problem: pickle.UnpicklingError) -> str:
    asked = re.search(r"GLOBAL ([\w.]+)", str(problem))
    return asked[1] if asked else "more than tensors, or is damaged"
