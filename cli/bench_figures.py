"""The figures of `flawline bench line`, from what was seen: pure rules, without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

STAGES = ("poll", "decode", "model", "maps", "pictures", "books", "tell", "commit")
SETTLED = 0.25  # of a run; before it a process still takes memory that it keeps


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the processes had used at one moment.

    at: monotonic seconds. frames: verdicts told so far. cpu: seconds of CPU by process. stages: seconds by stage, of
    all workers together.
    """

    at: float
    frames: int
    cpu: Mapping[str, float]
    stages: Mapping[str, float]


@dataclass(slots=True)
class Seen:
    """What was seen of one phase. latencies: ms from capture to the verdict's arrival. rss: frames and MB at times."""

    start: Snapshot
    end: Snapshot
    latencies: Sequence[float]
    rss: list[tuple[int, float]] = field(default_factory=list)


def rate(seen: Seen) -> float:
    """Verdicts per second."""
    return (seen.end.frames - seen.start.frames) / (seen.end.at - seen.start.at)


def percentiles(latencies: Sequence[float]) -> dict[str, float | None]:
    """p50, p95, p99 and the highest, in ms; None where nothing was measured."""
    if not latencies:
        return dict.fromkeys(("p50", "p95", "p99", "most"))
    p50, p95, p99, most = (float(value) for value in np.percentile(latencies, (50, 95, 99, 100)))
    return {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1), "most": round(most, 1)}


def stage_share(seen: Seen, workers: int) -> dict[str, float]:
    """How much of the time a worker spends in each stage; they run side by side, so together it can be more than 1."""
    span = (seen.end.at - seen.start.at) * workers
    spent = {name: seen.end.stages.get(name, 0.0) - seen.start.stages.get(name, 0.0) for name in STAGES}
    return {name: round(seconds / span, 4) for name, seconds in spent.items()}


def cpu_ms_per_frame(seen: Seen) -> dict[str, float]:
    """CPU time that each process spent on a frame, and all of them together."""
    frames = seen.end.frames - seen.start.frames
    spent = {name: (seen.end.cpu[name] - seen.start.cpu.get(name, 0.0)) * 1000 / frames for name in seen.end.cpu}
    return {name: round(ms, 3) for name, ms in {**spent, "all": sum(spent.values())}.items()}


def rss_slope(rss: Sequence[tuple[int, float]]) -> float:
    """MB that a process grows by in 1000 frames, by the median of the slopes between points (Theil and Sen).

    Points before a quarter of the run are left out. 0 where there are fewer than three.
    """
    settled = [point for point in rss if point[0] >= rss[-1][0] * SETTLED] if rss else []
    if len(settled) < 3:
        return 0.0
    frames, sizes = (np.array(values, dtype=float) for values in zip(*settled, strict=True))
    one, other = np.triu_indices(len(frames), 1)
    apart = frames[other] - frames[one]
    return round(float(np.median((sizes[other] - sizes[one])[apart > 0] / apart[apart > 0])) * 1000, 3)


def memory(rss: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Resident memory of the largest worker after the warm-up and at the end, and how it grew."""
    if not rss:
        return {"rss_start_mb": 0.0, "rss_end_mb": 0.0, "rss_mb_per_1000_frames": 0.0}
    slope = rss_slope(rss)
    return {"rss_start_mb": round(rss[0][1], 1), "rss_end_mb": round(rss[-1][1], 1), "rss_mb_per_1000_frames": slope}


@dataclass(frozen=True, slots=True)
class Phases:
    """How the frames of a run are shared out: to get warm, at full speed, and paced, for latency."""

    warm: int
    full: int
    paced: int

    @classmethod
    def of(cls, frames: int, *, batch: int, workers: int) -> "Phases":
        """A tenth of the frames warms up, at least two batches for each worker, at most half; a fifth is paced."""
        warm = min(max(frames // 10, 2 * batch * workers), frames // 2)
        paced = (frames - warm) // 5
        return cls(warm, frames - warm - paced, paced)
