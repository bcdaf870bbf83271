"""
How well scores and maps tell good from defective (rd-e.md, section 8): exact, in numpy, sorting every pixel once.

Image metrics take one score per picture; F1-max uses the labels to choose its threshold, so it is for comparison only.
Pixel metrics pool the pixels of all test pictures, good ones included; so does AU-PRO, which is no mean of pictures.
"""

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
PRO_LIMITS = (0.3, 0.05)
_NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def auroc(good: Floats, bad: Floats) -> float | None:
    """The chance that a defective one scores above a good one, ties half; None if either is missing.

    good, bad: any shape, flattened. Memory: one sorted copy of `good`.
    """
    if not good.size or not bad.size:
        return None
    ordered = np.sort(good, axis=None)
    bad = bad.ravel()
    below, up_to = np.searchsorted(ordered, bad, side="left"), np.searchsorted(ordered, bad, side="right")
    return float((below.sum(dtype=np.float64) + up_to.sum(dtype=np.float64)) / 2 / ordered.size / bad.size)


def average_precision(good: Floats, bad: Floats) -> float | None:
    """Area under precision over recall, as a sum of steps; None if either is missing."""
    if not good.size or not bad.size:
        return None
    hits, alarms = _cumulated(good, bad)
    recall_steps = np.diff(hits, prepend=0) / hits[-1]
    return float((recall_steps * hits / alarms).sum())


def f1_max(good: Floats, bad: Floats) -> float | None:
    """The best F1 over all thresholds, defective being positive; None if either is missing."""
    if not good.size or not bad.size:
        return None
    hits, alarms = _cumulated(good, bad)
    return float((2 * hits / (alarms + hits[-1])).max())


def pixel_auroc(maps: Sequence[Floats], masks: Sequence[Bools]) -> float | None:
    """AUROC over the pixels of all pictures; None if there is no defective or no good pixel.

    maps, masks: per picture (H, W), masks True where defective. Shapes may differ between pictures.
    """
    good, bad = _pooled(maps, masks)
    return auroc(good, bad)


def au_pro(maps: Sequence[Floats], masks: Sequence[Bools], limit: float = PRO_LIMITS[0]) -> float | None:
    """Area under per-region overlap against the false-positive rate, from 0 to `limit`, divided by `limit`.

    PRO at a threshold is the mean, over the 8-connected defects of all pictures, of the share of the defect above it;
    the rate is the share of all defect-free pixels above it. Trapezoid over all distinct thresholds, interpolated at
    the limit. maps, masks: as pixel_auroc. None if there is no defect or no good pixel.
    """
    if not 0 < limit <= 1:
        raise ValueError(f"the limit of the false-positive rate must be in (0, 1], is {limit:g}")
    good = _pooled(maps, masks)[0]
    values, shares = _regions(zip(maps, masks, strict=True))
    if not good.size or not values.size:
        return None
    keep = min(good.size, math.ceil(limit * good.size) + 1)  # lower ones lie beyond the limit
    floor = np.partition(good, good.size - keep)[good.size - keep]
    top = good[good >= floor]
    scores = np.concatenate([top, values[values >= floor]])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)  # ties move together
    false = np.cumsum(order < top.size)[last] / good.size
    weights = np.concatenate([np.zeros(top.size), shares[values >= floor]])
    overlap = np.cumsum(weights[order])[last]
    false, overlap = np.append(0.0, false), np.append(0.0, overlap)
    beyond = int(np.argmax(false >= limit))  # the first point at or past the limit: interpolate from the one before
    share = (limit - false[beyond - 1]) / (false[beyond] - false[beyond - 1])
    edge = overlap[beyond - 1] + share * (overlap[beyond] - overlap[beyond - 1])
    return float(np.trapezoid(np.append(overlap[:beyond], edge), np.append(false[:beyond], limit)) / limit)


def wilson_interval(hits: int, count: int) -> tuple[float, float] | None:
    """The 95 % interval of a rate after `hits` of `count` (Wilson's); None without any."""
    if count == 0:
        return None
    z2 = _NORMAL_95**2
    middle = (hits + z2 / 2) / (count + z2)
    half = _NORMAL_95 / (count + z2) * math.sqrt(hits * (count - hits) / count + z2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def components(mask: Bools) -> NDArray[np.int32]:
    """Number of the 8-connected defect at each pixel, 0 where there is none: (H, W) int32."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], dtype=np.int32)


def _cumulated(good: Floats, bad: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Defective ones and all at or above each distinct score, from the highest down."""
    scores = np.concatenate([good.ravel(), bad.ravel()])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits = np.cumsum(order >= good.size)[last].astype(np.float64)
    return hits, (last + 1).astype(np.float64)


def _pooled(maps: Sequence[Floats], masks: Sequence[Bools]) -> tuple[Floats, Floats]:
    """All good and all defective pixels."""
    for number, (heat, mask) in enumerate(zip(maps, masks, strict=True)):
        if heat.shape != mask.shape:
            raise ValueError(f"map {number} is {heat.shape}, its mask {mask.shape}")
    if not maps:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    good = np.concatenate([heat[~mask] for heat, mask in zip(maps, masks, strict=True)])
    return good, np.concatenate([heat[mask] for heat, mask in zip(maps, masks, strict=True)])


def _regions(pairs: Iterable[tuple[Floats, Bools]]) -> tuple[Floats, NDArray[np.float64]]:
    """Scores of all defective pixels, and each one's share of the mean overlap; the shares add up to 1."""
    values, shares, count = [np.zeros(0, np.float32)], [np.zeros(0)], 0
    for heat, mask in pairs:
        number = components(mask)[mask]
        if not number.size:
            continue
        sizes = np.bincount(number)
        count += sizes.size - 1
        values.append(heat[mask])
        shares.append(1 / sizes[number])
    return np.concatenate(values), np.concatenate(shares) / max(count, 1)
