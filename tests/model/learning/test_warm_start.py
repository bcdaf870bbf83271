"""A training that goes on from an earlier model of the product: what is taken over, and what is not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.architecture import named
from model.errors import ModelFileInvalid
from model.fixture import Fixture
from model.golden import Golden
from model.learning import LearnOptions, Learnt, learn
from model.model_file import load, save
from model.networks import build_networks
from model.pace import Budget
from model.split import LearningImpossible, split_golden
from model.training import TEACHER_SHARE
from model.warm_start import TRAINED_ON, WARM_TEACHER_SHARE, Start, WarmStart, _digests, open_start
from tests.model.learning.conftest import SMALL, part, write

OPTIONS = LearnOptions(
    architecture=SMALL, budget=Budget(iterations=30), size=64, runtime="torch", threads=1, capability=False
)
FEW = replace(OPTIONS, budget=Budget(iterations=6))


@pytest.fixture(scope="module")
def earlier(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    return learn(folder, tmp_path_factory.mktemp("earlier") / "m.safetensors", options=OPTIONS)


def losses(folder: Path, target: Path, options: LearnOptions) -> tuple[Learnt, dict[str, list[float]]]:
    """What was learnt, and the losses of each step by network."""
    told: dict[str, list[float]] = {"teacher_loss": [], "student_loss": []}

    def note(_phase: str, _done: float, _total: float, numbers: Mapping[str, float]) -> None:
        for name in told.keys() & numbers.keys():
            told[name].append(numbers[name])

    return learn(folder, target, options=options, progress=note), told


def test_a_warm_start_begins_below_a_cold_one_and_says_where_it_came_from(
    earlier: Learnt, folder: Path, tmp_path: Path
) -> None:
    _, cold = losses(folder, tmp_path / "cold.safetensors", FEW)
    begun = replace(FEW, warm_start=WarmStart(earlier.path))
    learnt, warm = losses(folder, tmp_path / "warm.safetensors", begun)
    for name in cold:
        assert warm[name][0] < cold[name][0]
    assert max(warm["student_loss"]) < min(cold["student_loss"]), "no step undoes what was learnt"
    assert learnt.manifest.training["warm_start"] == earlier.sha256
    assert earlier.manifest.training["warm_start"] is None
    assert learnt.training.iterations == {"teacher": 1, "student": 5}


def test_limits_are_made_anew_from_parts_that_neither_model_has_learnt_from(
    earlier: Learnt, folder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    for path in sorted((folder / "train/good").iterdir()):
        write(more / path.name, part(int(path.stem)))
    for number in range(24, 34):
        write(more / f"{number}.png", part(number))
    learnt = learn(more, tmp_path / "m.safetensors", options=replace(FEW, warm_start=WarmStart(earlier.path)))
    before, after = (set(load(one.path).tensors[TRAINED_ON].tolist()) for one in (earlier, learnt))
    assert len(before) == 16
    assert before < after
    assert len(after) == 34 - learnt.counts["calibration"]
    assert learnt.calibration.scores != earlier.calibration.scores
    assert len(learnt.calibration.scores) == learnt.counts["calibration"]


def test_the_same_parts_again_calibrate_on_the_same_ones(earlier: Learnt, folder: Path, tmp_path: Path) -> None:
    begun = replace(FEW, seed=7, warm_start=WarmStart(earlier.path))
    learnt = learn(folder, tmp_path / "m.safetensors", options=begun)
    assert learnt.counts == earlier.counts
    assert torch.equal(load(learnt.path).tensors[TRAINED_ON], load(earlier.path).tensors[TRAINED_ON])


def test_where_an_earlier_model_need_not_fit_training_begins_fresh_and_says_why(
    earlier: Learnt, folder: Path, tmp_path: Path
) -> None:
    fewer = tmp_path / "fewer"
    for number in range(4, 24):  # a good part was taken back: what was learnt from it must not live on
        write(fewer / f"{number:02}.png", part(number))
    begun = replace(FEW, warm_start=WarmStart(earlier.path, required=False))
    learnt = learn(fewer, tmp_path / "m.safetensors", options=begun)
    assert learnt.manifest.training["warm_start"] is None
    assert learnt.findings[0].path == earlier.path
    assert "are not among these" in learnt.findings[0].message
    other = replace(begun, architecture=named("rd", features="linear"))
    learnt = learn(folder, tmp_path / "n.safetensors", options=other)
    assert "training begins fresh, not from this model" in learnt.findings[0].message


def test_another_architecture_or_what_is_no_model_is_refused(earlier: Learnt, folder: Path, tmp_path: Path) -> None:
    begun = replace(FEW, warm_start=WarmStart(earlier.path), architecture=named("rd-e", features="linear"))
    with pytest.raises(ModelFileInvalid, match=r"skip gii.*skip none.*ask for the same network"):
        learn(folder, tmp_path / "m.safetensors", options=begun)
    (tmp_path / "text.safetensors").write_text("no model")
    for name, why in (("text.safetensors", "damaged"), ("nothing.safetensors", "check the path")):
        with pytest.raises(ModelFileInvalid, match=why):
            learn(folder, tmp_path / "m.safetensors", options=replace(FEW, warm_start=WarmStart(tmp_path / name)))
    assert not list(tmp_path.glob("m.*"))


def test_a_model_that_does_not_say_what_it_has_learnt_from_needs_new_parts_to_calibrate_on(
    earlier: Learnt, folder: Path, tmp_path: Path
) -> None:
    file = load(earlier.path)
    silent = tmp_path / "silent.safetensors"
    save(silent, {name: tensor for name, tensor in file.tensors.items() if name != TRAINED_ON}, file.manifest)
    begun = replace(FEW, warm_start=WarmStart(silent))
    with pytest.raises(LearningImpossible, match="does not say which pictures"):
        learn(folder, tmp_path / "m.safetensors", options=begun)
    held_out = [write(tmp_path / f"new/{number}.png", part(number)) for number in range(50, 56)]
    learnt = learn(folder, tmp_path / "m.safetensors", options=begun, held_out=held_out)
    assert learnt.counts == {"train": 24, "calibration": 6}
    assert learnt.manifest.training["warm_start"] is not None


def test_too_few_unknown_parts_are_refused(earlier: Learnt) -> None:
    start = open_start(WarmStart(earlier.path), SMALL)
    assert start.trained is not None
    golden = _golden([*sorted(start.trained), "f" * 16])
    with pytest.raises(LearningImpossible, match=r"only 1 of 17 good parts are unknown.*add pictures"):
        start.split(golden, None, fail_rate=0.01)


def test_the_expert_keeps_its_weights_and_the_teacher_has_a_smaller_share(earlier: Learnt) -> None:
    networks = build_networks(SMALL)
    expert = {name: tensor.clone() for name, tensor in networks.expert.state_dict().items()}
    start = open_start(WarmStart(earlier.path), SMALL)
    start.put_into(networks)
    assert all(torch.equal(tensor, expert[name]) for name, tensor in networks.expert.state_dict().items())
    saved = load(earlier.path).tensors
    for role, network in (("teacher", networks.teacher), ("student", networks.student)):
        assert all(torch.equal(tensor, saved[f"{role}.{name}"]) for name, tensor in network.state_dict().items())
        assert all(weight.requires_grad for weight in network.parameters())
    assert start.teacher_share == WARM_TEACHER_SHARE < TEACHER_SHARE == Start().teacher_share


def _golden(digests: list[str]) -> Golden:
    """Parts of which nothing but the digests matters."""
    paths = tuple(Path(f"{number}.png") for number in range(len(digests)))
    pictures = np.zeros((len(digests), 64, 64, 3), np.uint8)
    return Golden(Fixture("none", None, 64, 64), paths, pictures, tuple(digests), tuple(digests), ())


@given(st.integers(4, 150), st.data())
def test_what_was_learnt_from_never_calibrates_nor_weighs(count: int, data: st.DataObject) -> None:
    digests = [f"{number:016x}" for number in range(count)]
    trained = frozenset(data.draw(st.sets(st.sampled_from(digests), max_size=count)))
    try:
        split = split_golden(_golden(digests), seed=data.draw(st.integers(0, 5)), trained=trained)
    except LearningImpossible:
        assert len(trained) > count / 2
        return
    train, weighing = ({digests[number] for number in chosen} for chosen in (split.train, split.weighing))
    assert trained.isdisjoint(split.groups)
    assert trained.isdisjoint(weighing)
    assert train | weighing | set(split.groups) == set(digests)
    assert len(train) + len(weighing) + len(split.groups) == count


@given(st.sets(st.integers(0, 2**64 - 1), max_size=30))
def test_digests_come_back_from_a_model_file_as_they_were(numbers: set[int]) -> None:
    known = frozenset(f"{number:016x}" for number in numbers)
    golden = _golden(["0" * 16, "1" * 16, "2" * 16, "3" * 16])
    kept = Start(trained=known).trained_on(golden, split_golden(golden))
    assert kept.dtype == torch.int64
    assert known <= _digests(kept.tolist()) <= known | set(golden.digests)
