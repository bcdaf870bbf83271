"""
Measures how small a made-up flaw a calibrated model catches, with its own PASS limit and its own fixture.

Flaws are pasted on raw pictures of good parts that were held out from training, where the model looks and, if a part
can be told from its background, on the part. The limits are fixed before: nothing is tuned on these pictures.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.capability import Capability, Grade
from model.fixture import FixtureMismatch
from model.flaws import FLAW_KINDS, SLENDER, Flaw, FlawKind, mar
from model.locating import PartFinder
from model.pictures import PictureUnreadable, read_picture
from model.placement import Box, Placement
from model.predictor import Predictor, valid_pixels
from model.regions import Region

SHARES = (0.01, 0.02, 0.04, 0.08, 0.16)  # of the part's side: a spot's or graft's diameter, a scratch's half length
LEAST_SIZE = 3.0  # raw pixels: nothing smaller is drawn faithfully
CONTRASTS = (60.0, 30.0, 120.0)  # grey levels; should time run out, the first was tried most
TRIES = 12  # flaws of each grade in a round
ROUNDS = 3  # at most; one, where time is not limited
SAMPLE = 6  # pictures that tell how large the part is
GRID = 256  # cells along the longer side of a picture, for where a flaw may lie

Picture = NDArray[np.uint8]


def measure_capability(
    predictor: Predictor,
    pictures: Sequence[Path],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
    most_seconds: float | None = None,
) -> Capability:
    """Paste graded flaws on good pictures, given by file, and see which of them the model catches.

    pictures: not trained on, one of each part, so that they are independent; each may have several flaws of a grade, at
    different places. What cannot be read, or what the fixture refuses without any flaw, is left out. progress: called
    with (pictures judged at all sizes, in all). most_seconds: a contrast that it does not suffice for is tried less
    often, or not at all; None for one whole round. cancelled: asked between steps; then only what was tried by then is
    told, for a model that is learnt must not be lost for it. Raises ValueError for a model without limits.
    """
    limit = predictor.rule.limit
    if limit is None:
        raise ValueError("this model has no limits; calibrate it before its capability is measured")
    watch = _Watch(most_seconds, cancelled)
    order = np.random.default_rng((seed, len(pictures))).permutation(len(pictures)).tolist()
    check = _Check(predictor, limit, [pictures[place] for place in order], seed)
    if not check.look_over(watch):
        return Capability(0.0, 0, ())
    turns = list(_turns(1 if most_seconds is None else ROUNDS))
    for done, (turn, contrast) in enumerate(turns):
        progress(done, len(turns))
        if not check.take(turn, contrast, watch):
            break
    progress(len(turns), len(turns))
    return check.result()


def looked_at(placement: Placement, valid: NDArray[np.bool_] | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells of a raw picture that lies so the model looks at, by their middles.

    valid: (H, W) of the input; None for all of it. size: cells across and down. Returns (down, across) bool.
    """
    columns = (np.arange(size[0]) + 0.5) * (placement.picture[0] / size[0])
    rows = (np.arange(size[1]) + 0.5)[:, None] * (placement.picture[1] / size[1])
    x, y = (row[0] * columns + row[1] * rows + row[2] for row in placement.matrix)
    left, top, width, height = placement.inner
    seen = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    if valid is not None:
        across, down = (
            np.clip(values, 0, side - 1).astype(int) for values, side in zip((x, y), placement.size, strict=True)
        )
        seen &= valid[down, across]
    return np.asarray(seen, dtype=np.bool_)


class _Watch:
    """Says when it is over: somebody cancels, or the next step would reach past the time."""

    def __init__(self, most_seconds: float | None, cancelled: Callable[[], bool]) -> None:
        self._most = most_seconds
        self._cancelled = cancelled
        self._begun = self._last = time.monotonic()
        self._longest = 0.0

    def goes_on(self) -> bool:
        """Asked before each step."""
        if self._cancelled():
            return False
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        return self._most is None or now - self._begun + self._longest < self._most


@dataclass(frozen=True)
class _Subject:
    """A good picture. allowed: (h, w) bool over all of it, where the middle of a flaw may lie."""

    pixels: Picture
    allowed: NDArray[np.bool_]

    @property
    def side(self) -> float:
        """The root of the area where flaws may lie, in raw pixels."""
        return float(np.sqrt(self.allowed.mean() * self.pixels.shape[0] * self.pixels.shape[1]))


class _Check:
    """The pictures of one check, its sizes, and what has come of it so far."""

    def __init__(self, predictor: Predictor, limit: float, paths: Sequence[Path], seed: int) -> None:
        self._predictor = predictor
        self._limit = limit
        self._paths = paths
        self._seed = seed
        self._valid = valid_pixels(predictor.manifest)
        self._finder: PartFinder | None = None
        self._side = 0.0
        self._sizes: list[float] = []
        self._used: set[Path] = set()
        self._counts: Counter[tuple[FlawKind, float, float, str]] = Counter()

    def look_over(self, watch: _Watch) -> bool:
        """Learn from some of the pictures how large the part is; False where there is none to go on with, or no time.

        One size in pixels for all pictures: that is what a person asks for.
        """
        sample: list[Picture] = []
        for path in self._paths:
            if len(sample) == SAMPLE or not watch.goes_on():
                break
            if (pixels := _read(path)) is not None:
                sample.append(pixels)
        if not sample:
            return False
        pose = self._predictor.fixture.pose
        self._finder = pose.finder if pose and pose.finder else PartFinder.learnt(sample)
        sides = [subject.side for pixels in sample if (subject := self._subject(pixels))]
        if not sides:
            return False
        self._side = float(np.median(sides))
        self._sizes = sorted({max(LEAST_SIZE, round(share * self._side, 1)) for share in SHARES})
        return True

    def take(self, turn: int, contrast: float, watch: _Watch) -> bool:
        """One picture with flaws of all kinds and sizes; False where it is over, then nothing of it counts."""
        path = self._paths[turn % len(self._paths)]
        if not watch.goes_on():
            return False
        pixels = _read(path)
        subject = None if pixels is None else self._subject(pixels)
        if subject is None:
            return True
        found: Counter[tuple[FlawKind, float, float, str]] = Counter()
        for kind in FLAW_KINDS:
            if not watch.goes_on():
                return False
            for size, outcome in zip(self._sizes, self._outcomes(subject, kind, contrast, turn), strict=True):
                found[kind, size, contrast, outcome] += 1
        self._counts += found
        self._used.add(path)
        return True

    def result(self) -> Capability:
        """All that was counted."""
        grades = []
        for kind, size, contrast in dict.fromkeys(key[:3] for key in self._counts):
            caught, refused, missed = (
                self._counts[kind, size, contrast, outcome] for outcome in ("caught", "refused", "missed")
            )
            measure = size / (SLENDER / 2) if kind == "scratch" else size
            grades.append(Grade(kind, measure, contrast, caught + refused + missed, caught, refused))
        return Capability(round(self._side, 1), len(self._used), tuple(grades))

    def _subject(self, pixels: Picture) -> _Subject | None:
        """Where flaws may lie on a good picture: on the part, where that is seen; None if the fixture refuses it."""
        try:
            placement = self._predictor.fixture.place(pixels)
        except FixtureMismatch:
            return None
        part = self._finder.find(pixels) if self._finder else None
        scale = min(1.0, GRID / max(placement.picture))
        shape = part.mask.shape[::-1] if part else [max(1, round(side * scale)) for side in placement.picture]
        seen = looked_at(placement, self._valid, (int(shape[0]), int(shape[1])))
        both = seen & part.mask if part else seen
        return _Subject(pixels, both if both.any() else seen)

    def _outcomes(self, subject: _Subject, kind: FlawKind, contrast: float, turn: int) -> Iterator[str]:
        """What becomes of the flaw at each size. Its place and angle are the same at all of them, and contrasts."""
        fixture = self._predictor.fixture
        laid: list[tuple[Picture, Placement, Box] | None] = []
        for size in self._sizes:
            rng = np.random.default_rng((self._seed, turn, FLAW_KINDS.index(kind)))
            marred, box = mar(subject.pixels, Flaw(kind, size, contrast), rng, subject.allowed)
            try:
                placement = fixture.place(marred)
            except FixtureMismatch:
                laid.append(None)
            else:
                laid.append((fixture.lay(marred, placement), placement, box))
        inputs = [one[0] for one in laid if one]
        predictions = iter(self._predictor(np.stack(inputs)) if inputs else ())
        for one in laid:
            if one is None:
                yield "refused"
                continue
            prediction = next(predictions).on_picture(one[1])
            touched = any(_touches(region, one[2]) for region in prediction.regions)
            yield "caught" if prediction.score > self._limit and touched else "missed"


def _turns(rounds: int) -> Iterator[tuple[int, float]]:
    for one in range(rounds):
        for contrast in CONTRASTS:
            for turn in range(one * TRIES, (one + 1) * TRIES):
                yield turn, contrast


def _read(path: Path) -> Picture | None:
    try:
        return read_picture(path)
    except PictureUnreadable:
        return None  # it could be when it was calibrated on; somebody has taken it away since


def _touches(region: Region, box: Box) -> bool:
    x, y, width, height = box
    return (
        region.x < x + width and x < region.x + region.width and region.y < y + height and y < region.y + region.height
    )
