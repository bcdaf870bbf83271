"""How far the runtime that inspects is from PyTorch in float32, on pictures of held-out good parts.

The maps are compared, whole and unthresholded, before any limit is laid on them: raw map values. A difference means
something only beside how far good parts lie apart, so it is told in that unit too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from model.fusion import Second
from model.manifest import ParityRecord
from model.runtimes import Fingerprint, RuntimeChoice, open_runtime
from model.scorer import Scorer

MOST_PICTURES = 4
SAME = "the runtime is PyTorch in float32 itself"


def is_reference(fingerprint: Fingerprint) -> bool:
    """Whether there is nothing to compare: the runtime is the one that others are compared with."""
    return fingerprint.runtime == "torch" and fingerprint.precision == "f32"


def measure_parity(
    scorer: Scorer,
    pictures: NDArray[np.uint8],
    scores: Sequence[float],
    *,
    networks: tuple[nn.Module, nn.Module],
    second: Second | None = None,
) -> ParityRecord:
    """Compare the runtime of `scorer` with PyTorch in float32 on the first few pictures.

    pictures: (N, H, W, 3) uint8 at the model's size, held out from training. scores: of all held-out parts. networks:
    teacher and student. second: the memory beside them, the same on both sides.
    """
    if is_reference(scorer.runtime.fingerprint):
        return ParityRecord(pictures=0, largest=0.0, spread=spread_of(scores))
    shown = pictures[:MOST_PICTURES]
    choice = RuntimeChoice("torch", "f32")
    runtime = open_runtime(*networks, size=scorer.runtime.size, choice=choice, memory=second is not None)
    ours, reference = scorer(shown), Scorer(runtime, valid=scorer.valid, second=second)(shown)
    apart = np.abs(ours.maps - reference.maps)
    seen = apart if scorer.valid is None else apart[:, scorer.valid]
    largest = float(seen.max())
    if not np.isfinite(largest):
        raise ValueError("the maps of held-out parts are not finite; the model or the runtime is broken")
    return ParityRecord(pictures=len(shown), largest=largest, spread=spread_of(scores))


def spread_of(scores: Sequence[float]) -> float:
    """The standard deviation of held-out scores, the unit of a difference; 0 where they are all equal or too few."""
    return float(np.std(np.asarray(scores, dtype=np.float64))) if len(scores) > 1 else 0.0


def parity_told(record: ParityRecord, fingerprint: Fingerprint | None = None) -> str:
    """One sentence for people."""
    if record.pictures == 0:
        return SAME
    name = f"{fingerprint.runtime} in {fingerprint.precision}" if fingerprint else "this runtime"
    parts = f"{record.pictures} held-out good part{'s' if record.pictures != 1 else ''}"
    unit = "" if record.share is None else f": {record.share:.2%} of the standard deviation of the held-out scores"
    return f"on {parts}, the map of {name} differs from PyTorch's in float32 by at most {record.largest:.2g}{unit}"
