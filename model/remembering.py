"""Fills the golden memory from the parts that trained the student, on the runtime that will inspect."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.anomaly_map import MapMaker
from model.fusion import SHARES, Second, Units, Witness
from model.manifest import MemoryRecord
from model.memory import GoldenMemory, MemoryMaps, choose_parts
from model.runtimes import Runtime

MOST_OTHERS = 40  # parts outside the memory that give the units
CHUNK = 8


def remember(
    runtime: Runtime,
    pictures: NDArray[np.uint8],
    witness: Witness,
    *,
    seed: int = 0,
    after_picture: Callable[[int, int], None] = lambda *_: None,
) -> Second | None:
    """A memory of some of the training pictures, in units of the others; None if the student is to witness alone.

    runtime: opened for a memory. pictures: (N, H, W, 3) uint8, at the model's size. after_picture: called with
    (pictures done, in all). Raises ValueError if the features are not finite.
    """
    if witness == "student":
        return None
    order = np.random.default_rng((seed, len(pictures))).permutation(len(pictures))
    count = choose_parts(len(pictures))
    kept, others = order[:count], order[count : count + MOST_OTHERS]
    if not len(others):
        others = kept
    total = len(kept) + len(others)
    features = []
    for start in range(0, len(kept), CHUNK):
        features.append(_finite(runtime.look(pictures[kept[start : start + CHUNK]]).features))
        after_picture(min(start + CHUNK, len(kept)), total)
    student, strangers = [], []
    maps_of = MapMaker(*runtime.size)
    for start in range(0, len(others), CHUNK):
        seen = runtime.look(pictures[others[start : start + CHUNK]])
        student.append(maps_of(seen.distances))
        strangers.append(_finite(seen.features))
        after_picture(len(kept) + min(start + CHUNK, len(others)), total)
    others_features = np.concatenate(strangers)
    memory = GoldenMemory.of(np.concatenate(features)).settled(others_features)
    golden = MemoryMaps(memory, runtime.size)(others_features)
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
