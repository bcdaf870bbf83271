"""Which turns of good parts are good parts: told by the golden pictures themselves."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.fixture import Fixture
from model.networks import Networks
from model.turning import FEWEST, MOST_EFFECT, Turning, turns_allowed
from model.views import MOST_VIEWS
from tests.model.learning.conftest import part

Picture = NDArray[np.uint8]
SIDE = 96


def disc(rng: np.random.Generator) -> Picture:
    """Round and plain: the same from everywhere."""
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    x, y = (rng.integers(-2, 3, 2) + SIDE // 2).tolist()
    cv2.circle(picture, (x, y), 30, (180, 170, 160), 6, cv2.LINE_AA)
    return np.asarray(np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255), dtype=np.uint8)


def printed(rng: np.random.Generator) -> Picture:
    """The same with a small mark on the upper right, as a print or a hole would be."""
    picture = disc(rng)
    cv2.circle(picture, (SIDE // 2 + 22, SIDE // 2 - 20), 4, (30, 30, 30), -1, cv2.LINE_AA)
    return picture


def any_way_round(rng: np.random.Generator) -> Picture:
    """The part with the mark, as it falls on the belt."""
    return np.ascontiguousarray(np.rot90(printed(rng), int(rng.integers(4))))


def grain(rng: np.random.Generator) -> Picture:
    """A texture without direction."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), 1.5)
    return np.asarray(np.clip(noise[:, :, None] * 90 + np.full(3, 120), 0, 255), dtype=np.uint8)


def streaked(rng: np.random.Generator) -> Picture:
    """A texture that runs across: brushed metal."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), sigmaX=12, sigmaY=1)
    return np.asarray(np.clip(noise[:, :, None] * 150 + np.full(3, 120), 0, 255), dtype=np.uint8)


def asked(make: Callable[[np.random.Generator], Picture], expert: Networks, count: int = 24) -> Turning:
    rng = np.random.default_rng(1)
    pictures = np.stack([make(rng) for _ in range(count)])
    return turns_allowed(pictures, [str(n) for n in range(count)], Fixture("none", None, SIDE, SIDE), expert.expert)


@pytest.mark.parametrize(
    ("make", "turns"),
    [(disc, "all"), (any_way_round, "all"), (grain, "all"), (streaked, "flips"), (printed, "none")],
)
def test_good_parts_are_turned_only_as_they_look_anyway(
    make: Callable[[np.random.Generator], Picture], turns: str, fresh_networks: Networks
) -> None:
    found = asked(make, fresh_networks)
    assert found.turns == turns, found
    assert (max(found.effects.values()) <= MOST_EFFECT) == (turns == "all")


def test_light_from_one_side_forbids_turning_towards_it(fresh_networks: Networks) -> None:
    def lit(rng: np.random.Generator) -> Picture:
        light = np.linspace(0.85, 1.15, SIDE)[None, :, None]
        return np.asarray(np.clip(disc(rng) * light, 0, 255), dtype=np.uint8)

    assert asked(lit, fresh_networks).turns == "none"


def test_few_parts_or_many_and_parts_whose_place_is_known_are_left_as_they_are(fresh_networks: Networks) -> None:
    few = asked(disc, fresh_networks, FEWEST - 1)
    assert (few.turns, few.effects) == ("none", {})
    assert "too few" in few.why
    pictures = np.stack([part(number) for number in range(4)] * (MOST_VIEWS // 4))
    fixture = Fixture("none", None, 64, 64)
    many = turns_allowed(pictures, [str(n) for n in range(len(pictures))], fixture, fresh_networks.expert)
    assert "enough as they are" in many.why
    one_part = turns_allowed(pictures[:40], ["a"] * 40, fixture, fresh_networks.expert)
    assert "1 parts are too few" in one_part.why


def test_what_is_not_square_is_not_turned_by_a_quarter(fresh_networks: Networks) -> None:
    rng = np.random.default_rng(2)
    pictures = np.stack([np.concatenate([grain(rng), grain(rng)], axis=1) for _ in range(12)])
    found = turns_allowed(
        pictures, [str(n) for n in range(12)], Fixture("none", None, SIDE, 2 * SIDE), fresh_networks.expert
    )
    assert "quarter turn" not in found.effects
