"""
What the networks train on: golden pictures as they are, turned where the product allows it, or tiles of large ones.

The views are few and fixed, cut once before training: so features of good pictures, which the teacher's and student's
stages keep (model.steps.FeatureCache), are computed once for each view, not in every iteration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from model.backbones import SIDE_STEP
from model.foreground import LEAST, MOST, Foregrounds, Kind

TILE = 256  # px; what the networks' settings were found at
LARGE = 2  # times TILE² pixels: from there on tiles are the default
MOST_VIEWS = 128  # unless there are more pictures: about as many as the feature cache holds
SMALLEST_TILE, LARGEST_TILE = 64, 1024

Turns = Literal["none", "flips", "quarter", "all"]
Turn = tuple[int, bool]
"""Quarter turns to the left, then whether left and right change places."""
TURNS: Mapping[Turns, tuple[Turn, ...]] = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "quarter": tuple((quarters, False) for quarters in range(4)),
    "all": tuple((quarters, mirrored) for quarters in range(4) for mirrored in (False, True)),
}

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """One view of picture number `picture`: what the window at `top`, `left` shows, then turned."""

    picture: int
    turn: Turn = (0, False)
    top: int = 0
    left: int = 0


@dataclass(frozen=True)
class Views:
    """Some views of pictures of one size. height, width: of every view, before it is turned; turned, sides agree."""

    height: int
    width: int
    views: tuple[View, ...]
    turns: Turns
    tiled: bool

    def cut(self, pictures: Pictures) -> Pictures:
        """The views of pictures, (N, H, W, 3), as pictures, (V, height, width, 3)."""
        if not self.tiled and self.turns == "none":
            return pictures
        return np.stack([self.one(number, pictures[view.picture]) for number, view in enumerate(self.views)])

    def one(self, number: int, whole: NDArray[Any]) -> NDArray[Any]:
        """View `number` of its picture, or of a mask of it: (H, W, …) to (height, width, …)."""
        view = self.views[number]
        return turned(whole[view.top : view.top + self.height, view.left : view.left + self.width], view.turn)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        tile = [self.height, self.width] if self.tiled else None
        return {"count": len(self.views), "turns": self.turns, "tile": tile}


def turned(picture: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """A picture, or a mask of it, (H, W, …), turned."""
    quarters, mirrored = turn
    found = np.rot90(picture, quarters)
    return np.ascontiguousarray(found[:, ::-1] if mirrored else found)


def views_of(
    count: int, size: tuple[int, int], *, turns: Turns = "none", tile: int | None = None, seed: int = 0
) -> Views:
    """Views of `count` pictures of size height, width.

    tile: as tile_for has it. Every picture comes as often as any other, but for one. Raises ValueError for quarter
    turns of what is not square.
    """
    side = tile_for(size, tile)
    height, width = size if side is None else (min(side, size[0]), min(side, size[1]))
    if turns in {"quarter", "all"} and height != width:
        raise ValueError(
            f"pictures of {width}x{height} px cannot be turned by quarters and keep their shape: choose flips or none, "
            "or train on square tiles"
        )
    rng = default_rng((seed, count))
    made = _turned(count, turns, rng) if side is None else _tiles(count, size, (height, width), turns, rng)
    return Views(height, width, tuple(made), turns, tiled=side is not None)


def tile_for(size: tuple[int, int], asked: int | None) -> int | None:
    """The side of the tiles to train on; None for whole pictures of size height, width.

    asked: 0 for whole pictures; None for tiles of TILE px where a picture has more than LARGE × TILE² pixels.
    """
    if asked is None:
        asked = TILE if size[0] * size[1] > LARGE * TILE**2 else 0
    return asked if asked and (asked < size[0] or asked < size[1]) else None


class ViewForegrounds(Foregrounds):
    """The part in each view: found on the whole picture, then cut and turned alike.

    A tile that shows next to nothing of the part, or only that, counts as whole.
    """

    def __init__(self, pictures: Pictures, kind: Kind, views: Views) -> None:
        super().__init__(pictures, kind)
        self._views = views

    def __getitem__(self, index: int) -> NDArray[np.bool_] | None:
        """(height, width) bool of view `index`, or None for the whole view."""
        whole = super().__getitem__(self._views.views[index].picture)
        if whole is None:
            return None
        found: NDArray[np.bool_] = self._views.one(index, whole)
        return found if LEAST <= float(found.mean()) <= MOST else None


def _turned(count: int, turns: Turns, rng: np.random.Generator) -> list[View]:
    """All pictures as they are, then turned ones by chance, as many as there is room for."""
    plain = [View(number) for number in range(count)]
    others = [View(number, turn) for number in range(count) for turn in TURNS[turns][1:]]
    chosen = rng.permutation(len(others))[: max(0, MOST_VIEWS - count)]
    return plain + [others[number] for number in sorted(chosen.tolist())]


def _tiles(
    count: int, size: tuple[int, int], tile: tuple[int, int], turns: Turns, rng: np.random.Generator
) -> list[View]:
    """Tiles at random places, on the grid of the networks' deepest level."""
    allowed = TURNS[turns]
    return [
        View(
            number % count,
            allowed[int(rng.integers(len(allowed)))],
            _offset(size[0], tile[0], rng),
            _offset(size[1], tile[1], rng),
        )
        for number in range(max(count, MOST_VIEWS))
    ]


def _offset(length: int, tile: int, rng: np.random.Generator) -> int:
    """Where a tile begins: middles are drawn from all of the picture, so that its edges come as often as the rest."""
    middle = float(rng.uniform(0, length))
    steps = round((middle - tile / 2) / SIDE_STEP)
    return min(max(0, steps * SIDE_STEP), length - tile)
