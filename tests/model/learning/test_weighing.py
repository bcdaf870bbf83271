"""The golden memory's share of the map is decided on good parts that neither witness knows, before any limit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.card import card
from model.flaws import mar
from model.fusion import SHARES, Second, Units
from model.learning import learn
from model.memory import GoldenMemory, Search
from model.model_file import load
from model.runtimes import Distances, Fingerprint, Seen
from model.split import FEWEST_WEIGHED, MOST_WEIGHED, split_golden, weighing_count
from model.weighing import TRIED, WORTH, chosen, weigh
from tests.model.learning.conftest import part, write
from tests.model.learning.test_learning import OPTIONS
from tests.model.learning.test_warm_start import _golden

SIDE = 64
CELLS = SIDE // 8
USUAL = SHARES["both"]
Pictures = NDArray[np.uint8]


def cloth(count: int) -> Pictures:
    rng = np.random.default_rng(7)
    return np.clip(128 + rng.normal(0, 30, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


class Witnesses:
    """A runtime whose student, or whose memory, sees how far pixels stray from 128; the blind one sees only noise."""

    size = (SIDE, SIDE)
    fingerprint = Fingerprint("torch", "0", "cpu", "f32")

    def __init__(self, *, student: bool, memory: bool) -> None:
        self._sees = student, memory
        self._noise = np.random.default_rng(3)

    def _seen(self, images: Pictures, stride: int, *, sees: bool) -> NDArray[np.float32]:
        shape = (len(images), SIDE // stride, SIDE // stride)
        if not sees:
            return self._noise.random(shape, dtype=np.float32)
        strays = np.abs(images.astype(np.float32) - 128).mean(axis=-1)
        return np.asarray(strays.reshape(shape[0], shape[1], stride, shape[2], stride).mean(axis=(2, 4)), np.float32)

    def look(self, images: Pictures) -> Seen:
        student, memory = self._sees
        first, second, third = (self._seen(images, stride, sees=student) for stride in (4, 8, 16))
        return Seen((first, second, third), self._seen(images, 8, sees=memory)[:, None])

    def distances(self, images: Pictures) -> Distances:
        return self.look(images).distances

    def search(self, _memory: GoldenMemory) -> Search:
        return lambda features: features[:, 0]


def second(share: float = USUAL) -> Second:
    place = torch.zeros((CELLS, CELLS))
    memory = GoldenMemory(torch.zeros((CELLS**2, 1, 1)), torch.zeros(1), torch.ones(1), place, place + 1)
    return Second(memory, Units(0.0, 1.0), Units(0.0, 1.0), share)


def test_the_witness_that_sees_flaws_outweighs_the_one_that_does_not() -> None:
    good = cloth(12)
    by_memory, why = weigh(Witnesses(student=False, memory=True), second(), good)
    assert by_memory.share == 1.0 == why.share
    assert "more clearly" in why.why
    by_student, _ = weigh(Witnesses(student=True, memory=False), second(), good)
    assert by_student.share == 0.0


def test_of_two_that_see_the_same_the_usual_share_stays() -> None:
    class Alike(Witnesses):
        def look(self, images: Pictures) -> Seen:
            seen = super().look(images)
            first, second, third = seen.distances
            return Seen((0 * first, second, 0 * third), seen.features)

    weighed, why = weigh(Alike(student=True, memory=True), second(), cloth(12))
    assert weighed.share == USUAL
    assert why.why.startswith("the usual share")
    assert set(why.merits) == set(TRIED)
    assert why.to_dict()["merits"]["0.6"] == pytest.approx(why.merits[0.6], abs=1e-4)


def test_units_are_those_of_the_unseen_parts() -> None:
    runtime = Witnesses(student=True, memory=True)
    good = cloth(12)
    weighed, _ = weigh(runtime, second(), good)
    features = runtime.look(good).features
    assert features is not None
    assert weighed.golden.middle == pytest.approx(float(np.median(features)), rel=0.05)
    assert weighed.student != second().student


def test_what_a_mask_hides_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    good = cloth(12)
    good[:, :, 48:] = 255  # would be far from everything
    valid = np.ones((SIDE, SIDE), np.bool_)
    valid[:, 40:] = False
    placed: list[bool] = []

    def watched(*given: object) -> object:
        made, box = mar(*given)  # type: ignore[arg-type]
        placed.append(box[0] < 40)
        return made, box

    monkeypatch.setattr("model.weighing.mar", watched)
    weighed, _ = weigh(Witnesses(student=False, memory=True), second(), good, valid=valid)
    assert weighed.share == 1.0
    assert weighed.golden.middle < 30
    assert all(placed)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_is_asked_for_is_kept(share: float) -> None:
    given = second(share)
    weighed, why = weigh(Witnesses(student=True, memory=True), given, cloth(12))
    assert weighed is given
    assert (why.share, why.why) == (share, "asked for")


def test_without_parts_to_spare_nothing_is_weighed() -> None:
    given = second()
    weighed, why = weigh(Witnesses(student=True, memory=True), given, cloth(0))
    assert weighed is given
    assert "too few good parts" in why.why


def test_maps_that_are_no_numbers_end_it() -> None:
    class Broken(Witnesses):
        def search(self, _memory: GoldenMemory) -> Search:
            return lambda features: features[:, 0] * np.float32("nan")

    with pytest.raises(ValueError, match="not finite"):
        weigh(Broken(student=True, memory=True), second(), cloth(12))


def test_progress_counts_the_parts() -> None:
    told: list[tuple[int, int]] = []
    weigh(Witnesses(student=True, memory=True), second(), cloth(3), after_picture=lambda *now: told.append(now))
    assert told == [(1, 3), (2, 3), (3, 3)]


@given(st.lists(st.floats(0, 1), min_size=len(TRIED), max_size=len(TRIED)))
def test_another_share_is_taken_only_where_it_shows_clearly_more(values: list[float]) -> None:
    merits = dict(zip(TRIED, values, strict=True))
    found = chosen(merits, 12)
    if found.share == USUAL:
        assert max(values) <= merits[USUAL] + WORTH
    else:
        assert merits[found.share] == max(values) > merits[USUAL] + WORTH


@given(st.integers(0, 2000))
def test_few_parts_are_kept_and_none_where_every_one_is_needed(parts: int) -> None:
    kept = weighing_count(parts)
    assert kept <= MOST_WEIGHED
    assert (kept > 0) == (parts >= FEWEST_WEIGHED)
    assert kept <= parts / 8


def test_parts_are_kept_only_where_they_are_weighed() -> None:
    golden = _golden([f"{number:016x}" for number in range(100)])
    weighs, not_weighs = (split_golden(golden, weighs=weighs) for weighs in (True, False))
    assert weighs.counts == {"train": 68, "weighing": 12, "calibration": 20}
    assert not_weighs.counts == {"train": 80, "calibration": 20}
    assert weighs.groups == not_weighs.groups
    extra = replace(_golden([f"{number:016x}" for number in range(200, 230)]))
    assert split_golden(golden, extra).counts == {"train": 88, "weighing": 12, "calibration": 30}


def test_parts_that_were_photographed_often_are_fewer() -> None:
    golden = _golden([f"{number:016x}" for number in range(400)])
    golden = replace(golden, groups=tuple(str(number // 4) for number in range(400)))
    split = split_golden(golden)
    assert split.counts == {"train": 308, "weighing": 12, "calibration": 80}
    assert len({golden.groups[number] for number in split.weighing.tolist()}) == 3


def test_a_model_of_many_parts_says_how_its_witnesses_were_weighed(tmp_path: Path) -> None:
    for number in range(FEWEST_WEIGHED):
        write(tmp_path / f"good/{number:03}.png", part(number))
    learnt = learn(tmp_path / "good", tmp_path / "m.safetensors", options=replace(OPTIONS, capability=False))
    assert learnt.counts == {"train": 54, "weighing": 10, "calibration": 16}
    manifest = load(learnt.path).manifest
    weighed = manifest.training["weighed"]
    assert isinstance(weighed, dict)
    rows = {section.title: dict(section.rows) for section in card(manifest)}
    assert rows["golden memory"]["why"] == weighed["why"]
    assert rows["pictures"]["for weighing"] == "10"
    assert manifest.memory is not None
    assert set(weighed["merits"]) == {f"{share:g}" for share in TRIED}  # type: ignore[arg-type]
