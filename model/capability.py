"""
How small a flaw a model catches: what came of pasting graded made-up flaws on good parts that it has not learnt from.

A flaw is caught when the score lies above the PASS limit and a region touches it. Where the fixture refuses the picture
because of its flaw, it is refused: no such part passes either, but nobody is shown where the flaw is. Made-up flaws are
not real ones: they tell what is certainly too small, and never set a limit (rd-e.md, section 9).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Self

from model.flaws import FLAW_KINDS, FlawKind
from model.metrics import wilson_interval
from model.placement import number

CATCH = 0.95  # of the flaws of a size, and of every larger one, must not pass before it is said to be caught
USUALLY = f"{100 * CATCH:.0f} % of the time"
FEWEST = 5  # flaws of each size that it takes to say anything
MEASURED: dict[FlawKind, str] = {"spot": "diameter", "scratch": "width", "graft": "diameter"}


@dataclass(frozen=True)
class Grade:
    """What became of the flaws of one kind, size and contrast.

    size: in raw pixels, of what MEASURED says. contrast: in grey levels. tried: flaws, one to a picture; caught: above
    the PASS limit and shown where they are; refused: by the fixture. The others were missed.
    """

    kind: FlawKind
    size: float
    contrast: float
    tried: int
    caught: int
    refused: int = 0

    def __post_init__(self) -> None:
        if self.kind not in FLAW_KINDS:
            raise ValueError(f"flaw kind {self.kind!r} is unknown; {', '.join(FLAW_KINDS)} are made")
        if not (self.size > 0 and self.contrast > 0):
            raise ValueError(f"{self.kind} of size {self.size:g} and contrast {self.contrast:g}: both must be above 0")
        if not (min(self.caught, self.refused) >= 0 and 1 <= self.tried >= self.caught + self.refused):
            raise ValueError(
                f"{self.kind} of size {self.size:g}: {self.caught} caught and {self.refused} refused of {self.tried} "
                "tried does not add up"
            )

    @property
    def share(self) -> float:
        """The share that did not pass: caught or refused."""
        return (self.caught + self.refused) / self.tried

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson's)."""
        found = wilson_interval(self.caught + self.refused, self.tried)
        assert found is not None  # at least one was tried
        return found

    def measure(self, mm_per_pixel: float | None = None) -> str:
        """Its size in words, such as "width 3 px"."""
        pixels = f"{_short(self.size)} px"
        if mm_per_pixel is None:
            return f"{MEASURED[self.kind]} {pixels}"
        return f"{MEASURED[self.kind]} {_short(self.size * mm_per_pixel)} mm ({pixels})"

    def counts(self) -> str:
        """Its counts in words."""
        low, high = self.interval
        refused = f", {self.refused} of them refused by the fixture" if self.refused else ""
        return f"{self.caught + self.refused} of {self.tried}{refused}, 95 % interval {low:.0%} to {high:.0%}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values; raises KeyError, TypeError or ValueError when something is missing or impossible."""
        told = (number(values["size"]), number(values["contrast"]))
        return cls(values["kind"], *told, *(_whole(values[name]) for name in ("tried", "caught", "refused")))


Series = tuple[Grade, ...]
"""Grades of one kind and contrast, the smallest first."""


@dataclass(frozen=True)
class Capability:
    """How small a made-up flaw a model catches.

    part_side: of the part, or of what is looked at, in raw pixels: the root of its area; 0 where nothing was tried.
    pictures: how many different good ones had flaws pasted on. grades: in any order.
    """

    part_side: float
    pictures: int
    grades: tuple[Grade, ...]

    def __post_init__(self) -> None:
        if self.part_side < 0 or self.pictures < 0 or (self.grades and not self.pictures):
            raise ValueError(
                f"{len(self.grades)} grades of flaws on {self.pictures} pictures of parts of {self.part_side:g} px "
                "cannot be"
            )
        if len({(one.kind, one.contrast, one.size) for one in self.grades}) < len(self.grades):
            raise ValueError("a grade of flaws is told of twice")

    def series(self) -> tuple[Series, ...]:
        """The grades by kind and contrast, in ascending order."""
        ordered = sorted(self.grades, key=lambda one: (FLAW_KINDS.index(one.kind), one.contrast, one.size))
        return tuple(tuple(group) for _, group in groupby(ordered, key=lambda one: (one.kind, one.contrast)))

    @property
    def summary(self) -> str:
        """What was done, in words."""
        if not self.grades:
            return (
                "No made-up flaws were tried: no time was left, it was cancelled, or no held-out picture could be read."
            )
        tried = sorted({one.tried for one in self.grades})
        times = f"{tried[0]}" if len(tried) == 1 else f"{tried[0]} to {tried[-1]}"
        parts = f"{self.pictures} good part{'s' if self.pictures != 1 else ''}"
        return f"Made-up flaws, {times} of each size, on {parts} that were not trained on:"

    def sentences(self, mm_per_pixel: float | None = None) -> tuple[str, ...]:
        """For each kind and contrast the smallest size that is caught, or that none is.

        mm_per_pixel: of the raw picture, where it is known; then sizes are in mm too. Raises ValueError for one that is
        not above 0.
        """
        if mm_per_pixel is not None and not (mm_per_pixel > 0 and math.isfinite(mm_per_pixel)):
            raise ValueError(f"{mm_per_pixel} mm per pixel: it must be above 0")
        return tuple(_sentence(one, mm_per_pixel) for one in self.series())

    def report(self, mm_per_pixel: float | None = None) -> dict[str, Any]:
        """For people's programs: to_dict with shares, intervals and sentences."""
        grades = [asdict(one) | {"share": one.share, "interval": list(one.interval)} for one in self.grades]
        return self.to_dict() | {"grades": grades, "sentences": list(self.sentences(mm_per_pixel))}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "part_side": self.part_side,
            "pictures": self.pictures,
            "grades": [asdict(one) for one in self.grades],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises ValueError when something is missing or impossible."""
        try:
            given = values["grades"]
            if not isinstance(given, list):
                raise TypeError("grades are a list")
            grades = tuple(Grade.from_dict(one) for one in given)
            return cls(number(values["part_side"]), _whole(values["pictures"]), grades)
        except (KeyError, TypeError) as problem:
            raise ValueError(f"the capability is not one: {problem!r}") from problem


def smallest_caught(series: Series) -> Grade | None:
    """The smallest size from which on, at this and every larger one, at least CATCH do not pass; None if there is none.

    A small size that is caught by luck below a larger one that is not does not count.
    """
    found = None
    for grade in reversed(series):
        if grade.share < CATCH:
            break
        found = grade
    return found


def is_enough(series: Series) -> bool:
    """Whether so many were tried that something can be said."""
    return min(one.tried for one in series) >= FEWEST


def _sentence(series: Series, mm_per_pixel: float | None) -> str:
    first, last = series[0], series[-1]
    name = f"{first.kind} of contrast {first.contrast:g}"
    if not is_enough(series):
        return f"{name}: too few were tried to say anything ({min(one.tried for one in series)} of each size)"
    found = smallest_caught(series)
    if found is None:
        return (
            f"no {name} was caught {USUALLY}, up to {last.measure(mm_per_pixel)}, the largest tried ({last.counts()})"
        )
    tried = ", the smallest tried" if found == first else ""
    return f"the smallest {name} caught {USUALLY}: {found.measure(mm_per_pixel)}{tried} ({found.counts()})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(number(value))
    raise ValueError(f"{value!r} is no whole number")
