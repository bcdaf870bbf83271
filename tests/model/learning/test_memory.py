"""The golden memory: exact search, a fixed scale before calibration, a model file that keeps it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import remembering, widening
from model.architecture import Architecture
from model.backbones import build_encoder
from model.errors import ModelFileInvalid
from model.fixture import Fixture
from model.fusion import SHARES, Second, Units
from model.golden_features import PROJECTED, GoldenFeatures
from model.manifest import Manifest
from model.memory import FEWEST, FOLDS, MOST_PARTS, REACH, GoldenMemory, MemoryMaps, Search
from model.model_file import load, save, tensors_of
from model.networks import Networks, assemble
from model.openvino_graph import offers
from model.openvino_search import OpenVinoSearch
from model.predictor import Predictor
from model.remembering import most_parts, most_varied, record_of, remember
from model.runtimes import Runtime, RuntimeChoice, open_runtime
from model.scorer import Scorer

SIDE = 64


def features(count: int, channels: int = 8, rows: int = 4, columns: int = 5, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, channels, rows, columns)).astype(np.float32)


def by_hand(memory: GoldenMemory, asked: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every cell against every golden cell within REACH, one after the other."""
    rows, columns = memory.shape
    bank = memory.bank.numpy().reshape(rows, columns, memory.bank.shape[1], -1)
    given = (asked - memory.mean.numpy()[:, None, None]) / memory.spread.numpy()[:, None, None]
    found = np.empty((len(asked), rows, columns), np.float32)
    for part, y, x in np.ndindex(*found.shape):
        near = bank[max(0, y - REACH) : y + REACH + 1, max(0, x - REACH) : x + REACH + 1]
        squares = ((near - given[part, :, y, x]) ** 2).mean(axis=-1)
        found[part, y, x] = np.sqrt(squares.min())
    return found


def searched(memory: GoldenMemory, name: str) -> Search:
    """A memory's search as a runtime has it: the contract that all of them keep."""
    return memory.distances if name == "torch" else OpenVinoSearch(memory, RuntimeChoice("openvino", threads=2))


every_search = pytest.mark.parametrize("name", ["torch", "openvino"])


@every_search
@given(st.integers(3, 7), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_search_finds_the_nearest_golden_cell(
    name: str, parts: int, asked: int, rows: int, columns: int, seed: int
) -> None:
    memory = GoldenMemory.of(features(parts, 8, rows, columns, seed=seed))
    given = features(asked, 8, rows, columns, seed=seed + 1)
    assert searched(memory, name)(given) == pytest.approx(by_hand(memory, given), abs=2e-3)


@every_search
@pytest.mark.parametrize("cell", [(0, 0), (0, 5), (3, 0), (3, 5), (0, 2), (2, 0), (1, 3)])
def test_a_cell_finds_its_like_one_cell_on_but_never_beyond_the_edge(name: str, cell: tuple[int, int]) -> None:
    golden = features(3, 8, 4, 6)
    search = searched(GoldenMemory.of(golden), name)
    y, x = cell
    for down, right in np.ndindex(4, 6):
        moved = golden[:1].copy()
        moved[0, :, y, x] = golden[0, :, down, right]
        near = max(abs(down - y), abs(right - x)) <= REACH
        assert (search(moved)[0, y, x] < 0.05) == near, (down, right)  # half precision of the bank


@every_search
@pytest.mark.parametrize("count", range(1, 10))
def test_a_part_is_searched_alike_in_any_company(name: str, count: int) -> None:
    memory, _ = GoldenMemory.learnt(features(FEWEST))
    search, given = searched(memory, name), features(count, seed=1)
    together = search(given)
    assert together.shape == (count, 4, 5)
    assert together.dtype == np.float32
    alone = np.concatenate([search(part[None]) for part in given])
    assert together == pytest.approx(alone, abs=1e-5)
    assert together == pytest.approx(memory.distances(given), abs=1e-5)


@every_search
@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cell", [(0, 0), (1, 2), (3, 4)])
def test_a_feature_that_is_no_number_is_never_a_short_distance(name: str, worst: float, cell: tuple[int, int]) -> None:
    search = searched(GoldenMemory.of(features(4)), name)
    asked = features(6, seed=1)
    sound = search(asked)
    asked[2, 3, cell[0], cell[1]] = worst
    found = search(asked)
    assert np.isnan(found[2, cell[0], cell[1]])
    found[2, cell[0], cell[1]] = sound[2, cell[0], cell[1]]
    assert found == pytest.approx(sound, abs=1e-5)  # no other cell, and no other part, is touched


@every_search
def test_an_answer_is_kept_when_the_search_goes_on(name: str) -> None:
    search = searched(GoldenMemory.of(features(4)), name)
    first = search(features(2, seed=1))
    before = first.copy()
    search(features(2, seed=2))
    assert np.array_equal(first, before)


@every_search
def test_a_single_featureless_part_still_gives_numbers(name: str) -> None:
    memory = GoldenMemory.of(np.full((1, 8, 1, 1), 3, np.float32))
    assert np.isfinite(searched(memory, name)(features(2, 8, 1, 1))).all()


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_the_search_is_the_same_on_any_number_of_threads(threads: int | None) -> None:
    memory, _ = GoldenMemory.learnt(features(12, 16, 8, 8))
    given = features(3, 16, 8, 8, seed=1)
    found = OpenVinoSearch(memory, RuntimeChoice("openvino", threads=threads))(given)
    assert found == pytest.approx(memory.distances(given), abs=1e-5)


def test_the_search_stays_in_full_precision_beside_a_network_in_half() -> None:
    if not offers("bf16"):
        pytest.skip("this CPU has no bfloat16 arithmetic")
    memory, given = GoldenMemory.of(features(5, 64)), features(2, 64, seed=1)
    found = OpenVinoSearch(memory, RuntimeChoice("openvino", "bf16"))(given)
    assert found == pytest.approx(memory.distances(given), abs=1e-5)


def test_features_of_another_form_are_refused() -> None:
    search = searched(GoldenMemory.of(features(4)), "openvino")
    double: NDArray[Any] = features(1).astype(np.float64)
    for wrong in (features(1, 9), features(1, rows=5), double):
        with pytest.raises(ValueError, match="do not fit"):
            search(wrong)


@every_search
def test_a_memory_that_holds_no_number_is_not_searched(networks: Networks, name: str) -> None:
    spoilt = features(4, 176, SIDE // 8, SIDE // 8)
    spoilt[1, 2, 3, 4] = np.inf
    with pytest.raises(ValueError, match="finite"):
        runtime_of(networks, name).search(GoldenMemory.of(spoilt))


def test_a_remembered_part_is_at_home_and_a_changed_place_is_not() -> None:
    golden = features(6)
    memory = GoldenMemory.of(golden)
    marred = golden[:1].copy()
    marred[0, :, 2, 3] += 5
    home, found = memory.distances(golden[:1]), memory.distances(marred)
    assert home.max() < 0.05  # half precision of the bank
    assert found[0, 2, 3] > 1
    assert np.delete(found[0].ravel(), 2 * 5 + 3).max() < 0.05


def test_a_part_shifted_by_one_cell_is_still_at_home() -> None:
    golden = features(4, rows=6, columns=6)
    shifted = np.roll(golden[:1], 1, axis=3)
    assert GoldenMemory.of(golden).distances(shifted)[0, :, 1:].max() < 0.05


def test_what_is_no_number_comes_out_as_no_number() -> None:
    memory = GoldenMemory.of(features(4))
    asked = features(2)
    asked[1, 3, 1, 1] = np.nan
    maps = MemoryMaps(memory, (32, 40))(asked)
    assert np.isfinite(maps[0]).all()
    assert np.isnan(maps[1]).all()


def test_the_map_has_the_inputs_size_and_rises_where_the_cell_differs() -> None:
    golden = features(6, rows=8, columns=8)
    marred = golden[:1].copy()
    marred[0, :, 6, 1] += 8
    maps = MemoryMaps(GoldenMemory.of(golden), (SIDE, SIDE))(marred)
    assert maps.shape == (1, SIDE, SIDE)
    y, x = np.unravel_index(int(maps[0].argmax()), maps[0].shape)
    assert (int(y) // 8, int(x) // 8) == (6, 1)


@given(st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_each_remembered_part_is_held_against_the_others_alone(parts: int, seed: int) -> None:
    golden = features(parts, seed=seed)
    memory, own = GoldenMemory.learnt(golden)
    assert own.shape == (parts, 4, 5)
    assert memory.bank.shape[1] == parts
    for part in range(parts):
        same_fold = np.arange(parts) % min(FOLDS, parts) == part % min(FOLDS, parts)
        strangers = GoldenMemory.of(golden[~same_fold]).distances(golden[part : part + 1])
        expected = (strangers - memory.usual.numpy()) / memory.strays.numpy()  # as they are below FEWEST parts
        assert own[part] == pytest.approx(expected[0], abs=1e-4)


def test_a_place_that_strays_on_good_parts_weighs_less() -> None:
    rng = np.random.default_rng(0)
    parts = rng.normal(0, 1, (40, 8, 6, 6)).astype(np.float32)
    parts[:, :, 2, 2] *= 6  # differs on every good part
    plain, (settled, _) = GoldenMemory.of(parts[1:]), GoldenMemory.learnt(parts[1:])
    marred = parts[:1].copy()
    marred[0, :, 4, 4] += 4
    before, after = plain.distances(marred)[0], settled.distances(marred)[0]
    assert after[4, 4] / after[2, 2] > before[4, 4] / before[2, 2]
    assert np.isfinite(after).all()


def test_few_parts_say_nothing_of_single_places() -> None:
    memory, _ = GoldenMemory.learnt(features(FEWEST - 1))
    assert (memory.usual == 0).all()
    assert (memory.strays == 1).all()


def test_a_single_part_is_all_that_is_known() -> None:
    memory, own = GoldenMemory.learnt(features(1))
    assert (own == 0).all()
    assert np.isfinite(memory.distances(features(2, seed=3))).all()


def test_units_put_usual_values_at_0_and_what_one_good_part_in_ten_reaches_at_1() -> None:
    maps = np.zeros((100, 8, 8), np.float32)
    maps[:, 0, 0] = np.arange(100)
    units = Units.of(maps)
    assert units.middle == 0
    assert units.spread == pytest.approx(89.1)
    assert units(np.full((1, 2, 2), 89.1, np.float32)) == pytest.approx(np.ones((1, 2, 2)))


def test_units_of_broken_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Units.of(np.full((2, 4, 4), np.nan, np.float32))


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1.0), (1.0, 10.0), (0.5, 5.5)])
def test_the_shares_weigh_the_witnesses(share: float, wanted: float) -> None:
    second = Second(GoldenMemory.of(features(2)), Units(0, 1), Units(0, 1), share)
    one, ten = np.ones((1, 2, 2), np.float32), np.full((1, 2, 2), 10, np.float32)
    assert second.fuse(one, ten) == pytest.approx(np.full((1, 2, 2), wanted))


def test_either_witness_without_a_number_leaves_no_number() -> None:
    second = Second(GoldenMemory.of(features(2)), Units(0, 1), Units(0, 1), 0.0)
    one, nan = np.ones((1, 2, 2), np.float32), np.full((1, 2, 2), np.nan, np.float32)
    assert np.isnan(second.fuse(one, nan)).all()
    assert np.isnan(second.fuse(nan, one)).all()


def test_many_channels_are_projected_and_keep_their_distances() -> None:
    wide = GoldenFeatures((256, 512, 1024))
    torch.manual_seed(0)
    one, two = ([torch.randn(1, c, 16 // 2**k, 16 // 2**k) for k, c in enumerate((256, 512, 1024))] for _ in range(2))
    first, other = wide((one[0], one[1], one[2])), wide((two[0], two[1], two[2]))
    assert first.shape == (1, PROJECTED, 8, 8)
    plain = GoldenFeatures((256, 512, 1024))
    plain.projects = False
    there, away = plain((one[0], one[1], one[2])), plain((two[0], two[1], two[2]))
    kept = ((first - other).norm(dim=1) / (there - away).norm(dim=1)).mean().item()
    assert kept == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def networks() -> Networks:
    architecture = Architecture()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return assemble(architecture, build_encoder(architecture), seed=0)


def pictures(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(autouse=True)
def neighbourhoods_on_small_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widening, "FEWEST_CELLS", 4)


def words_of(second: Second) -> Manifest:
    """What a model file says of untrained networks with this memory."""
    return Manifest(
        architecture=Architecture().to_dict(),
        height=SIDE,
        width=SIDE,
        fixture=Fixture("none", None, SIDE, SIDE, (SIDE, SIDE)).to_dict(),
        memory=record_of(second),
    )


def runtime_of(networks: Networks, name: str) -> Runtime:
    choice = RuntimeChoice("openvino" if name == "openvino" else "torch", "f32", 1)
    return open_runtime(networks.teacher, networks.student, size=(SIDE, SIDE), choice=choice, memory=True)


def test_both_runtimes_give_the_same_features_and_distances(networks: Networks) -> None:
    seen = [runtime_of(networks, name).look(pictures(3)) for name in ("torch", "openvino")]
    assert seen[0].features is not None
    assert seen[1].features is not None
    assert seen[0].features.shape == (3, 176, SIDE // 8, SIDE // 8)
    assert seen[1].features == pytest.approx(seen[0].features, abs=1e-3)
    for one, other in zip(seen[0].distances, seen[1].distances, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_both_runtimes_give_the_same_scores_and_maps_beside_how_far_good_parts_spread(
    networks: Networks, count: int
) -> None:
    second, _ = remember(runtime_of(networks, "openvino"), pictures(16), "both")
    assert second is not None
    ours, reference = (Scorer(runtime_of(networks, name), second=second) for name in ("openvino", "torch"))
    spread = float(np.std(reference(pictures(16, seed=3)).scores))
    asked = pictures(count, seed=9)
    assert np.abs(ours(asked).maps - reference(asked).maps).max() <= 1e-3 * spread
    assert np.abs(ours(asked).scores - reference(asked).scores).max() <= 1e-3 * spread


def test_a_part_whose_features_are_no_numbers_has_no_score_on_either_runtime(networks: Networks) -> None:
    second, _ = remember(runtime_of(networks, "openvino"), pictures(4), "both")
    assert second is not None
    for name in ("torch", "openvino"):
        runtime = runtime_of(networks, name)
        seen = runtime.look(pictures(2))
        assert seen.features is not None
        seen.features[1, 5, 2, 2] = np.nan
        scored = Scorer(runtime, second=second).conclude(seen)
        assert np.isfinite(scored.scores[0])
        assert np.isnan(scored.scores[1])
        assert np.isnan(scored.maps[1]).all()


def test_without_a_memory_there_are_no_features(networks: Networks) -> None:
    choice = RuntimeChoice("torch", "f32", 1)
    runtime = open_runtime(networks.teacher, networks.student, size=(SIDE, SIDE), choice=choice)
    assert runtime.look(pictures(1)).features is None


def test_no_more_parts_are_remembered_than_can_be_searched(networks: Networks) -> None:
    second, kept = remember(runtime_of(networks, "torch"), pictures(MOST_PARTS + 2), "both")
    assert second is not None
    assert second.wide is not None
    assert second.memory.bank.shape[1] == second.wide.memory.bank.shape[1] == MOST_PARTS == len(set(kept.tolist()))


def test_of_many_parts_the_most_varied_ones_are_remembered() -> None:
    usual = features(40) * 0.1
    odd = features(3, seed=5)
    given_parts = np.concatenate([usual[:10], odd, usual[10:]])
    chosen = most_varied(given_parts, 6).tolist()
    assert chosen == sorted(set(chosen))
    assert {10, 11, 12} <= set(chosen)


def test_all_parts_are_kept_where_there_are_few_and_none_twice_where_they_are_all_alike() -> None:
    assert most_varied(features(5), 5).tolist() == [0, 1, 2, 3, 4]
    alike = np.repeat(features(1), 9, axis=0)
    assert len(set(most_varied(alike, 6).tolist())) == 6


def test_the_remembered_parts_are_named_in_the_order_of_the_bank(networks: Networks) -> None:
    runtime = runtime_of(networks, "torch")
    shown = pictures(2 * MOST_PARTS + 9, seed=4)
    second, kept = remember(runtime, shown, "both", seed=3)
    assert second is not None
    memory = replace(second.memory, usual=torch.zeros_like(second.memory.usual))
    for place in (0, 17, MOST_PARTS - 1):
        seen = runtime.look(shown[kept[place] : kept[place] + 1]).features
        assert seen is not None
        alone = replace(memory, bank=memory.bank[:, place : place + 1])
        assert alone.distances(seen).max() == pytest.approx(0, abs=0.05)


def test_parts_of_many_cells_are_fewer_so_that_the_bank_stays_bounded(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert most_parts(32 * 32 * 176) == MOST_PARTS
    assert most_parts(128 * 128 * 176) == 11  # at 1024² pixels
    assert most_parts(10**9) == remembering.FEWEST_PARTS
    monkeypatch.setattr(remembering, "MOST_BYTES", 2 * 10 * 176 * (SIDE // 8) ** 2)
    second, kept = remember(runtime_of(networks, "torch"), pictures(30), "both")
    assert second is not None
    assert second.memory.bank.shape[1] == 10 == len(kept)


def test_the_student_alone_needs_no_memory(networks: Networks) -> None:
    assert remember(runtime_of(networks, "torch"), pictures(6), "student")[0] is None


def test_a_model_file_keeps_the_memory_and_scores_the_same(networks: Networks, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    runtime = runtime_of(networks, "torch")
    second, _ = remember(runtime, pictures(12), "both", after_picture=lambda done, total: told.append((done, total)))
    assert second is not None
    assert second.share == SHARES["both"]
    assert told[-1] == (12, 12)
    words = words_of(second)
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(networks.teacher, networks.student, second), words)
    fresh = Predictor.from_networks(
        networks.teacher, networks.student, words, runtime="torch", threads=1, second=second
    )
    asked = pictures(3, seed=9)
    for one, other in zip(fresh(asked), Predictor.load(path, runtime="torch", threads=1)(asked), strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-5)
        assert one.map == pytest.approx(other.map, abs=1e-4)
    kept = load(path).second()
    assert kept is not None
    assert kept.wide is not None


def test_a_model_of_before_neighbourhoods_were_remembered_scores_the_same(networks: Networks) -> None:
    second, _ = remember(runtime_of(networks, "torch"), pictures(12), "both")
    assert second is not None
    older = replace(second, wide=None)
    assert record_of(older).wide is None
    asked = pictures(3, seed=9)
    ours, before = (Scorer(runtime_of(networks, "torch"), second=one)(asked) for one in (second, older))
    assert (ours.scores == before.scores).all()
    assert (ours.maps >= before.maps).all()
    assert (ours.maps > before.maps).any()


def test_what_nobody_looks_at_does_not_widen_what_is_shown(networks: Networks) -> None:
    second, _ = remember(runtime_of(networks, "torch"), pictures(12), "both")
    valid = np.zeros((SIDE, SIDE), np.bool_)
    valid[: SIDE // 2] = True
    scored = Scorer(runtime_of(networks, "torch"), valid=valid, second=second)(pictures(3, seed=9))
    assert (scored.maps[:, valid].max(axis=1) == scored.scores).all()


def test_a_model_file_that_lost_its_neighbourhoods_is_refused(networks: Networks, tmp_path: Path) -> None:
    second, _ = remember(runtime_of(networks, "torch"), pictures(4), "both")
    assert second is not None
    words = words_of(second)
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(networks.teacher, networks.student, replace(second, wide=None)), words)
    with pytest.raises(ModelFileInvalid, match=r"lacks 'wide\.bank'"):
        Predictor.load(path, runtime="torch", threads=1)


def test_a_model_file_that_lost_its_memory_is_refused(networks: Networks, tmp_path: Path) -> None:
    second, _ = remember(runtime_of(networks, "torch"), pictures(4), "both")
    assert second is not None
    words = words_of(second)
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(networks.teacher, networks.student), words)
    with pytest.raises(ModelFileInvalid, match="golden memory"):
        Predictor.load(path, runtime="torch", threads=1)
    assert load(path).manifest.memory is not None


def test_a_memory_comes_back_from_a_model_file_as_it_was() -> None:
    memory, _ = GoldenMemory.learnt(features(9))
    tensors = memory.tensors()
    assert all(tensor.is_contiguous() for tensor in tensors.values())  # as a model file demands
    back = GoldenMemory.from_tensors(tensors, (4, 5))
    assert torch.equal(back.bank, memory.bank)
    for one in (memory, back):
        assert one.bank.mT.is_contiguous()  # as a search reads it, without a copy
    assert np.array_equal(back.distances(features(3, seed=1)), memory.distances(features(3, seed=1)))


def test_a_memory_of_other_cells_is_refused() -> None:
    tensors = GoldenMemory.of(features(3)).tensors()
    with pytest.raises(ValueError, match="does not fit 9x9"):
        GoldenMemory.from_tensors(tensors, (9, 9))
    tensors["memory.mean"] = torch.full((8,), torch.nan)
    with pytest.raises(ValueError, match="does not fit"):
        GoldenMemory.from_tensors(tensors, (4, 5))
