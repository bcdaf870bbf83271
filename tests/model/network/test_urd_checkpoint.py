"""Checkpoints of the authors' form: what comes out of a good one, and that every other one is refused in words."""

import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.anomaly_map import MapMaker
from model.architecture import Skip
from model.errors import WeightsMissing
from model.levels import distances
from model.model_file import load
from model.predictor import Predictor
from model.split import LearningImpossible
from model.urd_checkpoint import read_urd, trained_way
from model.urd_import import ImportOptions, import_urd
from tests.fuzz.mutation import damaged
from tests.model.network.conftest import pictures
from tests.model.network.released import PATHS, Tables, light, made_up, noise, parity_vectors, released_names

COUNTED = torch.tensor(7)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A whole checkpoint of made-up weights; 0.6 GB, so it does not stay."""
    path = tmp_path_factory.mktemp("released") / "urd.pth"
    tables = {role: {n: made_up(role, n, like) for n, like in t.items()} for role, t in released_names().items()}
    torch.save(tables, path)
    yield path
    path.unlink()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where an imported model goes; it is as large, and does not stay either."""
    path = tmp_path / "imported.safetensors"
    yield path
    path.unlink(missing_ok=True)


def _check_answers(networks: tuple[nn.Module, nn.Module], path: str) -> None:
    teacher, student = networks
    vectors = parity_vectors()
    for seed, name in ((0, "map"), (1, "map_a")):
        with torch.inference_mode():
            taught = teacher(noise(seed))
            first, second, third = (level.numpy() for level in distances(taught, student(taught)))
        found = MapMaker(256, 256, smooth=False)((first, second, third))
        assert np.abs(found - vectors[f"{path}.{name}"]).max() <= 1e-4


def test_an_imported_model_answers_as_released(made: Path, target: Path) -> None:
    parity_vectors()  # or skip before anything is made
    import_urd(made, target, options=ImportOptions())
    _check_answers(load(target).networks(), "gii")


@pytest.mark.parametrize("path", ["plain_skip", "no_skip"])
def test_the_other_ways_through_the_student_answer_as_released(made: Path, path: str) -> None:
    parity_vectors()
    found = read_urd(made, skip=PATHS[path])
    _check_answers((found.teacher, found.student), path)


def test_an_imported_model_says_where_it_comes_from_and_has_no_limits(made: Path, target: Path) -> None:
    done = import_urd(made, target, options=ImportOptions(size=96))
    manifest = load(target, sha256=done.sha256).manifest
    assert manifest == done.manifest
    assert manifest.size == (96, 96)
    assert manifest.fixture["kind"] == "none"
    assert (manifest.limits, manifest.calibration, manifest.data, manifest.memory) == (None, None, None, None)
    assert manifest.training["checkpoint"] == "urd.pth"
    assert manifest.built().skip is Skip.GII


def _write(folder: Path, count: int) -> Path:
    cv2 = pytest.importorskip("cv2")
    folder.mkdir()
    for number, picture in enumerate(pictures(count)):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def test_good_pictures_make_it_usable(made: Path, target: Path, tmp_path: Path) -> None:
    folder = _write(tmp_path / "good", 9)
    told: list[str] = []
    options = ImportOptions(size=64, pictures=folder, runtime="torch", threads=1)
    done = import_urd(made, target, options=options, progress=lambda phase, *_: told.append(phase))
    assert list(dict.fromkeys(told)) == ["checkpoint", "calibration", "saving"]
    assert done.calibration is not None
    assert len(done.calibration.scores) == 9
    predictor = Predictor.load(target, runtime="torch", threads=1)
    assert predictor.is_calibrated
    assert predictor.manifest.data is not None
    assert predictor.manifest.data.counts == {"calibration": 9}
    scores = [prediction.score for prediction in predictor.inspect(list(pictures(9)[..., ::-1]))]
    assert sorted(scores) == pytest.approx(done.calibration.scores, abs=1e-4)
    assert max(scores) == pytest.approx(done.calibration.pass_limit, abs=1e-4)


def test_pictures_that_cannot_be_used_are_refused_and_nothing_is_written(tmp_path: Path, target: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "0.png").write_bytes(b"")
    checkpoint = _saved(light(), tmp_path)
    with pytest.raises(LearningImpossible, match=r"0\.png"):
        import_urd(checkpoint, target, options=ImportOptions(size=64, pictures=tmp_path / "bad"))
    assert not target.exists()


@pytest.mark.parametrize("size", [32, 100, 2048])
def test_sizes_that_no_network_takes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        ImportOptions(size=size)


def _saved(found: Any, folder: Path) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(found, path)
    return path


def _full(number: complex, like: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(number, dtype=dtype).expand(like.shape)


def _change(role: str, name: str, tensor: Callable[[Tensor], Tensor]) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        tables[role][name] = tensor(tables[role][name])

    return change


CONV, VARIANCE = "encoder.layer2.0.conv1.weight", "bn.bn3.running_var"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tables: tables["teacher"].pop(CONV), f"teacher: {CONV} is missing"),
        (lambda tables: tables["student"].pop("bn.conv3.weight"), "student: bn.conv3.weight is missing"),
        (lambda tables: tables["student"].update(extra=torch.zeros(1)), "student: extra is surplus"),
        (lambda tables: tables["teacher"].update(bn=torch.zeros(1)), "teacher: bn is surplus"),
        (_change("student", "fuse_skip.1.0.weight", lambda _: torch.zeros(2, 2, 3, 3)), r"is \(2, 2, 3, 3\), not"),
        (_change("teacher", CONV, lambda like: _full(float("nan"), like)), f"teacher: {CONV} holds values that are no"),
        (_change("student", "bn.bn1.bias", lambda like: _full(float("inf"), like)), "bn.bn1.bias holds values that"),
        (_change("student", "bn.bn1.bias", lambda like: _full(1e300, like, torch.float64)), "bn.bn1.bias holds"),
        (_change("student", VARIANCE, lambda like: _full(-1.0, like)), "bn.bn3.running_var holds a variance below 0"),
        (_change("teacher", CONV, lambda like: _full(1, like, torch.int64)), "torch.int64"),
        (_change("teacher", CONV, lambda like: _full(1j, like, torch.complex64)), "torch.complex64"),
        (_change("student", "bn.bn1.num_batches_tracked", lambda like: _full(1.5, like)), "no whole number"),
        (_change("teacher", CONV, lambda like: torch.zeros(like.shape).to_sparse()), "no plain table"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_to_the_last_tensor_is_named(
    change: Callable[[Tables], None], said: str, tmp_path: Path
) -> None:
    tables = light()
    change(tables)
    path = _saved(tables, tmp_path)
    with pytest.raises(WeightsMissing, match=said) as caught:
        read_urd(path)
    assert str(path) in str(caught.value)


def test_only_the_parts_that_are_never_run_are_dropped(tmp_path: Path) -> None:
    tables = light()
    tables["student"]["decoder.conv4.weight"] = torch.zeros(1)
    with pytest.raises(WeightsMissing, match=r"student: decoder\.conv4\.weight is surplus$"):
        read_urd(_saved(tables, tmp_path))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_another_backbone_is_refused_with_the_first_names_and_their_number(backbone: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"wide_resnet50_2.* and \d+ more, \d+ in all$") as caught:
        read_urd(_saved(light(backbone), tmp_path))
    assert len(str(caught.value)) < 800


def test_names_of_a_network_that_was_wrapped_for_several_gpus_are_refused(tmp_path: Path) -> None:
    tables = light()
    tables["student"] = {f"module.{name}": tensor for name, tensor in tables["student"].items()}
    with pytest.raises(WeightsMissing, match=r"in all$"):
        read_urd(_saved(tables, tmp_path))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1, 2], "it holds a list"),
        (torch.zeros(3), "it holds a Tensor"),
        ({}, "it holds nothing"),
        ({"conv1.weight": torch.zeros(1)}, "it holds conv1.weight"),
        ({"teacher": {}}, "it holds teacher"),
        ({"teacher": {}, "student": {}, "epoch": 3}, "epoch"),
        ({"teacher": torch.zeros(1), "student": {}}, "its teacher is a Tensor"),
        ({"teacher": {"a": 3}, "student": {}}, "no tensors: teacher: a"),
        ({"teacher": {3: torch.zeros(1)}, "student": {}}, "no text"),
    ],
    ids=str,
)
def test_other_forms_of_checkpoint_are_told_apart(found: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=said):
        read_urd(_saved(found, tmp_path))


class Trap:
    """Runs a command where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("wrapped", [True, False], ids=["in torch's archive", "bare"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(wrapped: bool, tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    if wrapped:
        torch.save(light() | {"teacher": Trap(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(WeightsMissing, match="never code" if wrapped else "no archive") as caught:
        read_urd(path)
    assert not mark.exists()
    assert "weights_only" not in str(caught.value)  # torch's advice to load it all the same is not passed on
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap is a real one
    assert mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 but no archive", b"\x80\x02." * 50])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsMissing, match=r"other\.pth"):
        read_urd(path)


def test_missing_files_folders_and_foreign_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such file"):
        read_urd(tmp_path / "nothing.pth")
    with pytest.raises(WeightsMissing, match="no archive"):
        read_urd(tmp_path)
    for method, said in ((zipfile.ZIP_STORED, "cannot be read"), (zipfile.ZIP_DEFLATED, "compressed")):
        path = tmp_path / f"{method}.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("notes.txt", "no checkpoint" * 100)
        with pytest.raises(WeightsMissing, match=said):
            read_urd(path)


def test_a_file_in_torchs_old_form_says_so(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(light(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsMissing, match=r"1\.6"):
        read_urd(path)


def test_an_archive_that_promises_more_than_any_release_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", "x")
        archive.infolist()[0].file_size = archive.infolist()[0].compress_size = 5 * 1024**3
    with pytest.raises(WeightsMissing, match=r"5\.4 GB|cannot be read"):
        read_urd(path)


def test_damage_anywhere_is_refused(tmp_path: Path) -> None:
    good = _saved({"teacher": {"a": torch.arange(6.0)}, "student": {"b": torch.ones(4)}}, tmp_path).read_bytes()
    path = tmp_path / "damaged.pth"
    for data in damaged([good], 600):
        path.write_bytes(data)
        with pytest.raises(WeightsMissing, match=r"damaged\.pth"):  # whole, it would lack nearly all names
            read_urd(path)


def _counted(*parts: str) -> dict[str, Tensor]:
    student = light()["student"]
    return {n: COUNTED if n.startswith(parts) and n.endswith("num_batches_tracked") else t for n, t in student.items()}


@pytest.mark.parametrize(
    ("parts", "way"),
    [
        (("bn.", "decoder.", "fuse_", "conv1x1_", "conv3x3_"), Skip.GII),
        (("bn.", "decoder.", "fuse_", "conv1x1_"), Skip.PLAIN),
        (("bn.", "decoder."), Skip.NONE),
        (("nothing",), None),
    ],
)
def test_the_counters_tell_what_a_student_was_trained_with(parts: tuple[str, ...], way: Skip | None) -> None:
    assert trained_way(_counted(*parts)) is way


def test_a_student_is_not_run_on_parts_that_never_learnt(tmp_path: Path) -> None:
    path = _saved(light() | {"student": _counted("bn.", "decoder.", "fuse_", "conv1x1_")}, tmp_path)
    assert read_urd(path).architecture.skip is Skip.PLAIN
    assert read_urd(path, skip=Skip.PLAIN).architecture.skip is Skip.PLAIN
    for other in (Skip.GII, Skip.NONE):
        with pytest.raises(WeightsMissing, match="Import it with plain"):
            read_urd(path, skip=other)
