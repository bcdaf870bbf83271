"""The figures of `flawline bench model`, from what was timed, and its first table: pure rules, without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from cli.bench_rounds import paired_ratio

LEAST_ROOFLINE = 0.6
LEAST_TIMES_EAGER = 3.0
LEAST_TIMES_BF16 = 1.5
MOST_AUROC_LOST = 0.005
MOST_TIMES_NETWORK = 1.5
STAGES = ("decode", "fixture", "network", "memory", "maps", "regions", "overlay")

Key = tuple[str, str, int]
"""Runtime, precision, batch."""


@dataclass(frozen=True)
class Timed:
    """What was timed, by round.

    batches: seconds for a whole batch, by runtime, precision and batch size. peaks: FLOP/s of the matrix product by
    precision. flop: of the network, for one picture. eager: what ratios are to.
    """

    batches: Mapping[Key, Sequence[float]]
    peaks: Mapping[str, Sequence[float]]
    flop: int
    eager: tuple[str, str]

    def row(self, key: Key) -> dict[str, Any]:
        """The figures of one runtime at one batch size; None where there is nothing to compare with."""
        batch = key[2]
        each = [seconds / batch for seconds in self.batches[key]]
        seconds = median(each)
        eager = self.batches.get((*self.eager, batch))
        return {
            "batch": batch,
            "ms_per_image": 1000 * seconds,
            "images_per_second": 1 / seconds,
            "times_eager": self.times((*self.eager, batch), key) if eager else None,
            "roofline_share": self.share(key),
        }

    def times(self, slow: Key, fast: Key) -> float | None:
        """How many times as fast as `slow` the `fast` is, in pairs; None where one of them was not timed."""
        if slow not in self.batches or fast not in self.batches:
            return None
        return paired_ratio(list(self.batches[fast]), list(self.batches[slow]))

    def share(self, key: Key) -> float | None:
        """The share of what a matrix product reaches in the same precision, in the same round."""
        _, precision, batch = key
        if key not in self.batches or precision not in self.peaks:
            return None
        pairs = zip(self.batches[key], self.peaks[precision], strict=True)
        return median(self.flop * batch / seconds / peak for seconds, peak in pairs)


@dataclass(frozen=True)
class Target:
    """Something that was promised. found: None where it could not be measured here. at_least: or else at most."""

    what: str
    wanted: float
    found: float | None
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether it holds; None where it was not measured."""
        if self.found is None:
            return None
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        sign = "at least" if self.at_least else "at most"
        return {"what": self.what, "wanted": f"{sign} {self.wanted:g}", "found": self.found, "reached": self.reached}


@dataclass(frozen=True)
class Names:
    """Which rows the targets speak of: the default runtime, and the two that int8 is compared with."""

    default: tuple[str, str]
    half: tuple[str, str]
    quantised: tuple[str, str]
    batch: int = field(kw_only=True)


def targets(timed: Timed, names: Names, *, auroc_lost: float | None, path_ratio: float | None) -> list[Target]:
    """What was promised of the speed, at one batch size. auroc_lost: by int8 against f32."""
    at = f"at batch {names.batch}"
    default = (*names.default, names.batch)
    half, small = (*names.half, names.batch), (*names.quantised, names.batch)
    called = " ".join(names.default)
    return [
        Target(f"{called}: share of the roofline {at}", LEAST_ROOFLINE, timed.share(default)),
        Target(
            f"{called}: times as fast as {timed.eager[0]} {at}",
            LEAST_TIMES_EAGER,
            timed.times((*timed.eager, names.batch), default),
        ),
        Target(f"int8: times as fast as bf16 {at}", LEAST_TIMES_BF16, timed.times(half, small)),
        Target("int8: image AUROC away from f32", MOST_AUROC_LOST, auroc_lost, at_least=False),
        Target("a whole frame: times as long as its network", MOST_TIMES_NETWORK, path_ratio, at_least=False),
    ]


def path_figures(frames: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """From seconds by stage of many frames: ms of each stage, of all, and all over the network alone, by medians."""
    stages = {stage: 1000 * median(frame[stage] for frame in frames) for stage in STAGES}
    whole = [sum(frame[stage] for stage in STAGES) for frame in frames]
    over = [total / frame["network"] for total, frame in zip(whole, frames, strict=True)]
    return {"stages_ms": stages, "total_ms": 1000 * median(whole), "times_network": median(over)}


def speed_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The first table: a row for each runtime and batch size, and one for each runtime that is missing."""
    rows = []
    for one in result["runtimes"]:
        name = [one["runtime"], one["precision"]]
        if one["why_not"]:
            rows.append([*name, *["–"] * 5])
        rows += [
            [
                *name,
                str(row["batch"]),
                f"{row['ms_per_image']:.2f}",
                f"{row['images_per_second']:.1f}",
                figure(row["times_eager"], 2),
                percent(row["roofline_share"]),
            ]
            for row in one["batches"]
        ]
    return rows


def reasons(result: Mapping[str, Any]) -> list[str]:
    """A sentence for each runtime that is missing."""
    return [f"{one['runtime']} {one['precision']}: {one['why_not']}" for one in result["runtimes"] if one["why_not"]]


def figure(value: float | None, digits: int) -> str:
    """A number, or a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in per cent, or a dash for none."""
    return "–" if value is None else f"{value:.0%}"
