"""Golden pictures alone say which fixture serves a product, as far as a person leaves it to them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from torch import nn

from model.fixture import Fixture, FixtureMismatch, Size
from model.fixture_choice import WORTH, Choice, FixtureAsked, choose, fixture_for
from model.locating import PartFinder
from model.networks import Networks
from model.pose import grey, likeness
from model.probing import GRADES, Probe, rounds_of
from tests.model.learning.conftest import write
from tests.model.learning.scenes import Picture, board, bolt, cloth, cutout, plain, unevenly_lit, wide_board

COUNT = 9


@pytest.fixture
def expert(fresh_networks: Networks) -> nn.Module:
    return fresh_networks.expert


@pytest.fixture
def chosen(expert: nn.Module, tmp_path: Path) -> Callable[..., Choice]:
    """The choice for pictures as they would lie in a folder."""

    def of(pictures: Iterable[Picture], asked: FixtureAsked | None = None, **more: Any) -> Choice:
        sizes = written(tmp_path, pictures)
        return fixture_for(sizes, asked or FixtureAsked(), expert, **({"budget": 128} | more))

    return of


def written(folder: Path, pictures: Iterable[Picture]) -> dict[Path, Size]:
    numbered = enumerate(pictures)
    return {write(folder / f"{n:02}.png", one): (one.shape[1], one.shape[0]) for n, one in numbered}


def some(make: Callable[[int], Picture], count: int = COUNT) -> list[Picture]:
    return [make(seed) for seed in range(count)]


def merits(choice: Choice) -> dict[str, float]:
    return {one.name: one.merit for one in choice.tried}


def test_bolts_at_any_angle_are_turned_to_their_axis(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(bolt))
    assert choice.fixture.kind == "axis"
    found = merits(choice)
    assert found["axis"] > found["part"] + 0.2
    assert found["axis"] > found["none"] + 0.2
    assert [one.merit for one in choice.tried] == sorted(found.values(), reverse=True)
    assert choice.fixture.apply(bolt(50)).shape == (choice.fixture.height, choice.fixture.width, 3)


def test_a_board_that_moves_in_a_wide_picture_is_followed(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(wide_board))
    assert choice.fixture.kind in {"roi", "template"}
    assert {"none", "roi", "template"} <= merits(choice).keys()
    one, other = (grey(choice.fixture.apply(wide_board(seed))) for seed in (70, 71))
    assert likeness(one, other) > 0.8


def test_a_texture_is_looked_at_as_a_whole(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(cloth))
    assert (choice.fixture.kind, choice.fixture.pose) == ("none", None)
    assert merits(choice).keys() == {"none", "none, flat field"}


def test_cut_outs_of_varying_size_are_stretched(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(cutout, 12))
    assert choice.fixture.kind == "stretch"
    assert "roi" not in merits(choice)  # no rectangle has the same place in all of them
    assert choice.fixture.apply(cutout(50)).shape == (choice.fixture.height, choice.fixture.width, 3)


def test_uneven_light_that_changes_is_taken_out(chosen: Callable[..., Choice]) -> None:
    lit = [unevenly_lit(board(seed), seed) for seed in range(COUNT)]
    choice = chosen(lit, FixtureAsked("none"))
    assert (choice.fixture.kind, choice.fixture.flat) == ("none", True)
    assert merits(choice).keys() == {"none", "none, flat field"}
    assert choice.to_dict()["chosen"] == "none, flat field"


def test_even_light_is_left_alone(chosen: Callable[..., Choice]) -> None:
    assert not chosen(some(board), FixtureAsked("none")).fixture.flat


def test_the_rectangle_holds_every_golden_part(chosen: Callable[..., Choice]) -> None:
    fixture = chosen(some(wide_board), FixtureAsked("roi", flat=False)).fixture
    assert fixture.roi is not None
    x, y, width, height = fixture.roi
    for seed in range(COUNT):
        rows, columns = np.nonzero(wide_board(seed)[:, :, 0] < 150)
        assert x <= columns.min()
        assert columns.max() < x + width
        assert y <= rows.min()
        assert rows.max() < y + height
    assert width * height < 0.4 * 320 * 240


@pytest.mark.parametrize(
    ("make", "asked", "why"),
    [
        (cloth, "axis", "no part before a plain background"),
        (cloth, "part", "no part of about one size"),
        (plain, "roi", "give a ROI"),
        (cloth, "template", "cannot be registered"),
        (board, "stretch", "all of one size, so there is nothing to stretch"),
        (cutout, "template", "of several sizes"),
    ],
)
def test_what_the_pictures_do_not_allow_is_refused_with_the_reason(
    chosen: Callable[..., Choice], make: Callable[[int], Picture], asked: Any, why: str
) -> None:
    with pytest.raises(FixtureMismatch, match=f"fixture {asked}: .*{why}"):
        chosen(some(make), FixtureAsked(asked))


@pytest.mark.parametrize("kind", ["axis", "part", "template"])
def test_what_is_asked_for_is_taken_without_a_trial(chosen: Callable[..., Choice], kind: Any) -> None:
    choice = chosen(some(wide_board if kind == "template" else bolt), FixtureAsked(kind, flat=True))
    assert (choice.fixture.kind, choice.fixture.flat, choice.tried) == (kind, True, ())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_pictures_choose_nothing_but_allow_what_is_asked_for(chosen: Callable[..., Choice], count: int) -> None:
    few = some(bolt, count)
    assert chosen(few).fixture == Fixture.for_pictures([(320, 240)], budget=128)
    located = chosen(few, FixtureAsked("axis"))
    assert (located.fixture.kind, located.fixture.flat, located.tried) == ("axis", False, ())
    assert chosen(few, FixtureAsked(flat=True)).fixture.flat


def test_where_nothing_may_move_nothing_is_located(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(bolt), FixtureAsked(still=True))
    assert choice.fixture.pose is None
    assert merits(choice).keys() <= {"none", "roi", "none, flat field", "roi, flat field"}
    with pytest.raises(FixtureMismatch, match="rectangles are ignored: their place must not move"):
        chosen(some(bolt), FixtureAsked("axis", still=True))
    assert chosen(some(cutout), FixtureAsked(still=True)).fixture.kind == "none"


def test_a_persons_roi_is_kept_and_only_the_light_is_chosen(chosen: Callable[..., Choice]) -> None:
    choice = chosen(some(bolt), FixtureAsked(roi=(40, 30, 240, 180)))
    assert choice.fixture.roi == (40, 30, 240, 180)
    assert merits(choice).keys() == {"roi", "roi, flat field"}
    with pytest.raises(FixtureMismatch, match="reaches outside the picture"):
        chosen(some(bolt), FixtureAsked(roi=(300, 0, 100, 100)))
    with pytest.raises(ValueError, match="fixture axis takes no ROI"):
        FixtureAsked("axis", roi=(0, 0, 8, 8))


def test_what_cannot_be_read_is_left_to_the_reader_of_all(expert: nn.Module, tmp_path: Path) -> None:
    sizes = written(tmp_path, some(bolt))
    broken = tmp_path / "00.png"
    broken.write_bytes(broken.read_bytes()[:500])
    assert fixture_for(sizes, FixtureAsked("axis", flat=False), expert, budget=96).fixture.kind == "axis"
    for path in sizes:
        path.write_bytes(b"")
    with pytest.raises(FixtureMismatch, match="none of the pictures can be read"):
        fixture_for(sizes, FixtureAsked(), expert, budget=96)


def test_the_same_seed_gives_the_same_choice(chosen: Callable[..., Choice]) -> None:
    one, other = (chosen(some(wide_board, 6), seed=4) for _ in range(2))
    assert one == other


def test_when_it_is_enough_the_best_so_far_is_taken(chosen: Callable[..., Choice]) -> None:
    asked = iter([False, True, True, True, True, True, True])
    choice = chosen(some(bolt), enough=lambda: next(asked))
    assert [one.name for one in choice.tried] == ["none"]
    assert choice.fixture.kind == "none"


NONE = Fixture.for_pictures([(64, 64)], budget=64)
ROI = Fixture.for_pictures([(64, 64)], roi=(8, 8, 32, 32), budget=64)


@pytest.mark.parametrize(
    ("none", "roi", "flat", "name"),
    [
        (0.5, 0.5 + WORTH / 2, 0.0, "none"),  # what does more must show more
        (0.5, 0.5 + 1.5 * WORTH, 0.0, "roi"),
        (0.5, 0.9, 0.9, "roi"),
        (0.5, 0.9, 0.95, "roi, flat field"),
        (None, 0.3, 0.2, "roi"),  # one that cannot place a golden part is none
        (0.5, None, None, "none"),
    ],
)
def test_the_simpler_fixture_stays_unless_another_is_worth_it(
    none: float | None, roi: float | None, flat: float | None, name: str
) -> None:
    def probe(fixture: Fixture) -> float | None:
        return flat if fixture.flat else {"none": none, "roi": roi}[fixture.kind]

    choice = choose([NONE, ROI], None, probe)
    assert choice.to_dict()["chosen"] == name
    assert choose([NONE], True, probe) == Choice(replace(NONE, flat=True))


def test_a_fixture_that_refuses_a_golden_picture_is_worth_nothing(expert: nn.Module) -> None:
    pictures = some(bolt, 6)
    probe = Probe(pictures, PartFinder.learnt(pictures), expert)
    other = Fixture.for_pictures([(100, 300)], budget=96)
    assert probe(other) is None
    assert probe(Fixture.for_pictures([(320, 240)], budget=96)) is not None


def test_a_flaw_that_is_not_looked_at_counts_as_missed(expert: nn.Module) -> None:
    pictures = some(lambda seed: bolt(seed, angle=0.0, centre=(100, 120)), 6)
    probe = Probe(pictures, PartFinder.learnt(pictures), expert)
    elsewhere = Fixture.for_pictures([(320, 240)], roi=(220, 0, 100, 240), budget=96)
    assert probe(elsewhere) == 0.0


@pytest.mark.parametrize("count", [2, 6, 9, 20, 56])
def test_each_round_watches_some_and_remembers_the_others(count: int) -> None:
    rounds = rounds_of(count)
    assert 1 <= len(rounds) <= 3
    assert all(0 < len(one) <= count - 1 for one in rounds)
    watched = [number for one in rounds for number in one]
    assert len(watched) == len(set(watched)) <= count
    assert len(GRADES) == 5


def test_a_flaw_lies_on_the_part_and_looks_the_same_to_every_fixture(expert: nn.Module) -> None:
    pictures = some(bolt, 6)
    finder = PartFinder.learnt(pictures)
    assert finder is not None
    flawed = Probe(pictures, finder, expert, seed=1)._flawed
    for number, marred in flawed.items():
        part = finder.find(pictures[number])
        assert part is not None
        mask = cv2.resize(part.mask.astype(np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST)
        for x, y, width, height in (one.box for one in marred):
            assert mask[max(0, y) : y + height, max(0, x) : x + width].any()
    again = Probe(pictures, finder, expert, seed=1)._flawed
    pairs = [pair for number in flawed for pair in zip(flawed[number], again[number], strict=True)]
    assert all(one.box == other.box and (one.pixels == other.pixels).all() for one, other in pairs)
