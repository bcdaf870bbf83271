"""Where on a part the map lies above the limit."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.placement import Placement

DEFAULT_MINIMUM_AREA = 4


@dataclass(frozen=True)
class Region:
    """One connected part of {map > limit}.

    x, y, width, height: its bounding box, area: its pixels, in pixels of the model's input or, after `on_picture`, of
    the raw picture. peak, mean: of the map inside it.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float
    mean: float

    def on_picture(self, placement: Placement) -> "Region":
        """The same region in pixels of the raw picture that lies so on the input.

        The box is the smallest of whole pixels around it, cut at the picture's edge.
        """
        x, y, width, height = placement.to_raw((self.x, self.y, self.width, self.height))
        area = min(max(1, round(self.area / placement.scale**2)), width * height)
        return replace(self, x=x, y=y, width=width, height=height, area=area)


@dataclass(frozen=True)
class RegionRule:
    """Above which limit and from which area on regions are listed.

    limit: the PASS limit that judges the score, so that score and regions agree; None where there is none yet: then no
    region is listed. minimum_area: in input pixels; the region of the highest peak is listed however small it is.
    """

    limit: float | None = None
    minimum_area: int = DEFAULT_MINIMUM_AREA


def find_regions(
    anomaly: NDArray[np.float32], rule: RegionRule, *, valid: NDArray[np.bool_] | None = None
) -> tuple[Region, ...]:
    """The regions of one map, highest peak first; parts that touch at a corner are one.

    anomaly: (H, W). valid: (H, W), pixels that are looked at; None for all. A map that is not finite has no regions.
    """
    if rule.limit is None or not np.isfinite(anomaly).all():
        return ()
    above = anomaly > rule.limit
    if valid is not None:
        above &= valid
    marked = above.view(np.uint8)
    left, top, width, height = cv2.boundingRect(marked)
    if not width:
        return ()
    window = np.s_[top : top + height, left : left + width]  # the rest is ground, which takes as long to label
    count, found, boxes, _ = cv2.connectedComponentsWithStats(marked[window], connectivity=8)
    labels, stats = np.asarray(found, dtype=np.int32), np.asarray(boxes, dtype=np.int32)
    regions = [
        replace(region, x=left + region.x, y=top + region.y)
        for region in (_region(anomaly[window], labels, stats[label], label) for label in range(1, count))  # 0: ground
    ]
    regions.sort(key=lambda region: region.peak, reverse=True)
    return tuple(region for rank, region in enumerate(regions) if rank == 0 or region.area >= rule.minimum_area)


def _region(anomaly: NDArray[np.float32], labels: NDArray[np.int32], stats: NDArray[np.int32], label: int) -> Region:
    x, y, width, height, area = (int(value) for value in stats)
    window = np.s_[y : y + height, x : x + width]
    values = anomaly[window][labels[window] == label]
    return Region(x, y, width, height, area, peak=float(values.max()), mean=float(values.mean(dtype=np.float64)))
