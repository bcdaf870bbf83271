"""Fills the golden memory from the parts that trained the student, on the runtime that will inspect."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.anomaly_map import MapMaker
from model.fusion import SHARES, Second, Units, Witness
from model.manifest import MemoryRecord, WideRecord
from model.memory import MOST_PARTS, GoldenMemory, MemoryMaps
from model.neighbours import GoldenPictures
from model.runtimes import Runtime
from model.widening import learn_wide

CHUNK, CHUNK_PIXELS = 8, 8 * 256**2  # looked at together, at most
MOST_BYTES = 64 * 1024**2  # of the bank in half precision: large inputs have many cells, and fewer parts then
FEWEST_PARTS = 8


def remember(
    runtime: Runtime,
    pictures: NDArray[np.uint8],
    witness: Witness,
    *,
    seed: int = 0,
    after_picture: Callable[[int, int], None] = lambda *_: None,
) -> Second | None:
    """A memory of training pictures, in units of each against the others; None if the student is to witness alone.

    runtime: opened for a memory. pictures: (N, H, W, 3) uint8, at the model's size. after_picture: called with
    (pictures done, in all). Raises ValueError if the features are not finite.
    """
    if witness == "student":
        return None
    kept = _order(len(pictures), seed)[:MOST_PARTS]
    chunk = min(CHUNK, max(1, CHUNK_PIXELS // (runtime.size[0] * runtime.size[1])))
    features, student = [], []
    maps_of = MapMaker(*runtime.size)
    done = 0
    while done < len(kept):
        seen = runtime.look(pictures[kept[done : done + chunk]])
        features.append(_finite(seen.features))
        student.append(maps_of(seen.distances))
        kept = kept[: most_parts(features[0][0].size)]
        done = min(done + chunk, len(kept))
        after_picture(done, len(kept))
    remembered = np.concatenate(features)
    memory, own = GoldenMemory.learnt(remembered)
    golden = MemoryMaps(memory, runtime.size).of_cells(own)
    wide = learn_wide(remembered, runtime.size)
    return Second(memory, Units.of(np.concatenate(student)), Units.of(golden), SHARES[witness], wide)


def pictures_of(second: Second | None, pictures: NDArray[np.uint8], *, seed: int = 0) -> GoldenPictures | None:
    """The remembered ones of the pictures and the seed that `remember` was given; None where there is no memory."""
    if second is None:
        return None
    return GoldenPictures.of(pictures[_order(len(pictures), seed)[: second.memory.bank.shape[1]]])


def most_parts(numbers: int) -> int:
    """How many parts are remembered at most, if each has so many numbers."""
    return min(MOST_PARTS, max(FEWEST_PARTS, MOST_BYTES // (2 * numbers)))


def _order(count: int, seed: int) -> NDArray[np.intp]:
    """In which order training pictures are remembered; it is the order of the memory's bank."""
    return np.random.default_rng((seed, count)).permutation(count)


def record_of(second: Second) -> MemoryRecord:
    """What a model file says of a memory."""
    rows, columns = second.memory.shape
    return MemoryRecord(
        parts=second.memory.bank.shape[1],
        rows=rows,
        columns=columns,
        student_middle=second.student.middle,
        student_spread=second.student.spread,
        golden_middle=second.golden.middle,
        golden_spread=second.golden.spread,
        share=second.share,
        wide=WideRecord(middle=second.wide.units.middle, spread=second.wide.units.spread) if second.wide else None,
    )


def _finite(features: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if features is None or not np.isfinite(features).all():
        raise ValueError("the golden features are not finite numbers; the model or the runtime is broken")
    return features
