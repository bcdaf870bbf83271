"""One model in one file: safetensors with the manifest in its head. Never pickle, never half written.

A reader meets the old file or the new one. A digest over manifest and tensors stands beside them, because safetensors
notices a short file but not a changed one.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from model.backbones import build_encoder
from model.errors import ModelFileInvalid
from model.files import write_whole
from model.fusion import Second, Units, Wide
from model.inspection_network import is_finite
from model.manifest import Manifest, MemoryRecord
from model.memory import GoldenMemory
from model.neighbours import GoldenPictures
from model.networks import freeze
from model.student import build_student
from model.widening import STEP

FORMAT = 1
SUFFIX = ".safetensors"
LARGEST_HEAD = 100_000_000  # bytes; safetensors itself takes no more
MARK = "flawline"
WIDE = "wide"  # what the memory of neighbourhoods is called


@dataclass(frozen=True)
class ModelFile:
    """A file that was read and found whole. sha256: of the file's bytes, as it was registered."""

    manifest: Manifest
    tensors: dict[str, Tensor]
    sha256: str

    def second(self) -> Second | None:
        """The golden memory as it was saved; None where there is none. Raises ModelFileInvalid if it does not fit."""
        told = self.manifest.memory
        if told is None:
            return None
        try:
            memory = GoldenMemory.from_tensors(self.tensors, (told.rows, told.columns))
            wide = self._wide(told)
        except ValueError as problem:
            raise ModelFileInvalid(f"{problem}; train the model again") from problem
        student = Units(told.student_middle, told.student_spread)
        return Second(memory, student, Units(told.golden_middle, told.golden_spread), told.share, wide)

    def _wide(self, told: MemoryRecord) -> Wide | None:
        if told.wide is None:
            return None
        shape = told.rows // STEP, told.columns // STEP
        memory = GoldenMemory.from_tensors(self.tensors, shape, WIDE)
        cells = Units(told.wide.cell_middle, told.wide.cell_spread)
        return Wide(memory, Units(told.wide.middle, told.wide.spread), cells)

    def pictures(self) -> GoldenPictures | None:
        """The golden parts that the memory holds; None where the file has none that fit it."""
        told = self.manifest.memory
        return None if told is None else GoldenPictures.from_tensors(self.tensors, told.parts)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Teacher and student as they were saved, frozen. Raises ModelFileInvalid if the tensors do not fit them."""
        architecture = self.manifest.built()
        teacher, student = build_encoder(architecture), build_student(architecture)
        for role, network in (("teacher", teacher), ("student", student)):
            prefix = role + "."
            own = {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}
            try:
                network.load_state_dict(own)
            except RuntimeError as problem:
                raise ModelFileInvalid(
                    f"the {role} in this model file is not the {architecture.backbone} that its manifest tells of: "
                    f"{problem}; train the model again"
                ) from problem
            if not is_finite(network):
                raise ModelFileInvalid(f"the {role} in this model file holds values that are no finite numbers")
        return freeze(teacher), freeze(student)


def tensors_of(
    teacher: nn.Module,
    student: nn.Module,
    second: Second | None = None,
    pictures: GoldenPictures | None = None,
) -> dict[str, Tensor]:
    """What a model file holds: all of teacher, student and memory that inspection needs, nothing of the expert.

    pictures: of the parts in the memory, for people to compare with.
    """
    parts = (("teacher.", teacher), ("student.", student))
    kept = second.memory.tensors() if second else {}
    kept |= second.wide.memory.tensors(WIDE) if second and second.wide else {}
    kept |= pictures.tensors() if second and pictures else {}
    return kept | {
        prefix + name: tensor.detach().cpu().contiguous().clone()
        for prefix, network in parts
        for name, tensor in network.state_dict().items()
    }


def save(path: Path, tensors: Mapping[str, Tensor], manifest: Manifest) -> str:
    """Write a model file: aside, flushed to the disk, then moved into place. Returns its SHA-256.

    Raises OSError when the disk is full or the folder cannot be written; then an older file is untouched.
    """
    words = manifest.model_dump_json()
    head = {MARK: str(FORMAT), "manifest": words, "digest": _digest(words, tensors)}
    data = save_tensors(dict(tensors), metadata=head)
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def load(path: Path, *, sha256: str | None = None) -> ModelFile:
    """Read a model file and check that it is whole.

    sha256: what the file must be, as it was registered. Raises ModelFileInvalid if it is missing, truncated, changed,
    of another format, or not one of ours.
    """
    try:
        data = path.read_bytes()  # not mapped: a file that shrinks while mapped would end the process
    except OSError as problem:
        raise ModelFileInvalid(f"cannot read the model file {path}: {problem.strerror}; check the path") from problem
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise ModelFileInvalid(
            f"the model file {path} is not the one that was registered: SHA-256 {found[:12]}… instead of "
            f"{sha256[:12]}…; restore it from a copy or train again"
        )
    head = _head(path, data)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError) as problem:
        raise _broken(path, str(problem)) from problem
    if head["digest"] != _digest(head["manifest"], tensors):
        raise _broken(path, "its contents differ from what was saved")
    return ModelFile(_manifest(path, head["manifest"]), tensors, found)


def read_manifest(path: Path) -> Manifest:
    """A model file's manifest alone, without its tensors. Raises ModelFileInvalid as load does."""
    return load(path).manifest


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _head(path: Path, data: bytes) -> dict[str, str]:
    """The metadata in a safetensors file: a length of eight bytes, then JSON with `__metadata__`."""
    if len(data) < 8:
        raise _broken(path, f"it has {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(len(data) - 8, LARGEST_HEAD):
        raise _broken(path, "it is truncated, or not a safetensors file")
    try:
        parsed = json.loads(data[8 : 8 + length])
    except ValueError as problem:
        raise _broken(path, f"its head is not JSON ({problem})") from problem
    head = parsed.get("__metadata__") if isinstance(parsed, dict) else None
    if not isinstance(head, dict) or not {MARK, "manifest", "digest"} <= head.keys():
        raise ModelFileInvalid(f"{path} holds tensors but no flawline model; give a file that flawline has trained")
    if head[MARK] != str(FORMAT):
        raise ModelFileInvalid(
            f"{path} has format {head[MARK]!r}, this flawline reads format {FORMAT}; update flawline or train again"
        )
    return {str(name): str(value) for name, value in head.items()}


def _manifest(path: Path, words: str) -> Manifest:
    try:
        return Manifest.model_validate_json(words)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise ModelFileInvalid(
            f"{path}: its manifest is not valid at {where}: {first['msg']}; train again"
        ) from problem


def _digest(words: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(words.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _broken(path: Path, why: str) -> ModelFileInvalid:
    return ModelFileInvalid(f"the model file {path} is damaged: {why}; restore it from a copy or train again")
