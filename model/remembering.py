"""Fills the golden memory from the parts that trained the student, on the runtime that will inspect."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.anomaly_map import MapMaker
from model.fusion import SHARES, Second, Units, Witness
from model.manifest import MemoryRecord
from model.memory import MOST_PARTS, GoldenMemory, MemoryMaps
from model.runtimes import Runtime

CHUNK = 8


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
    kept = np.random.default_rng((seed, len(pictures))).permutation(len(pictures))[:MOST_PARTS]
    features, student = [], []
    maps_of = MapMaker(*runtime.size)
    for start in range(0, len(kept), CHUNK):
        seen = runtime.look(pictures[kept[start : start + CHUNK]])
        features.append(_finite(seen.features))
        student.append(maps_of(seen.distances))
        after_picture(min(start + CHUNK, len(kept)), len(kept))
    memory, own = GoldenMemory.learnt(np.concatenate(features))
    golden = MemoryMaps(memory, runtime.size).of_cells(own)
    return Second(memory, Units.of(np.concatenate(student)), Units.of(golden), SHARES[witness])


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
    )


def _finite(features: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if features is None or not np.isfinite(features).all():
        raise ValueError("the golden features are not finite numbers; the model or the runtime is broken")
    return features
