import json
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from model.architecture import Architecture
from model.capability import Capability, Grade
from model.errors import ModelFileInvalid
from model.fixture import Fixture
from model.manifest import CalibrationRecord, DataSnapshot, Manifest, ModelLimits
from model.model_file import load, read_manifest, save, sha256_of, tensors_of
from model.networks import Networks
from model.runtimes import Fingerprint
from tests.model.network.conftest import lived_in, untrained

HERE = Fingerprint("openvino", "2026.4.1", "cpu", "f32")
CAPABILITY = Capability(41.5, 8, (Grade("scratch", 1.5, 60.0, 12, 3), Grade("scratch", 3.0, 60.0, 12, 11, 1)))


def _manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "architecture": Architecture().to_dict(),
        "height": 64,
        "width": 96,
        "fixture": Fixture("roi", (10, 20, 300, 200), 64, 96, (640, 480)).to_dict(),
        "ignored": ((20, 30, 40, 50),),
        "training": {"iterations": 400, "seed": 0, "textures": ["procedural", "normals"], "cosine": True},
        "data": DataSnapshot(digest="ab" * 32, counts={"train": 40, "calibration": 20}),
        "calibration": CalibrationRecord(scores=(0.5, 0.25, 1 / 3), fingerprint=HERE),
        "limits": ModelLimits(t_lo=0.5, t_hi=None),
        "metrics": {"image_auroc": 0.99, "au_pro": None},
        "capability": CAPABILITY.to_dict(),
        "code_version": "0.1.0",
    }
    return Manifest(**(values | changes))


@pytest.fixture(scope="module")
def networks() -> Networks:
    networks = untrained(Architecture())
    lived_in(networks.teacher)
    lived_in(networks.student)
    return networks


@pytest.fixture
def path(tmp_path: Path, networks: Networks) -> Path:
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(networks.teacher, networks.student), _manifest())
    return path


def test_a_saved_model_comes_back_whole(tmp_path: Path, networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    sha256 = save(path, tensors_of(networks.teacher, networks.student), _manifest())
    file = load(path, sha256=sha256)
    assert file.manifest == _manifest() == read_manifest(path)
    assert file.sha256 == sha256 == sha256_of(path)
    for saved, network in zip(file.networks(), (networks.teacher, networks.student), strict=True):
        assert not saved.training
        ours = network.state_dict()
        assert all(torch.equal(tensor, ours[name]) for name, tensor in saved.state_dict().items())
    assert [other.name for other in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_expert_is_not_in_the_file(path: Path) -> None:
    assert {name.split(".")[0] for name in load(path).tensors} == {"teacher", "student"}


def test_a_file_is_replaced_as_a_whole(path: Path, networks: Networks) -> None:
    save(path, tensors_of(networks.teacher, networks.student), _manifest(code_version="0.2.0"))
    assert load(path).manifest.code_version == "0.2.0"


def test_when_the_disk_takes_no_more_the_old_file_stays(path: Path, networks: Networks) -> None:
    before = sha256_of(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(path, tensors_of(networks.teacher, networks.student), _manifest(code_version="0.2.0"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load(path, sha256=before).manifest == _manifest()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def _cut(end: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:end]


def _flip(place: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = int(place * (len(data) - 1))
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return change


def _another_score(data: bytes) -> bytes:
    assert data.count(b"0.25") == 1
    return data.replace(b"0.25", b"0.35")  # valid JSON still


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": _cut(0),
    "five bytes": _cut(5),
    "head cut": _cut(100),
    "tensors cut": _cut(1_000_000),
    "last byte cut": _cut(-1),
    "a byte more": lambda data: data + b"\0",
    "text": lambda _: b"this is a picture, honestly",
    "zeros": lambda data: bytes(len(data)),
    "length flipped": _flip(0.0),
    "tensor flipped": _flip(0.5),
    "last bit flipped": _flip(1.0),
    "manifest changed": _another_score,
    "a huge length": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "a head that is no table": lambda _: struct.pack("<Q", 2) + b"[]",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_refused(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFileInvalid, match=r"model\.safetensors"):
        load(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.safetensors", tmp_path):
        with pytest.raises(ModelFileInvalid, match=path.name):
            load(path)


def test_tensors_of_another_program_are_no_model(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFileInvalid, match="no flawline model"):
        load(tmp_path / "other.safetensors")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(ModelFileInvalid, match=r"model\.pt"):
        load(tmp_path / "model.pt")


def test_a_file_other_than_the_registered_one_is_refused(path: Path) -> None:
    with pytest.raises(ModelFileInvalid, match="registered"):
        load(path, sha256="0" * 64)


def _rewrite_head(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + length])
    change(head["__metadata__"])
    packed = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data[8 + length :])


def test_a_later_format_says_that_flawline_must_be_updated(path: Path) -> None:
    _rewrite_head(path, lambda head: head.update(flawline="2"))
    with pytest.raises(ModelFileInvalid, match="update flawline"):
        load(path)


def test_tensors_that_do_not_fit_the_manifest_are_refused(tmp_path: Path, networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    tensors = tensors_of(networks.teacher, networks.student)
    for architecture in (Architecture(features="linear"), Architecture(backbone="resnet18")):
        save(path, tensors, _manifest(architecture=architecture.to_dict()))
        with pytest.raises(ModelFileInvalid, match=architecture.backbone):
            load(path).networks()


def test_a_manifest_with_an_unknown_word_is_refused(tmp_path: Path, networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    strange = _manifest().model_copy(update={"architecture": {"backbone": "vgg16"}})
    save(path, tensors_of(networks.teacher, networks.student), strange)
    with pytest.raises(ModelFileInvalid, match="vgg16"):
        load(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    tensors = tensors_of(networks.teacher, networks.student)
    next(tensor for name, tensor in tensors.items() if name.startswith("student"))[0] = torch.inf
    save(path, tensors, _manifest())
    with pytest.raises(ModelFileInvalid, match="finite"):
        load(path).networks()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": 100}, "multiples of 32"),
        ({"width": 128}, "fixture makes 64x96"),
        ({"limits": {"t_lo": 1.0, "t_hi": 0.5}}, "below t_lo"),
        ({"limits": {"t_lo": float("nan")}}, "finite"),
        ({"calibration": {"scores": (float("inf"),), "fingerprint": HERE}}, "finite"),
        ({"fixture": {"kind": "roi"}}, "fixture"),
        ({"fixture": Fixture("none", None, 64, 96).to_dict()}, "not fixed"),
        ({"minimum_area": 0}, "greater than or equal to 1"),
        ({"format": 2}, "1"),
        ({"height": "64"}, "integer"),
        ({"colour": "red"}, "not permitted"),
        ({"capability": {"grades": []}}, "the capability is not one: KeyError"),
        ({"capability": CAPABILITY.to_dict() | {"pictures": 0}}, "2 grades of flaws on 0 pictures"),
        ({"capability": CAPABILITY.to_dict() | {"grades": ["many"]}}, "the capability is not one: TypeError"),
        ({"capability": "good"}, "dictionary"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_manifest_that_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        _manifest(**changes)


def test_a_manifest_tells_its_capability_and_one_from_before_has_none() -> None:
    words = _manifest().model_dump_json()
    assert Manifest.model_validate_json(words).measured() == CAPABILITY
    values = json.loads(words)
    del values["capability"]
    assert Manifest.model_validate_json(json.dumps(values)).measured() is None


def test_a_calibration_holds_for_its_own_runtime_alone() -> None:
    manifest = _manifest()
    assert manifest.calibrated_for(HERE)
    assert not manifest.calibrated_for(Fingerprint("openvino", "2026.4.1", "cpu", "bf16"))
    assert not manifest.calibrated_for(Fingerprint("torch", "2026.4.1", "cpu", "f32"))
    assert not _manifest(calibration=None).calibrated_for(HERE)
    assert not _manifest(limits=None).calibrated_for(HERE)
