"""The figures that a quality engineer signs: proportions with their intervals, and the metrics of domain.md §7.1. Pure.

A proportion never stands alone: it shows numerator, denominator and an interval, and an unknown one is None, never 0
(INV-13).
"""

import math
from dataclasses import dataclass

Z_95 = 1.959964  # two-sided 95 % of the normal distribution (domain.md §7.2)
CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Share:
    """A proportion: `numerator` of `denominator`; value and 95 % Wilson interval are None where nothing was counted."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 0 <= self.numerator <= self.denominator:
            raise ValueError(f"{self.numerator} of {self.denominator} is no proportion")

    @property
    def value(self) -> float | None:
        """Between 0 and 1."""
        return self.numerator / self.denominator if self.denominator else None

    @property
    def interval(self) -> Interval | None:
        """Wilson 95 %."""
        return wilson(self.numerator, self.denominator) if self.denominator else None

    @property
    def complement(self) -> "Share":
        """The others of the same whole."""
        return Share(self.denominator - self.numerator, self.denominator)


def wilson(events: int, n: int, *, z: float = Z_95) -> Interval:
    """Wilson's interval for `events` of `n`. Raises ValueError for n = 0. Source: domain.md §7.2."""
    _check(events, n)
    share, z2 = events / n, z * z
    middle = share + z2 / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (middle - reach) / (1 + z2 / n), (middle + reach) / (1 + z2 / n)
    return (0.0 if events == 0 else low), (1.0 if events == n else high)  # exact there; the formula only nearly


def clopper_pearson(events: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The exact two-sided interval, [0, …] at 0 events and […, 1] at n. Source: domain.md §7.2."""
    _check(events, n)
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else _beta_quantile(tail, events, n - events + 1)
    high = 1.0 if events == n else _beta_quantile(1 - tail, events + 1, n - events)
    return low, high


def upper_bound(events: int, n: int, *, confidence: float = CONFIDENCE) -> float:
    """The exact one-sided upper bound: what `events` of `n` prove to be not exceeded. Source: domain.md §7.2."""
    _check(events, n)
    if events == n:
        return 1.0
    if events == 0:
        return float(1 - (1 - confidence) ** (1 / n))
    return _beta_quantile(confidence, events + 1, n - events)


def zero_failures_needed(rate: float, *, confidence: float = CONFIDENCE) -> int:
    """How many parts without any event prove that the rate is at most `rate`. Source: domain.md §7.7."""
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; it must lie between 0 and 1")
    n = math.ceil(math.log(1 - confidence) / math.log1p(-rate))
    return n if upper_bound(0, n, confidence=confidence) <= rate else n + 1  # where rounding was against us


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Parts by machine verdict, of PRODUCTION and their first attempt alone (INV-6); `late` are among them."""

    n_pass: int = 0
    n_fail: int = 0
    n_review: int = 0
    n_invalid: int = 0
    n_no_verdict: int = 0
    late: int = 0

    @property
    def triggered(self) -> int:
        """All parts: every trigger ends in exactly one verdict."""
        return self.n_pass + self.n_fail + self.n_review + self.n_invalid + self.n_no_verdict

    @property
    def machine_reject(self) -> Share:
        """All that the machine did not pass; always show the four parts beside it."""
        return self._of(self.triggered - self.n_pass)

    @property
    def fail(self) -> Share:
        """Share of FAIL."""
        return self._of(self.n_fail)

    @property
    def review(self) -> Share:
        """Share of REVIEW."""
        return self._of(self.n_review)

    @property
    def invalid(self) -> Share:
        """Share of INVALID: a fault of the system, never a product defect (INV-14)."""
        return self._of(self.n_invalid)

    @property
    def no_verdict(self) -> Share:
        """Share of NO_VERDICT: a fault of the system, never a product defect (INV-14)."""
        return self._of(self.n_no_verdict)

    @property
    def first_pass_raw(self) -> Share:
        """FPY_raw: passed at the first attempt; charges the line with our own false rejects."""
        return self._of(self.n_pass)

    @property
    def judged_in_time(self) -> Share:
        """Parts with a verdict before their deadline."""
        return self._of(self.triggered - self.late)

    def _of(self, n: int) -> Share:
        return Share(n, self.triggered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What people found in those parts: DEFECT and FALSE_REJECT among the FAIL and REVIEW ones, and known escapes."""

    counts: Counts
    defects: int = 0
    false_rejects: int = 0
    escapes: int = 0

    @property
    def review_coverage(self) -> Share:
        """How many of the machine's FAIL and REVIEW parts somebody decided; the other figures hang on it."""
        return Share(self.defects + self.false_rejects, self.counts.n_fail + self.counts.n_review)

    @property
    def confirmed_rejects(self) -> Share:
        """Reject confirmation rate: decided rejects that were defects."""
        return Share(self.defects, self.defects + self.false_rejects)

    @property
    def false_discovery(self) -> Share:
        """Decided rejects that were good parts; of all rejects (denominator B)."""
        return self.confirmed_rejects.complement

    @property
    def first_pass_confirmed(self) -> Share:
        """FPY_confirmed: parts that are not known to be defective at the first attempt."""
        return self.defective.complement

    @property
    def defective(self) -> Share:
        """Confirmed defective parts, known escapes among them; `ppm` is a million times its value."""
        return Share(self.defects + self.escapes, self.counts.triggered)

    @property
    def overkill(self) -> Share:
        """False-reject rate: good parts that FAIL or REVIEW held back, of all good parts (denominator A).

        What the system could not judge, INVALID and NO_VERDICT, is reported apart; so it is in neither number.
        """
        good = self.counts.n_pass - self.escapes + self.false_rejects
        return Share(self.false_rejects, good)


def ppm(share: Share) -> float | None:
    """A share as parts per million; None where nothing was counted."""
    return None if share.value is None else share.value * 1e6


def _check(events: int, n: int) -> None:
    if n <= 0 or not 0 <= events <= n:
        raise ValueError(f"{events} of {n} has no interval")


def _beta_quantile(p: float, a: float, b: float) -> float:
    """x with I_x(a, b) = p, by bisection to the last bit: 1100 halvings at most, about 60 in practice."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in {low, high}:
            return middle
        if _beta_share(middle, a, b) < p:
            low = middle
        else:
            high = middle


def _beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for 0 < x < 1."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below
        return 1 - _beta_share(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b), from the front (Lentz). Source: DLMF 8.17.22."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, 100_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        c, d = 1 + term / c, 1 / (1 + term * d)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            return value
    raise ValueError(f"the incomplete beta function of {x}, {a}, {b} does not converge")
