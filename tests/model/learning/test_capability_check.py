"""What a small trained model is capable of, measured with made-up flaws on good parts that it has not seen."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.capability import Capability, Series
from model.capability_check import CONTRASTS, TRIES, looked_at, measure_capability
from model.fixture import Fixture, FixtureMismatch
from model.flaws import FLAW_KINDS, FlawKind
from model.learning import LearnOptions, Learnt, learn
from model.model_file import load
from model.pace import Budget
from model.placement import Placement
from model.predictor import Predictor
from tests.model.learning.conftest import SMALL, part, write

OPTIONS = LearnOptions(
    architecture=SMALL, budget=Budget(iterations=24), size=64, fixture="none", flat=False, runtime="torch", threads=1
)


def test_flaws_lie_where_the_model_looks() -> None:
    placement = Fixture("roi", (8, 16, 32, 24), 64, 96, (64, 64)).still((64, 64))
    wanted = np.zeros((64, 64), np.bool_)
    wanted[16:40, 8:40] = True
    assert (looked_at(placement, None, (64, 64)) == wanted).all()
    left = np.zeros((64, 96), np.bool_)
    left[:, :48] = True  # the right half of the input is ignored
    wanted[:, 24:] = False
    assert (looked_at(placement, left, (64, 64)) == wanted).all()
    whole = Placement.of_window((0, 0, 64, 64), (64, 64), (64, 64))
    assert looked_at(whole, None, (16, 16)).all()


@pytest.fixture(scope="module")
def learnt(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    return learn(folder, tmp_path_factory.mktemp("capable") / "ring.safetensors", options=OPTIONS)


@pytest.fixture
def predictor(learnt: Learnt) -> Predictor:
    return Predictor.load(learnt.path, runtime="torch", threads=1)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Good parts that the model has never seen."""
    root = tmp_path_factory.mktemp("fresh")
    return [write(root / f"{number}.png", part(300 + number)) for number in range(6)]


def of_kind(found: Capability, kind: FlawKind, contrast: float) -> Series:
    (grades,) = (one for one in found.series() if (one[0].kind, one[0].contrast) == (kind, contrast))
    return grades


def test_a_learnt_model_file_tells_its_capability(learnt: Learnt) -> None:
    found = load(learnt.path).manifest.measured()
    assert found is not None
    assert found == learnt.manifest.measured()
    assert 1 <= found.pictures <= learnt.counts["calibration"]
    assert 10 < found.part_side <= 64
    assert {(one[0].kind, one[0].contrast) for one in found.series()} == {
        (kind, contrast) for kind in FLAW_KINDS for contrast in CONTRASTS
    }
    assert {one.tried for one in found.grades} == {TRIES}
    assert len(found.sentences()) == len(FLAW_KINDS) * len(CONTRASTS)


def test_gross_flaws_are_caught_more_often_than_faint_ones(learnt: Learnt) -> None:
    found = learnt.manifest.measured()
    assert found is not None
    gross = [of_kind(found, kind, 120.0)[-1].share for kind in ("spot", "scratch")]
    faint = [of_kind(found, kind, 30.0)[0].share for kind in ("spot", "scratch")]
    assert min(gross) > max(faint)
    assert min(gross) >= 0.5


def test_the_same_seed_gives_the_same_capability(predictor: Predictor, fresh: list[Path]) -> None:
    first = measure_capability(predictor, fresh, seed=3)
    assert first == measure_capability(predictor, fresh, seed=3)
    assert first.pictures == len(fresh)


class Strict(Fixture):
    """Refuses a picture with anything on it that is darker or brighter than a good part."""

    def place(self, picture: NDArray[np.uint8]) -> Placement:
        if picture.min() < 70 or picture.max() > 200:
            raise FixtureMismatch("something else lies there")
        return super().place(picture)


def test_what_the_fixture_refuses_is_counted_apart(predictor: Predictor, fresh: list[Path]) -> None:
    fixture = predictor.fixture
    assert fixture.pose is None
    predictor.fixture = Strict(fixture.kind, fixture.roi, fixture.height, fixture.width, fixture.picture)
    found = measure_capability(predictor, fresh)
    assert all(one.refused == one.tried and one.caught == 0 for one in of_kind(found, "spot", 120.0)[1:])
    faint = of_kind(found, "spot", 30.0)
    assert sum(one.refused for one in faint) < sum(one.tried for one in faint)


def test_a_good_picture_that_the_fixture_refuses_has_no_part_in_it(
    predictor: Predictor, fresh: list[Path], tmp_path: Path
) -> None:
    wide = write(tmp_path / "wide.png", part(0, size=(64, 96)))
    gone = tmp_path / "gone.png"
    found = measure_capability(predictor, [*fresh, wide, gone])
    assert found.pictures == len(fresh)
    assert 0 < min(one.tried for one in found.grades) < TRIES


def test_without_any_picture_nothing_is_tried_and_that_is_said(predictor: Predictor, tmp_path: Path) -> None:
    for paths in ([], [tmp_path / "gone.png"]):
        found = measure_capability(predictor, paths)
        assert found == Capability(0.0, 0, ())
        assert found.sentences() == ()
        assert "No made-up flaws were tried" in found.summary


def test_time_is_kept_to_and_the_most_telling_contrast_comes_first(predictor: Predictor, fresh: list[Path]) -> None:
    assert measure_capability(predictor, fresh, most_seconds=0.0).grades == ()
    begun = time.monotonic()
    measure_capability(predictor, fresh)
    whole = time.monotonic() - begun
    begun = time.monotonic()
    found = measure_capability(predictor, fresh, most_seconds=whole / 2)
    assert time.monotonic() - begun < whole
    tried = {contrast: [one.tried for one in found.grades if one.contrast == contrast] for contrast in CONTRASTS}
    counts = [sum(tried[contrast]) for contrast in CONTRASTS]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0
    assert sum(counts) < TRIES * len(CONTRASTS) * len(tried[CONTRASTS[0]])
    assert all(len(set(one)) <= 1 for one in tried.values())


def test_progress_is_told_to_the_end(predictor: Predictor, fresh: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    measure_capability(predictor, fresh[:1], progress=lambda done, total: told.append((done, total)))
    total = TRIES * len(CONTRASTS)
    assert told == [(done, total) for done in range(total + 1)]


def test_a_model_without_limits_has_no_capability(predictor: Predictor, fresh: list[Path]) -> None:
    predictor.rule = replace(predictor.rule, limit=None)
    with pytest.raises(ValueError, match="no limits"):
        measure_capability(predictor, fresh)


def test_it_can_be_cancelled_and_tells_what_was_tried_by_then(predictor: Predictor, fresh: list[Path]) -> None:
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 20

    found = measure_capability(predictor, fresh, cancelled=cancelled)
    assert len(asked) == 21
    assert {(one.contrast, one.tried) for one in found.grades} == {(CONTRASTS[0], 3)}  # the fourth picture was begun
    assert measure_capability(predictor, fresh, cancelled=lambda: True) == Capability(0.0, 0, ())


def test_a_model_that_is_learnt_is_not_lost_when_this_is_cancelled(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    options = replace(OPTIONS, budget=Budget(iterations=2))
    told: list[str] = []

    def tell(phase: str, _done: float, _total: float, _numbers: Mapping[str, float]) -> None:
        told.append(phase)

    result = learn(folder, path, options=options, progress=tell, cancelled=lambda: "capability" in told)
    found = load(path).manifest.measured()
    assert found == result.manifest.measured()
    assert found is not None
    assert found.grades == ()


def test_it_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    options = replace(OPTIONS, budget=Budget(iterations=2), capability=False)
    result = learn(folder, tmp_path / "m.safetensors", options=options, progress=lambda phase, *_: told.append(phase))
    assert result.manifest.capability is None
    assert "capability" not in told


def test_a_budget_in_time_keeps_a_share_for_it(folder: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, budget=Budget(seconds=12))
    result = learn(folder, tmp_path / "m.safetensors", options=options)
    found = result.manifest.measured()
    assert found is not None
    assert found.grades
    assert result.seconds < 14
