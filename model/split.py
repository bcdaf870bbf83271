"""
Which good parts train, which weigh the witnesses and which calibrate: disjoint by group, because pictures of one part
are not independent.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.calibration import FAIL_RATE, hold_out_count
from model.golden import Golden

FEWEST = 4
FEWEST_WEIGHED = 80  # good parts; of fewer, none is spared for weighing
SHARE_WEIGHED, MOST_WEIGHED = 0.12, 24  # of the parts; as many pictures are kept, for each is looked at six times
DIGITS = 16  # of a digest are enough to know a picture again among millions


class LearningImpossible(ValueError):
    """There is nothing usable to learn from; the message says what is missing."""


@dataclass(frozen=True)
class Split:
    """Which golden pictures train and which calibrate.

    train: indices; weighing: those kept from training to weigh the witnesses (model/weighing.py). calibration: (N, H,
    W, 3) uint8 with one group name and one file each. digest: SHA-256 over all of them.
    """

    train: NDArray[np.intp]
    weighing: NDArray[np.intp]
    calibration: NDArray[np.uint8]
    groups: tuple[str, ...]
    paths: tuple[Path, ...]
    digest: str

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by role."""
        kept = {"weighing": len(self.weighing)} if len(self.weighing) else {}
        return {"train": len(self.train)} | kept | {"calibration": len(self.calibration)}


def short(digest: str) -> str:
    """The part of a picture's digest that a model file keeps."""
    return digest[:DIGITS]


def split_golden(
    golden: Golden,
    extra: Golden | None = None,
    *,
    fail_rate: float = FAIL_RATE,
    seed: int = 0,
    trained: AbstractSet[str] = frozenset(),
    weighs: bool = True,
) -> Split:
    """Hold pictures out for calibration, whole groups at a time; if there are `extra` ones, those calibrate instead.

    fail_rate: what the calibration is to prove, see hold_out_count. trained: short digests of pictures that an earlier
    model has learnt from and this one goes on from; they neither calibrate nor weigh. weighs: whether parts are kept
    for weighing, where there are enough. Raises LearningImpossible when there are too few.
    """
    count = len(golden.paths)
    names = list(dict.fromkeys(golden.groups))
    if count < FEWEST or len(names) < 2:
        raise LearningImpossible(
            f"{count} usable pictures of {len(names)} good parts are too few to learn from: at least {FEWEST} "
            "are needed, 20 give something to rely on, 100 are good"
            + ("; pictures that show the same shot count as one part" if len(names) < count else "")
        )
    digest = hashlib.sha256("".join(sorted(golden.digests + (extra.digests if extra else ()))).encode()).hexdigest()
    learnt = {group for digest, group in zip(golden.digests, golden.groups, strict=True) if short(digest) in trained}
    free = [name for name in names if name not in learnt]
    order = [free[place] for place in np.random.default_rng((seed, len(names))).permutation(len(free))]
    spared = weighing_count(len(names)) if weighs else 0
    if extra is not None:
        known = set(golden.digests)
        fresh = [
            number for number, found in enumerate(extra.digests) if found not in known and short(found) not in trained
        ]
        if not fresh:
            raise LearningImpossible(
                "all pictures held out for calibration are among those to train on, or an earlier model has learnt "
                "from them; give pictures of other parts"
            )
        groups = tuple(extra.groups[number] for number in fresh)
        paths = tuple(extra.paths[number] for number in fresh)
        train, weighing = _without(golden, _enough(golden, order, spared))
        return Split(train, weighing, extra.pictures[fresh], groups, paths, digest)
    wanted = hold_out_count(len(names), fail_rate)
    if 2 * len(free) < wanted:
        raise LearningImpossible(
            f"only {len(free)} of {len(names)} good parts are unknown to the earlier model, and {wanted} are wanted "
            "for calibration: add pictures of new good parts, or begin without it"
        )
    held, kept = set(order[:wanted]), _enough(golden, order[wanted:], spared)
    _, outside = _without(golden, held)
    train, weighing = (np.setdiff1d(chosen, outside) for chosen in _without(golden, kept))
    groups = tuple(golden.groups[number] for number in outside)
    paths = tuple(golden.paths[number] for number in outside)
    return Split(train, weighing, golden.pictures[outside], groups, paths, digest)


def weighing_count(parts: int) -> int:
    """How many pictures of so many good parts are kept from training to weigh the witnesses."""
    return 0 if parts < FEWEST_WEIGHED else min(MOST_WEIGHED, round(SHARE_WEIGHED * parts))


def _enough(golden: Golden, names: Sequence[str], pictures: int) -> set[str]:
    """The first of some groups, that together have so many pictures."""
    counts = Counter(golden.groups)
    before = np.cumsum([0] + [counts[name] for name in names])
    return {name for name, held in zip(names, before, strict=False) if held < pictures}


def _without(golden: Golden, names: AbstractSet[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pictures of all other groups, and those of these."""
    among = np.array([group in names for group in golden.groups])
    return np.flatnonzero(~among), np.flatnonzero(among)
