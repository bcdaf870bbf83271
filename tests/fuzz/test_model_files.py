"""Ten thousand damaged model files: none is taken for the model that was saved, none is anything but refused."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch

from model.architecture import Architecture
from model.capability import Capability, Grade
from model.errors import ModelFileInvalid
from model.fixture import Fixture, FixtureMismatch
from model.locating import PartFinder
from model.manifest import Manifest, ModelLimits
from model.model_file import load, save
from model.pose import Pose
from tests.fuzz.mutation import damaged

SIDE = 64
CAPABILITY = Capability(40.5, 6, (Grade("spot", 3.0, 60.0, 12, 8, 2), Grade("scratch", 1.5, 30.0, 12, 0)))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file with a true manifest and some tensors; load() reads the file and builds no network."""
    path = tmp_path_factory.mktemp("models") / "good.safetensors"
    words = manifest_of(located("axis").to_dict())
    save(path, {"teacher.a": torch.arange(6.0).reshape(2, 3), "student.b": torch.ones(4)}, words)
    load(path)
    return path.read_bytes()


@pytest.mark.slow
def test_a_damaged_model_file_is_refused(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    for data in damaged([good]):
        path.write_bytes(data)
        try:
            found = load(path)
        except ModelFileInvalid as problem:
            assert str(path) in str(problem)  # noqa: PT017 - it may also be whole
        else:  # damage that changes nothing, such as white space in the head
            assert found.manifest == load_from(good, tmp_path).manifest
            assert all(torch.equal(found.tensors[name], t) for name, t in load_from(good, tmp_path).tensors.items())


def test_a_registered_model_is_its_own_bytes_only(good: bytes, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(good).hexdigest()
    path = tmp_path / "damaged.safetensors"
    for data in damaged([good], 500, seed=5):
        path.write_bytes(data)
        if data != good:
            with pytest.raises(ModelFileInvalid):
                load(path, sha256=sha256)


def test_a_manifest_that_somebody_rewrote_and_signed_again_is_valid_or_refused(good: bytes, tmp_path: Path) -> None:
    (length,) = struct.unpack("<Q", good[:8])
    head = json.loads(good[8 : 8 + length])
    tensors = load_from(good, tmp_path).tensors
    random = np.random.default_rng(11)
    path = tmp_path / "rewritten.safetensors"
    for _ in range(1000):
        words = json.dumps(_changed(json.loads(head["__metadata__"]["manifest"]), random))
        signed = {**head, "__metadata__": {**head["__metadata__"], "manifest": words, "digest": digest(words, tensors)}}
        text = json.dumps(signed).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + good[8 + length :])
        try:
            found = load(path)
        except ModelFileInvalid:
            continue
        assert found.manifest.limits is None or np.isfinite(found.manifest.limits.t_lo)
        told = found.manifest.measured()
        assert told is None or all(0 <= grade.share <= 1 for grade in told.grades)
        with pytest.raises(ModelFileInvalid):  # these tensors fit no network
            found.networks()


@pytest.mark.parametrize("kind", ["axis", "template"])
def test_a_fixture_that_somebody_rewrote_is_valid_or_refused(kind: Literal["axis", "template"]) -> None:
    random = np.random.default_rng(7)
    for _ in range(1500):
        words = json.loads(json.dumps(_changed(located(kind).to_dict(), random)))
        if not isinstance(words, dict):
            continue
        try:
            found = manifest_of(words).fitted()
        except ValueError:  # as pydantic's are, and as model_file expects them
            continue
        assert (found.width, found.height) == (SIDE, SIDE)
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        try:
            assert found.apply(picture).shape == (SIDE, SIDE, 3)
        except FixtureMismatch:
            continue


def test_a_capability_that_somebody_rewrote_is_valid_or_refused() -> None:
    random = np.random.default_rng(17)
    refused = 0
    for _ in range(1500):
        words = json.loads(json.dumps(_changed(CAPABILITY.to_dict(), random)))
        if isinstance(words, dict) and isinstance(words.get("grades"), list) and words["grades"]:
            place = int(random.integers(len(words["grades"])))
            words["grades"][place] = _changed(words["grades"][place], random)
        try:
            found = Capability.from_dict(words)
        except ValueError:
            refused += 1
            continue
        assert len(found.sentences()) == len(found.series())
        json.dumps(found.report(), allow_nan=False)
    assert 100 < refused < 1500


def located(kind: Literal["axis", "template"]) -> Fixture:
    """A fixture with a pose, whose template is a small ramp."""
    ramp = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 6
    template = cv2.imencode(".png", ramp)[1].tobytes()
    finder = PartFinder(20.0, 0.02, 0.5) if kind == "axis" else None
    pose = Pose(kind, (40.0, 30.0), template, 0.5, finder, None if finder else (32.0, 32.0))
    return Fixture(kind, None, SIDE, SIDE, (SIDE, SIDE), pose)


def manifest_of(fixture: dict[str, Any]) -> Manifest:
    limits = ModelLimits(t_lo=1.0)
    return Manifest(
        architecture=Architecture().to_dict(), height=SIDE, width=SIDE, fixture=fixture, limits=limits,
        capability=CAPABILITY.to_dict())  # fmt: skip


def load_from(data: bytes, folder: Path) -> Any:
    path = folder / "whole.safetensors"
    path.write_bytes(data)
    return load(path)


def digest(words: str, tensors: dict[str, torch.Tensor]) -> str:
    """As a forger computes it: the digest guards against damage, the registered SHA-256 against forgers."""
    found = hashlib.sha256(words.encode())
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        found.update(tensors[name].numpy().tobytes())
    return found.hexdigest()


def _changed(value: Any, random: np.random.Generator) -> Any:
    """The same document with one value replaced by another that somebody might write there."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = str(random.choice(sorted(value)))
        return {**value, name: _changed(value[name], random)}
    odd = [None, True, -1, 0, 1 << 40, 1e308, "", "x", [], {}, [1, 2], {"t_lo": None}, float("nan"), SIDE + 32]
    return odd[int(random.integers(len(odd)))]
