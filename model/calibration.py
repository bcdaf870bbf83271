"""
Limits from good parts alone, by split conformal prediction (rd-e.md, section 9).

n held-out scores s_(1) <= ... <= s_(n) of parts that the networks never saw. A limit at the k-th of them, with
k = n + 1 - floor((n + 1) α), rejects a further good part with a probability of at most α, as long as good parts keep
looking like these. Nothing below 1 / (n + 1) can be proved by n parts, and nothing below it is claimed.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

REVIEW_RATE = 0.01  # of good parts that a person may have to look at
FAIL_RATE = 0.002  # of good parts that may be thrown away unseen
LEAST_SCORES = 1
_ROUNDING = 1e-9  # (n + 1) α is meant to be whole where it nearly is


@dataclass(frozen=True)
class Calibration:
    """Scores of held-out good parts and the limits they prove.

    scores: ascending, one per group of pictures of the same part. pass_limit: PASS up to here. fail_limit: FAIL above;
    None where the scores cannot prove fail_rate, then all above pass_limit is REVIEW. Rates, asked for and proved, are
    shares of good parts. message: what was proved and what more it takes, in plain words.
    """

    scores: tuple[float, ...]
    pass_limit: float
    fail_limit: float | None
    review_rate: float
    fail_rate: float
    proved_review_rate: float
    proved_fail_rate: float | None
    message: str

    def p_value(self, score: float) -> float:
        """The share of good parts that look at least as odd: (1 + #{s_i >= score}) / (n + 1); NaN gives 1 / (n + 1)."""
        at_least = len(self.scores) - int(np.searchsorted(self.scores, score, side="left"))
        return (1 + at_least) / (len(self.scores) + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "scores": list(self.scores),
            "pass_limit": self.pass_limit,
            "fail_limit": self.fail_limit,
            "review_rate": self.review_rate,
            "fail_rate": self.fail_rate,
            "proved_review_rate": self.proved_review_rate,
            "proved_fail_rate": self.proved_fail_rate,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises KeyError or ValueError when something is missing or does not follow."""
        found = cls(
            tuple(float(score) for score in values["scores"]),
            float(values["pass_limit"]),
            None if values["fail_limit"] is None else float(values["fail_limit"]),
            float(values["review_rate"]),
            float(values["fail_rate"]),
            float(values["proved_review_rate"]),
            None if values["proved_fail_rate"] is None else float(values["proved_fail_rate"]),
            str(values["message"]),
        )
        redone = calibrate(found.scores, review_rate=found.review_rate, fail_rate=found.fail_rate)
        if (redone.pass_limit, redone.fail_limit) != (found.pass_limit, found.fail_limit):
            raise ValueError("the limits do not follow from the calibration scores; the file was changed by hand")
        return found


def calibrate(
    scores: Sequence[float], *, review_rate: float = REVIEW_RATE, fail_rate: float = FAIL_RATE
) -> Calibration:
    """Limits from the scores of held-out good parts, one score per group (see one_per_group).

    Raises ValueError for no scores, a score that is no finite number, or rates that are not
    0 < fail_rate <= review_rate < 1.
    """
    if not 0 < fail_rate <= review_rate < 1:
        raise ValueError(f"rates must be 0 < fail <= review < 1, are fail {fail_rate:g} and review {review_rate:g}")
    ordered = tuple(sorted(float(score) for score in scores))
    if len(ordered) < LEAST_SCORES:
        raise ValueError("calibration needs the score of at least one good part that was not trained on")
    if not all(math.isfinite(score) for score in ordered):
        raise ValueError("a calibration score is not a finite number; the model or the runtime is broken")
    floor = least_rate(len(ordered))
    pass_limit = conformal_limit(ordered, review_rate)
    fail_limit = conformal_limit(ordered, fail_rate)
    return Calibration(
        ordered,
        ordered[-1] if pass_limit is None else pass_limit,
        fail_limit,
        review_rate,
        fail_rate,
        floor if pass_limit is None else review_rate,
        None if fail_limit is None else fail_rate,
        _message(len(ordered), review_rate, fail_rate),
    )


def conformal_limit(ordered: Sequence[float], rate: float) -> float | None:
    """The limit that ascending scores prove for a false-reject rate, or None if there are too few of them."""
    count = len(ordered)
    k = count + 1 - math.floor((count + 1) * rate + _ROUNDING)
    return ordered[max(k, 1) - 1] if k <= count else None


def least_rate(count: int) -> float:
    """The lowest false-reject rate that this many good parts can prove."""
    return 1 / (count + 1)


def needed(rate: float) -> int:
    """How many held-out good parts it takes to prove a false-reject rate."""
    return math.ceil(1 / rate - _ROUNDING / rate) - 1


def one_per_group(scores: Sequence[float], groups: Sequence[Hashable]) -> list[float]:
    """One score per group, its largest: pictures of the same part are not independent, and count once."""
    worst: dict[Hashable, float] = {}
    for score, group in zip(scores, groups, strict=True):
        worst[group] = max(score, worst.get(group, -math.inf)) if not math.isnan(score) else math.nan
    return list(worst.values())


def hold_out_count(count: int, fail_rate: float = FAIL_RATE) -> int:
    """How many of `count` good parts to keep from training for calibration.

    Three in ten up to 10 of them; up to 200, one in five; of more, as many as the rate needs, but no more than half, so
    that training never has fewer than 100. Raises ValueError below 2.
    """
    if count < 2:
        raise ValueError("at least 2 good parts are needed: one to learn from and one to calibrate on")
    fifth = max(1, min(10, math.ceil(0.3 * count - _ROUNDING)), round(0.2 * count))
    return fifth if count <= 200 else max(fifth, min(needed(fail_rate), count // 2))


def _message(count: int, review_rate: float, fail_rate: float) -> str:
    """What was asked and what this many parts prove; for a person."""
    floor = least_rate(count)
    parts = f"{count} held-out good part" + ("s" if count != 1 else "")
    more = {rate: needed(rate) - count for rate in (review_rate, fail_rate)}
    if more[review_rate] > 0:
        return (
            f"{parts} can prove a false-reject rate of {floor:.2%}, not the {review_rate:.2%} asked for: what looks "
            f"odder than all of them goes to REVIEW, and nothing fails without a person. For {review_rate:.2%} collect "
            f"{more[review_rate]} more, for FAIL at {fail_rate:.2%} {more[fail_rate]} more."
        )
    if more[fail_rate] > 0:
        return (
            f"{parts} prove that at most {review_rate:.2%} of good parts go to REVIEW. They can prove {floor:.2%} "
            f"at the best, not the {fail_rate:.2%} asked for FAIL, so nothing fails without a person; for that collect "
            f"{more[fail_rate]} more."
        )
    return f"{parts} prove that at most {review_rate:.2%} of good parts go to REVIEW or FAIL, {fail_rate:.2%} to FAIL."
