"""What a fixture is worth to a product: how well made-up flaws stand out under it (rd-e.md, section 13).

Golden pictures alone decide. Some of them are remembered (model.memory, on the frozen expert's features: nothing has to
be trained), the others are looked at as they are and with graded flaws on the part, pasted on the raw pictures, so that
each fixture sees the same flaws as large or as small as it would see real ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from model.expert_features import ExpertFeatures
from model.fixture import Fixture, FixtureMismatch
from model.flaws import FLAW_KINDS, Flaw, mar
from model.locating import PartFinder
from model.memory import CALM, GoldenMemory
from model.metrics import auroc
from model.placement import Box, Placement

MOST_REMEMBERED, MOST_WATCHED = 40, 16  # pictures in a round
MOST_PICTURES = MOST_REMEMBERED + MOST_WATCHED
GRADES = ((0.02, 60.0), (0.04, 30.0), (0.04, 90.0), (0.08, 20.0), (0.08, 60.0))  # size of the part's side, grey levels
SMOOTH = 0.75  # cells

Picture = NDArray[np.uint8]


class Probe:
    """What a fixture is worth to a product whose raw golden pictures, (H, W, 3) uint8, are these.

    Each picture is remembered in some rounds and watched in one, as it is and with flaws; few pictures have as many
    rounds as it takes to watch all of them.
    """

    def __init__(
        self, pictures: Sequence[Picture], finder: PartFinder | None, expert: nn.Module, *, seed: int = 0
    ) -> None:
        self._pictures = pictures
        self._rounds = rounds_of(len(pictures))
        self._flawed = {
            number: _flawed(pictures[number], finder, number, seed) for watched in self._rounds for number in watched
        }
        self._seen = ExpertFeatures(expert)

    def __call__(self, fixture: Fixture) -> float | None:
        """The chance that a flaw, where it is, stands out more than anything on a good part; None if one is refused.

        A fixture that cannot place a golden part is none; neither may it lose parts because of their flaws.
        """
        try:
            whole = self._seen([fixture.apply(picture) for picture in self._pictures])
            places = {
                number: [fixture.place(self._marred(number, one)) for one in flawed]
                for number, flawed in self._flawed.items()
            }
        except FixtureMismatch:
            return None
        return float(np.mean([self._round(watched, whole, fixture, places) for watched in self._rounds]))

    def _round(
        self,
        watched: Sequence[int],
        whole: NDArray[np.float32],
        fixture: Fixture,
        places: Mapping[int, Sequence[Placement]],
    ) -> float:
        """One round's merit; whole: the golden features of all pictures."""
        others = np.setdiff1d(np.arange(len(whole)), watched)
        memory = GoldenMemory.of(whole[others[:MOST_REMEMBERED]])
        good = memory.distances(whole[watched])
        usual, strays = (cv2.GaussianBlur(values, (0, 0), 1.0) for values in (good.mean(axis=0), good.std(axis=0)))
        strays = strays + CALM * float(strays.mean()) + 1e-6
        levels = np.array([_smooth((one - usual) / strays).max() for one in good])
        peaks = np.full((len(watched), len(GRADES)), -np.inf)
        for row, number in enumerate(watched):
            pairs = list(zip(self._flawed[number], places[number], strict=True))
            seen = self._seen([fixture.lay(self._marred(number, flaw), place) for flaw, place in pairs])
            for grade, (one, (flaw, place)) in enumerate(zip(memory.distances(seen), pairs, strict=True)):
                inside = _cells(flaw.box, place.matrix, one.shape)
                if inside is not None:
                    peaks[row, grade] = _smooth((one - usual) / strays)[inside].max()
        return float(np.mean([auroc(levels, peaks[:, grade]) or 0.0 for grade in range(len(GRADES))]))

    def _marred(self, number: int, flaw: "_Pasted") -> Picture:
        x, y, width, height = flaw.box
        picture = self._pictures[number].copy()
        picture[y : y + height, x : x + width] = flaw.pixels
        return picture


@dataclass(frozen=True)
class _Pasted:
    """A flaw on a raw picture: where, and what is to be seen there; whole pictures would fill the memory."""

    box: Box
    pixels: Picture


def rounds_of(count: int) -> list[list[int]]:
    """Which of `count` pictures are watched in each round: a third, at most MOST_WATCHED, and never all of them."""
    size = max(1, min(MOST_WATCHED, count // 3))
    rounds = max(1, min(3, MOST_WATCHED // size))
    return [list(range(one * size, (one + 1) * size)) for one in range(rounds) if (one + 1) * size <= count]


def _flawed(picture: Picture, finder: PartFinder | None, number: int, seed: int) -> list[_Pasted]:
    """One flaw of each grade on picture `number`, on its part where there is one."""
    part = finder.find(picture) if finder else None
    area = picture.shape[0] * picture.shape[1] * (float(part.mask.mean()) if part else 1.0)
    pasted = []
    for grade, (size, contrast) in enumerate(GRADES):
        kind = FLAW_KINDS[(number + grade) % len(FLAW_KINDS)]
        flaw = Flaw(kind, max(3.0, size * float(np.sqrt(area))), contrast)
        rng = np.random.default_rng((seed, number, grade))
        marred, (x, y, width, height) = mar(picture, flaw, rng, part.mask if part else None)
        pasted.append(_Pasted((x, y, width, height), marred[y : y + height, x : x + width].copy()))
    return pasted


def _smooth(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), SMOOTH, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _cells(box: Box, matrix: object, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """The cells of stride 8 that a raw box covers; None where it is not looked at."""
    x, y, width, height = box
    corners = np.array([(x, y), (x + width, y), (x, y + height), (x + width, y + height)], dtype=np.float64)
    rows = np.array(matrix)
    laid = (corners @ rows[:, :2].T + rows[:, 2]) / 8
    low, high = np.floor(laid.min(axis=0)).astype(int), np.ceil(laid.max(axis=0)).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, (shape[1], shape[0]))
    if (high <= low).any():
        return None
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
