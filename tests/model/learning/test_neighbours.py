"""The golden parts nearest to a part: the right ones, at the right place, and never in the way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.architecture import Architecture
from model.backbones import build_encoder
from model.fixture import Fixture
from model.fusion import Witness
from model.manifest import Manifest
from model.memory import GoldenMemory
from model.model_file import load, save, tensors_of
from model.neighbours import MOST, TILE, GoldenPictures, Neighbours, cells_of, nearest, window_of
from model.networks import Networks, assemble
from model.predictor import Predictor
from model.regions import RegionRule
from model.remembering import record_of, remember
from model.runtimes import Runtime, RuntimeChoice, open_runtime
from tests.model.learning.conftest import part

SIDE = 64


def features(count: int, channels: int = 6, rows: int = 4, columns: int = 5, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, channels, rows, columns)).astype(np.float32)


def by_hand(memory: GoldenMemory, asked: NDArray[np.float32], cells: tuple[slice, slice]) -> NDArray[np.float64]:
    """Root mean square of the difference to each golden part, over these cells."""
    rows, columns = memory.shape
    bank = memory.bank.numpy().reshape(rows, columns, memory.bank.shape[1], -1)
    given = (asked - memory.mean.numpy()[:, None, None]) / memory.spread.numpy()[:, None, None]
    apart = bank[cells] - given[:, *cells].transpose(1, 2, 0)[:, :, None]
    return np.asarray(np.sqrt((apart.astype(np.float64) ** 2).mean(axis=(0, 1, 3))))


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99), st.data())
@settings(max_examples=40, deadline=None)
def test_the_nearest_are_those_that_a_look_at_each_finds(
    parts: int, rows: int, columns: int, seed: int, data: st.DataObject
) -> None:
    memory = GoldenMemory.of(features(parts, 6, rows, columns, seed=seed))
    (asked,) = features(1, 6, rows, columns, seed=seed + 1)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    cells = slice(top, data.draw(st.integers(top + 1, rows))), slice(left, data.draw(st.integers(left + 1, columns)))
    found = nearest(memory, asked, cells)
    assert found is not None
    expected = by_hand(memory, asked, cells)
    assert len(found.samples) == min(MOST, parts)
    assert list(found.distances) == sorted(found.distances)
    assert found.distances == pytest.approx(np.sort(expected)[:MOST], rel=1e-4, abs=1e-4)
    assert [expected[n] for n in found.samples] == pytest.approx(list(found.distances), rel=1e-4, abs=1e-4)


def test_a_golden_part_is_nearest_to_itself() -> None:
    golden = features(6)
    found = nearest(GoldenMemory.of(golden), golden[4])
    assert found is not None
    assert found.samples[0] == 4
    assert found.distances[0] < 0.01  # half precision of the bank
    assert found.distances[1] > 0.5


def test_only_the_cells_that_are_asked_for_count() -> None:
    golden = features(5)
    asked = golden[1].copy()
    asked[:, :, 3:] = golden[3][:, :, 3:]
    memory = GoldenMemory.of(golden)
    left, right = (nearest(memory, asked, (slice(0, 4), columns)) for columns in (slice(0, 3), slice(3, 5)))
    assert left is not None
    assert right is not None
    assert (left.samples[0], right.samples[0]) == (1, 3)


def test_of_equally_near_parts_the_first_stands_first() -> None:
    golden = np.repeat(features(1), 5, axis=0)
    found = nearest(GoldenMemory.of(golden), golden[0] + 1)
    assert found is not None
    assert found.samples == (0, 1, 2)


def test_what_is_no_number_has_no_neighbours() -> None:
    golden = features(4)
    asked = golden[0].copy()
    asked[2, 1, 1] = np.nan
    memory = GoldenMemory.of(golden)
    assert nearest(memory, asked) is None
    assert nearest(memory, asked, (slice(2, 4), slice(0, 5))) is not None


BOXES = st.tuples(st.integers(0, 95), st.integers(0, 63), st.integers(1, 96), st.integers(1, 64))


@given(BOXES)
def test_what_is_shown_lies_on_the_input_in_its_aspect_and_holds_the_box(drawn: tuple[int, int, int, int]) -> None:
    x, y = drawn[:2]
    box = x, y, min(drawn[2], 96 - x), min(drawn[3], 64 - y)
    left, top, width, height = window_of(box, (64, 96))
    assert 0 <= left <= left + width <= 96
    assert 0 <= top <= top + height <= 64
    assert width / height == pytest.approx(1.5, rel=0.05)
    assert left <= box[0] + 1
    assert top <= box[1] + 1
    assert left + width >= box[0] + box[2] - 1
    assert top + height >= box[1] + box[3] - 1


@given(BOXES)
def test_the_cells_of_a_box_hold_it_and_lie_on_the_grid(drawn: tuple[int, int, int, int]) -> None:
    x, y = drawn[:2]
    box = x, y, min(drawn[2], 96 - x), min(drawn[3], 64 - y)
    down, across = cells_of(box, (64, 96), (8, 12))
    assert 0 <= down.start < down.stop <= 8
    assert 0 <= across.start < across.stop <= 12
    assert down.start * 8 <= box[1]
    assert down.stop * 8 >= box[1] + box[3]
    assert across.start * 8 <= box[0]
    assert across.stop * 8 >= box[0] + box[2]


def test_without_a_region_the_whole_part_is_shown() -> None:
    assert window_of(None, (64, 96)) == (0, 0, 96, 64)


def pictures(count: int, *, scratched: bool = False) -> NDArray[np.uint8]:
    return np.stack([part(number, scratched=scratched) for number in range(count)])


def test_golden_pictures_come_back_from_their_tensors_in_order() -> None:
    shown = GoldenPictures.of(pictures(5))
    again = GoldenPictures.from_tensors(shown.tensors(), 5)
    assert again == shown
    assert len(shown) == 5
    for number, wanted in enumerate(pictures(5)):
        assert np.abs(shown.picture(number).astype(int) - wanted).mean() < 6  # JPEG


@pytest.mark.parametrize("damage", ["none", "one", "ends", "short", "order", "count", "kind"])
def test_pictures_that_do_not_fit_the_memory_are_not_shown(damage: str) -> None:
    tensors = GoldenPictures.of(pictures(4)).tensors()
    parts = 5 if damage == "count" else 4
    if damage == "none":
        tensors = {}
    elif damage == "one":
        del tensors["golden.jpegs"]
    elif damage == "ends":
        tensors["golden.ends"] = tensors["golden.ends"][:3]
    elif damage == "short":
        tensors["golden.jpegs"] = tensors["golden.jpegs"][:-1]
    elif damage == "order":
        tensors["golden.ends"] = tensors["golden.ends"][[1, 0, 2, 3]]
    elif damage == "kind":
        tensors["golden.ends"] = tensors["golden.ends"].double()
    assert GoldenPictures.from_tensors(tensors, parts) is None


def test_bytes_that_are_no_picture_are_named() -> None:
    for broken in (b"", b"nothing"):
        with pytest.raises(ValueError, match="no picture"):
            GoldenPictures((broken,)).picture(0)


def test_the_part_stands_first_and_all_show_the_same_place() -> None:
    golden = pictures(4)
    memory = GoldenMemory.of(features(4, rows=8, columns=8))
    laid = pictures(1, scratched=True)[0]
    found = Neighbours(memory, GoldenPictures.of(golden))(
        laid, features(1, rows=8, columns=8, seed=3)[0], (8, 40, 6, 4)
    )
    assert found is not None
    assert found.tiles.shape == (1 + MOST, TILE, TILE, 3)
    left, top, width, height = window_of((8, 40, 6, 4), (SIDE, SIDE))
    scale = TILE / width
    assert found.box == pytest.approx(((8 - left) * scale, (40 - top) * scale, 6 * scale, 4 * scale))
    seen = found.tiles.mean(axis=(1, 2, 3))
    cut = [one[top : top + height, left : left + width].mean() for one in (laid, *golden[list(found.nearest.samples)])]
    assert seen == pytest.approx(cut, abs=3)


def test_golden_pictures_of_another_size_are_an_error() -> None:
    memory = GoldenMemory.of(features(4, rows=8, columns=8))
    small = GoldenPictures.of(pictures(4)[:, :32])
    with pytest.raises(ValueError, match="not 64x64"):
        Neighbours(memory, small)(pictures(1)[0], features(1, rows=8, columns=8)[0], None)


@pytest.fixture(scope="module")
def untrained() -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return assemble(Architecture(), build_encoder(Architecture()), seed=0)


def runtime_of(networks: Networks, *, memory: bool) -> Runtime:
    choice = RuntimeChoice("torch", "f32", 1)
    return open_runtime(networks.teacher, networks.student, size=(SIDE, SIDE), choice=choice, memory=memory)


def saved(networks: Networks, path: Path, witness: Witness, *, shown: bool = True, count: int = 6) -> Predictor:
    """A model file with a memory of `count` parts, and with their pictures where they are to be shown."""
    second, parts = remember(runtime_of(networks, memory=witness != "student"), pictures(count), witness)
    kept = GoldenPictures.of(pictures(count)[parts]) if shown and second else None
    words = Manifest(
        architecture=Architecture().to_dict(), height=SIDE, width=SIDE,
        fixture=Fixture("none", None, SIDE, SIDE, (SIDE, SIDE)).to_dict(), memory=record_of(second) if second else None,
    )  # fmt: skip
    save(path, tensors_of(networks.teacher, networks.student, second, kept), words)
    return Predictor.load(path, runtime="torch", threads=1)


def test_a_model_file_shows_each_remembered_part_its_own_picture(untrained: Networks, tmp_path: Path) -> None:
    """In the order of the bank, whatever order that is."""
    path = tmp_path / "model.safetensors"
    predictor = saved(untrained, path, "both")
    shown = load(path).pictures()
    assert shown is not None
    golden = pictures(6)
    seen = predictor.look(golden)
    for number, prediction in enumerate(predictor.conclude(seen)):
        found = predictor.compare(seen, number, golden[number], prediction)
        assert found is not None
        assert found.nearest.distances[0] < 0.01
        assert np.abs(shown.picture(found.nearest.samples[0]).astype(int) - golden[number]).mean() < 6


def test_the_place_of_the_highest_region_is_marked(untrained: Networks, tmp_path: Path) -> None:
    predictor = saved(untrained, tmp_path / "model.safetensors", "memory")
    laid = pictures(1, scratched=True)
    seen = predictor.look(laid)
    (plain,) = predictor.conclude(seen)
    whole = predictor.compare(seen, 0, laid[0], plain)
    assert whole is not None
    assert whole.box is None  # without a limit no region is listed
    predictor.rule = RegionRule(float(np.quantile(plain.map, 0.97)))
    (prediction,) = predictor.conclude(seen)
    found = predictor.compare(seen, 0, laid[0], prediction)
    assert prediction.regions
    assert found is not None
    assert found.box is not None
    assert prediction.score == plain.score


def test_models_without_a_memory_or_without_pictures_judge_and_show_none(untrained: Networks, tmp_path: Path) -> None:
    for name, predictor in (
        ("student", saved(untrained, tmp_path / "student.safetensors", "student")),
        ("before", saved(untrained, tmp_path / "before.safetensors", "both", shown=False)),
    ):
        seen = predictor.look(pictures(1))
        (prediction,) = predictor.conclude(seen)
        assert np.isfinite(prediction.score), name
        assert predictor.compare(seen, 0, pictures(1)[0], prediction) is None, name
