"""
Which good parts train and which calibrate: disjoint by group, because pictures of one part are not independent.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.calibration import FAIL_RATE, hold_out_count
from model.golden import Golden

FEWEST = 4


class LearningImpossible(ValueError):
    """There is nothing usable to learn from; the message says what is missing."""


@dataclass(frozen=True)
class Split:
    """Which golden pictures train and which calibrate.

    train: indices. calibration: (N, H, W, 3) uint8 with one group name and one file each. digest: SHA-256 over all of
    them.
    """

    train: NDArray[np.intp]
    calibration: NDArray[np.uint8]
    groups: tuple[str, ...]
    paths: tuple[Path, ...]
    digest: str

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by role."""
        return {"train": len(self.train), "calibration": len(self.calibration)}


def split_golden(golden: Golden, extra: Golden | None = None, *, fail_rate: float = FAIL_RATE, seed: int = 0) -> Split:
    """Hold pictures out for calibration, whole groups at a time; if there are `extra` ones, those calibrate instead.

    fail_rate: what the calibration is to prove, see hold_out_count. Raises LearningImpossible when there are too few.
    """
    count = len(golden.paths)
    names = list(dict.fromkeys(golden.groups))
    if count < FEWEST or len(names) < 2:
        raise LearningImpossible(
            f"{count} usable pictures of {len(names)} good parts are too few to learn from: at least {FEWEST} "
            "are needed, 20 give something to rely on, 100 are good"
        )
    digest = hashlib.sha256("".join(sorted(golden.digests + (extra.digests if extra else ()))).encode()).hexdigest()
    if extra is not None:
        known = set(golden.digests)
        fresh = [number for number, found in enumerate(extra.digests) if found not in known]
        if not fresh:
            raise LearningImpossible("all pictures held out for calibration are among those to train on")
        groups = tuple(extra.groups[number] for number in fresh)
        paths = tuple(extra.paths[number] for number in fresh)
        return Split(np.arange(count), extra.pictures[fresh], groups, paths, digest)
    order = np.random.default_rng((seed, len(names))).permutation(len(names))
    held = {names[place] for place in order[: hold_out_count(len(names), fail_rate)]}
    outside = [number for number, group in enumerate(golden.groups) if group in held]
    inside = np.array([number for number, group in enumerate(golden.groups) if group not in held], dtype=np.intp)
    groups = tuple(golden.groups[number] for number in outside)
    paths = tuple(golden.paths[number] for number in outside)
    return Split(inside, golden.pictures[outside], groups, paths, digest)
