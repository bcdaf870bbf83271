"""Which fixture serves a product: the one under which small made-up flaws stand out best (rd-e.md, section 13)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from torch import nn

from model.fixture import Fixture, FixtureMismatch, Kind, Size
from model.locating import PartFinder
from model.pictures import PictureUnreadable, read_picture
from model.placement import Box
from model.pose import part_pose, template_pose
from model.probing import MOST_PICTURES, Probe

MOST_BYTES = 512 * 1024**2  # of raw pictures at once
FEWEST = 6  # pictures; with less, nothing is chosen
WORTH = 0.02  # a fixture that does more must show so much more
ROI_MARGIN = 0.04
MOST_ROI = 0.8  # of the picture; a larger ROI is none

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class FixtureAsked:
    """What a person wants of the fixture; `auto` and None leave it to the golden pictures.

    roi: x, y, width, height in raw pixels, for kind roi. still: nothing may be located, because places in the raw
    picture are ignored.
    """

    kind: Kind | Literal["auto"] = "auto"
    flat: bool | None = None
    roi: Box | None = None
    still: bool = False

    def __post_init__(self) -> None:
        if self.roi and self.kind not in {"auto", "roi"}:
            raise ValueError(f"fixture {self.kind} takes no ROI; leave one of the two out")

    @property
    def is_open(self) -> bool:
        """Whether anything is left to choose."""
        return self.flat is None or (self.kind == "auto" and self.roi is None)


@dataclass(frozen=True)
class Tried:
    """A fixture and its merit: the chance that a flaw, where it is, stands out above all of a good part, 0 to 1."""

    fixture: Fixture
    merit: float

    @property
    def name(self) -> str:
        """Kind, and whether light is evened."""
        return f"{self.fixture.kind}{', flat field' if self.fixture.flat else ''}"


@dataclass(frozen=True)
class Choice:
    """The fixture that was chosen, and all that were tried, best first; none where there was nothing to choose."""

    fixture: Fixture
    tried: tuple[Tried, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file: what was chosen, and merit by name."""
        name = Tried(self.fixture, 0.0).name
        return {"chosen": name, "merit": {one.name: round(one.merit, 4) for one in self.tried}}


def fixture_for(
    sizes: Mapping[Path, Size],
    asked: FixtureAsked,
    expert: nn.Module,
    *,
    budget: int = 256,
    seed: int = 0,
    enough: Callable[[], bool] = lambda: False,
) -> Choice:
    """The fixture for golden pictures, given by file and width, height.

    expert: a frozen encoder with ImageNet weights. enough: asked before each trial; then the best so far is taken.
    Raises FixtureMismatch if the pictures do not allow the fixture that is asked for.
    """
    simple = Fixture.for_pictures(list(sizes.values()), roi=asked.roi, budget=budget)
    located = asked.kind not in {"auto", "none"} and not asked.roi
    if not located and (not asked.is_open or len(sizes) < FEWEST):
        return Choice(replace(simple, flat=bool(asked.flat)))
    pictures = _some(sizes, seed)
    finder = PartFinder.learnt(pictures)
    offered = {"roi": simple} if asked.roi else candidates(pictures, finder, simple, budget=budget)
    if asked.kind != "auto" and asked.kind not in offered:
        raise FixtureMismatch(_impossible(asked.kind))
    if asked.kind != "auto":
        offered = {asked.kind: offered[asked.kind]}
    if asked.still:
        offered = {name: fixture for name, fixture in offered.items() if fixture.pose is None and name != "stretch"}
        if not offered:
            raise FixtureMismatch("rectangles are ignored: their place must not move, so the fixture is none or roi")
    if len(pictures) < FEWEST:
        return Choice(replace(next(iter(offered.values())), flat=bool(asked.flat)))
    return choose(list(offered.values()), asked.flat, Probe(pictures, finder, expert, seed=seed), enough=enough)


def choose(
    offered: Sequence[Fixture],
    flat: bool | None,  # noqa: FBT001 - as FixtureAsked has it
    probe: Callable[[Fixture], float | None],
    *,
    enough: Callable[[], bool] = lambda: False,
) -> Choice:
    """First the kind, then the flat field: what is simpler comes first, and stays unless another shows WORTH more."""
    offered = [replace(fixture, flat=bool(flat)) for fixture in offered]
    best = Tried(offered[0], 0.0)
    tried: list[Tried] = []

    def attempt(fixture: Fixture) -> None:
        nonlocal best
        merit = probe(fixture)
        if merit is None:
            return
        tried.append(Tried(fixture, merit))
        if fixture == best.fixture or merit >= best.merit + WORTH:
            best = tried[-1]

    for fixture in offered:
        if (len(offered) > 1 or flat is None) and not enough():
            attempt(fixture)
    if flat is None and not enough():
        attempt(replace(best.fixture, flat=True))
    return Choice(best.fixture, tuple(sorted(tried, key=lambda one: -one.merit)))


def candidates(
    pictures: Sequence[Picture], finder: PartFinder | None, simple: Fixture, *, budget: int = 256
) -> dict[str, Fixture]:
    """The fixtures that these golden pictures allow, the simplest first; simple: of all there are, these are some."""
    found = {"none": simple}
    same = simple.picture
    if same is None:
        found["stretch"] = replace(simple, kind="stretch")
    roi = None
    if finder is not None:
        if same is not None and (roi := part_roi(pictures, finder)):
            found["roi"] = Fixture.for_pictures([same], roi=roi, budget=budget)
        for turned in (False, True):
            if pose := part_pose(pictures, finder, turned=turned):
                found[pose.kind] = Fixture.for_pose(pose, same, budget=budget)
    if same is not None and (pose := template_pose(pictures, roi)):
        found["template"] = Fixture.for_pose(pose, same, budget=budget)
    return found


def part_roi(pictures: Sequence[Picture], finder: PartFinder) -> Box | None:
    """The rectangle that holds every golden part; None where it is nearly the whole picture."""
    boxes = np.array([part.box for picture in pictures if (part := finder.find(picture))])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    margin = np.ceil(ROI_MARGIN * (high - low)).astype(int)
    size = np.array([pictures[0].shape[1], pictures[0].shape[0]])
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, size)
    if float(np.prod((high - low) / size)) > MOST_ROI:
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _some(sizes: Mapping[Path, Size], seed: int) -> list[Picture]:
    """Raw pictures in an order of their own, as many as are asked for and fit; what cannot be read is left out."""
    paths = list(sizes)
    largest = max(width * height * 3 for width, height in sizes.values())
    most = max(FEWEST, min(MOST_PICTURES, MOST_BYTES // largest))
    found: list[Picture] = []
    why = ""
    for place in default_rng((seed, len(paths))).permutation(len(paths)).tolist():
        try:
            found.append(read_picture(paths[place]))
        except PictureUnreadable as problem:
            why = str(problem)
            continue  # it is told when all are read
        if len(found) == most:
            break
    if not found:
        raise FixtureMismatch(f"none of the pictures can be read, so no fixture can be chosen: {why}")
    return found


def _impossible(kind: str) -> str:
    why = {
        "stretch": "the golden pictures are all of one size, so there is nothing to stretch; take none",
        "template": "the golden pictures are of several sizes or cannot be registered to each other",
        "axis": "no part before a plain background, or it is hardly longer than broad; take part or none",
        "part": "no part of about one size before a plain background in the golden pictures; take none or a ROI",
        "roi": "no part before a plain background that fills less than most of the picture; give a ROI",
    }
    return f"fixture {kind}: {why.get(kind, 'the golden pictures do not allow it')}"
