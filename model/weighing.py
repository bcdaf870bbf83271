"""
How much each witness has a say in the map: by what both prove on good parts that neither has learnt from.

Some good parts are kept from training and from calibration. As they are, they give the witnesses their units; with
made-up flaws pasted on them, they tell at which share of the memory a flaw, where it is, stands out most above all of a
good part (rd-e.md, section 13: a plain sum can lose to its better half). The share that served most products stays
unless another one shows clearly more. Whatever comes of it is fixed before calibration begins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.anomaly_map import MapMaker
from model.flaws import FLAW_KINDS, Flaw, mar
from model.fusion import SHARES, Second, Units
from model.locating import PartFinder
from model.memory import MemoryMaps
from model.metrics import auroc
from model.placement import Box
from model.probing import GRADES
from model.runtimes import Runtime

TRIED = (0.0, 0.3, 0.6, 0.8, 1.0)
WORTH = 0.02  # another share than the usual one must show so much more
SMALLEST = 3.0  # px, of a flaw
AROUND = 4  # px about a flaw, for the map is smooth
CHUNK = 4
LOOKS = 1 + len(GRADES)  # at each good part

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Weighed:
    """A share of the memory, and why; merits: by share, the chance that a flaw stands out above all of a good part."""

    share: float
    why: str
    merits: Mapping[float, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {"why": self.why, "merits": {f"{share:g}": round(one, 4) for share, one in self.merits.items()}}


def weigh(
    runtime: Runtime,
    second: Second,
    pictures: NDArray[np.uint8],
    *,
    valid: NDArray[np.bool_] | None = None,
    seed: int = 0,
    after_picture: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Second, Weighed]:
    """The same witnesses in units of unseen good parts, and with the share that these show to be best.

    pictures: (N, H, W, 3) uint8, good, at the model's size, neither learnt from nor remembered. valid: (H, W), pixels
    that are looked at. after_picture: called with (pictures done, in all). Raises ValueError where the maps are not
    finite.
    """
    usual = SHARES["both"]
    if second.share != usual:
        return second, Weighed(second.share, "asked for")
    if not len(pictures):
        return second, Weighed(usual, "the usual share: too few good parts to keep some for weighing")
    look = _Look(runtime, second)
    good = look(pictures)
    inside = np.ones(runtime.size, np.bool_) if valid is None else valid
    student, golden = (Units.of(maps[:, inside][:, None]) for maps in good)
    settled = replace(second, student=student, golden=golden)
    levels = {share: replace(settled, share=share).fuse(*good)[:, inside].max(axis=1) for share in TRIED}
    peaks: dict[float, list[list[float]]] = {share: [[] for _ in GRADES] for share in TRIED}
    for done, flawed in enumerate(_flawed(pictures, inside, seed)):
        maps = look(np.stack([picture for picture, _ in flawed]))
        for share in TRIED:
            fused = replace(settled, share=share).fuse(*maps)
            for found, one, (_, box) in zip(peaks[share], fused, flawed, strict=True):
                found.append(_peak(one, box, inside))
        after_picture(done + 1, len(pictures))
    merits = {
        share: float(np.mean([auroc(levels[share], np.array(found)) or 0.0 for found in by_grade]))
        for share, by_grade in peaks.items()
    }
    weighed = chosen(merits, len(pictures))
    return replace(settled, share=weighed.share), weighed


def chosen(merits: Mapping[float, float], pictures: int) -> Weighed:
    """The usual share, unless the best one of `merits` shows WORTH more; of equals the one nearest to the usual."""
    usual = SHARES["both"]
    best = min(merits, key=lambda share: (-merits[share], abs(share - usual)))
    told = f"{merits[best]:.3f} against {merits[usual]:.3f} on {pictures} good pictures with made-up flaws"
    if merits[best] > merits[usual] + WORTH:
        return Weighed(best, f"flaws stand out more clearly: {told}", merits)
    return Weighed(usual, f"the usual share: no other does more ({told})", merits)


class _Look:
    """Both witnesses' maps, each (N, H, W) float32, in their own numbers."""

    def __init__(self, runtime: Runtime, second: Second) -> None:
        self._runtime = runtime
        self._student = MapMaker(*runtime.size)
        self._golden = MemoryMaps(second.memory, runtime.size, runtime.search(second.memory))

    def __call__(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        student, golden = [], []
        for start in range(0, len(pictures), CHUNK):
            seen = self._runtime.look(pictures[start : start + CHUNK])
            assert seen.features is not None  # the runtime was opened for a memory
            student.append(self._student(seen.distances))
            golden.append(self._golden(seen.features))
        return np.concatenate(student), np.concatenate(golden)


def _flawed(
    pictures: NDArray[np.uint8], inside: NDArray[np.bool_], seed: int
) -> Iterator[Sequence[tuple[Picture, Box]]]:
    """Each picture with one flaw of each grade, where the model looks and, where there is one, on the part."""
    finder = PartFinder.learnt(list(pictures))
    for number, picture in enumerate(pictures):
        part = finder.find(picture) if finder else None
        on_part = inside & _scaled(part.mask, inside.shape) if part else inside
        allowed = on_part if on_part.any() else inside
        side = float(np.sqrt(allowed.sum()))
        rng = np.random.default_rng((seed, number))
        flaws = [
            Flaw(FLAW_KINDS[(number + grade) % len(FLAW_KINDS)], max(SMALLEST, size * side), contrast)
            for grade, (size, contrast) in enumerate(GRADES)
        ]
        yield [mar(picture, flaw, rng, allowed) for flaw in flaws]


def _scaled(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0


def _peak(fused: NDArray[np.float32], box: Box, inside: NDArray[np.bool_]) -> float:
    """The highest value of a map at a flaw, among the pixels that are looked at; -inf where none is."""
    x, y, width, height = box
    rows = slice(max(0, y - AROUND), y + height + AROUND)
    columns = slice(max(0, x - AROUND), x + width + AROUND)
    seen = fused[rows, columns][inside[rows, columns]]
    return float(seen.max()) if seen.size else -np.inf
