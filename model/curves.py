"""How the losses fell while training: at most a hundred points a curve, however long it took."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MOST_POINTS = 100
DIGITS = 4  # of a kept loss; a curve is for the eye
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Curve:
    """The loss of one network over one stage.

    stage: joint, teacher, student or baseline. network: teacher or student. iterations: the last one that each point
    stands for, counted in the stage from 1. losses: mean of the iterations since the point before.
    """

    stage: str
    network: str
    iterations: tuple[int, ...]
    losses: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        rounded = [float(f"{loss:.{DIGITS}g}") for loss in self.losses]
        return {
            "stage": self.stage, "network": self.network, "iterations": list(self.iterations), "losses": rounded,
        }  # fmt: skip


class _Thinned:
    """Means over so many iterations in a row that at most MOST_POINTS are kept; twice as many whenever it is full."""

    def __init__(self, points: Sequence[tuple[int, float, int]] = (), width: int = 1) -> None:
        self._points = list(points)  # last iteration, sum of losses, how many
        self._width = width

    def add(self, iteration: int, loss: float) -> None:
        if self._points and self._points[-1][2] < self._width:
            _, total, count = self._points[-1]
            self._points[-1] = (iteration, total + loss, count + 1)
            return
        if len(self._points) == MOST_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [(later[0], first[1] + later[1], first[2] + later[2]) for first, later in pairs]
            self._width *= 2
        self._points.append((iteration, loss, 1))

    @property
    def state(self) -> tuple[list[tuple[int, float, int]], int]:
        """What a new one goes on from."""
        return list(self._points), self._width

    def curve(self, stage: str, network: str) -> Curve:
        means = tuple(total / count for _, total, count in self._points)
        return Curve(stage, network, tuple(iteration for iteration, *_ in self._points), means)


class CurveKeeper:
    """Takes the losses of every step, and gives the curves at any time. state: of an earlier one, to go on from."""

    def __init__(self, state: Mapping[tuple[str, str], Any] | None = None) -> None:
        self._kept = {names: _Thinned(*kept) for names, kept in (state or {}).items()}

    @property
    def state(self) -> dict[tuple[str, str], Any]:
        """Plain values by stage and network."""
        return {names: kept.state for names, kept in self._kept.items()}

    def add(self, stage: str, iteration: int, losses: Mapping[str, float | None]) -> None:
        """losses: by network; None where it did not learn in this step. iteration: of the stage, from 1."""
        for network, loss in losses.items():
            if loss is not None:
                self._kept.setdefault((stage, network), _Thinned()).add(iteration, loss)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """One for each network and stage that it learnt in, in the order of training."""
        return tuple(kept.curve(*names) for names, kept in self._kept.items())


class _Written(BaseModel):
    """A curve as a model file has it."""

    model_config = ConfigDict(strict=True)
    stage: str
    network: str
    iterations: list[int] = Field(min_length=1)
    losses: list[Annotated[float, Field(allow_inf_nan=False)]]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.iterations) != len(self.losses):
            raise ValueError(f"{len(self.iterations)} iterations, but {len(self.losses)} losses")
        return self


def curves_from(values: object) -> tuple[Curve, ...]:
    """Back from a list of to_dict; what is no curve, or that an older version wrote otherwise, is left out."""
    found = (_curve(one) for one in values) if isinstance(values, list | tuple) else ()
    return tuple(one for one in found if one is not None)


def _curve(values: object) -> Curve | None:
    try:
        found = _Written.model_validate(values)
    except ValidationError:
        return None
    return Curve(found.stage, found.network, tuple(found.iterations), tuple(found.losses))


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """Values as a line of at most `width` blocks, the lowest the smallest; "" for none. Each block is a mean."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [round(place * len(values) / width) for place in range(width + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    room = (high - low) or 1.0
    return "".join(BLOCKS[min(int((mean - low) / room * len(BLOCKS)), len(BLOCKS) - 1)] for mean in means)


def distribution(scores: Sequence[float], width: int = 32) -> str:
    """How many scores lie where between the lowest and the highest, as blocks; a dot where there is none."""
    if not scores:
        return ""
    low, high = min(scores), max(scores)
    step = (high - low) / width or 1.0
    counts = [0] * (width if high > low else 1)
    for score in scores:
        counts[min(int((score - low) / step), len(counts) - 1)] += 1
    most = max(counts)
    return "".join(BLOCKS[math.ceil(count / most * len(BLOCKS)) - 1] if count else "·" for count in counts)
