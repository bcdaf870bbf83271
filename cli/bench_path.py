"""The way of one whole frame through inspection, stage by stage: from the JPEG to the overlay that a person sees."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.verdicts import Limits
from dashboard.heat import overlay
from model.fixture import Fixture
from model.fusion import Second
from model.pictures import decode_picture
from model.placement import Placement, Size
from model.regions import RegionRule, find_regions
from model.runtimes import Runtime
from model.scorer import Scorer
from workers.keeping import HEAT, eight_bit

HOT = 0.99  # of the map's pixels lie below the limit: a part with flaws, so that regions and overlay have work to do
WARM = 2  # frames
Found = TypeVar("Found")


@dataclass(frozen=True)
class Way:
    """What a frame passes through. data, picture: the encoded frame, its width and height."""

    data: bytes
    picture: Size
    fixture: Fixture
    runtime: Runtime
    second: Second | None = field(default=None, kw_only=True)
    valid: NDArray[np.bool_] | None = field(default=None, kw_only=True)


def timed_frames(way: Way, *, seconds: float, clock: Callable[[], float] = time.perf_counter) -> list[dict[str, float]]:
    """Seconds by stage, for one frame after the other, until the time is over; at least one frame."""
    walk = _Walk(way, clock)
    for _ in range(WARM):
        walk()
    frames: list[dict[str, float]] = []
    end = clock() + seconds
    while not frames or clock() < end:
        frames.append(walk())
    return frames


class _Walk:
    """One frame's way, with a clock beside it.

    The memory's share is what both witnesses together take beyond the student's map alone: it is no step of its own.
    """

    def __init__(self, way: Way, clock: Callable[[], float]) -> None:
        self._way = way
        self._clock = clock
        self._alone = Scorer(way.runtime, valid=way.valid)
        self._both = Scorer(way.runtime, valid=way.valid, second=way.second) if way.second else None
        self._limits: Limits | None = None

    def __call__(self) -> dict[str, float]:
        """Seconds by stage."""
        way = self._way
        taken: dict[str, float] = {}

        def stage(name: str, work: Callable[[], Found]) -> Found:
            begun = self._clock()
            found = work()
            taken[name] = self._clock() - begun
            return found

        picture = stage("decode", lambda: decode_picture(way.data, "frame"))
        placement, image = stage("fixture", lambda: _placed(way.fixture, picture))
        seen = stage("network", lambda: way.runtime.look(image))
        scored = stage("maps", lambda: self._alone.conclude(seen))
        taken["memory"] = 0.0
        if both := self._both:
            scored = stage("memory", lambda: both.conclude(seen))
            taken["memory"] = max(0.0, taken["memory"] - taken["maps"])
        anomaly = scored.maps[0]
        limits = self._limits = self._limits or Limits(float(np.quantile(anomaly, HOT)), None)
        stage("regions", lambda: find_regions(anomaly, RegionRule(limits.t_lo), valid=way.valid))
        stage("overlay", lambda: _painted(anomaly, placement, limits))
        return taken


def _placed(fixture: Fixture, picture: NDArray[np.uint8]) -> tuple[Placement, NDArray[np.uint8]]:
    placement = fixture.place(picture)
    return placement, fixture.lay(picture, placement)[None]


def _painted(anomaly: NDArray[np.float32], placement: Placement, limits: Limits) -> NDArray[np.uint8]:
    stored, low, high = eight_bit(placement.on_picture(anomaly, HEAT))
    return overlay(stored, (low, high), limits)
