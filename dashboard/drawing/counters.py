"""The row of figures on the Line page: each with its unit and its denominator or interval beside it."""

from dataclasses import dataclass
from datetime import datetime

from core.statistics import Share
from dashboard import figures, words
from dashboard.markup import Child, Html, div, join, tag
from dashboard.queries.counts import Counts
from dashboard.queries.waiting import Waiting
from dashboard.shifts import day_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Part accounting since the period began; None where it could not be read.

    `triggered` parts and `captured` pictures as the cameras say; what passed without a picture is judged all the same.
    """

    triggered: int | None = None
    captured: int | None = None
    judged: int | None = None
    under_way: int = 0
    unaccounted: int | None = None
    by_camera: tuple[tuple[str, int], ...] = ()  # those of which any are
    missing: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All figures of the row; `allowed_ms` is the tightest deadline of the line, 0 = none."""

    counts: Counts
    last_hour: int
    waiting: Waiting
    account: Account
    p99_ms: float | None
    allowed_ms: int
    period: datetime


def counters(tally: Tally, now: datetime) -> Html:
    """The row."""
    counts = tally.counts
    share = figures.percent(counts.n_pass / counts.n if counts.n else None)
    fails = Share(counts.n_fail, counts.judged)
    late = counts.n - min(counts.n, counts.unjudged)
    in_time = figures.percent(late / counts.n if counts.n else None)
    system = f"{figures.count(counts.n_invalid)} · {figures.count(counts.n_no_verdict)}"
    parts = words.PARTS_DAY if tally.period == day_start(now) else words.PARTS_SHIFT
    return join(
        _card(parts, figures.count(counts.n), _balance(tally)),
        _card(words.PASS, figures.count(counts.n_pass), words.OF_PARTS.format(share=share)),
        _card(words.FAIL, figures.count(counts.n_fail), words.LAST_HOUR.format(count=figures.count(tally.last_hour)),
              tone="fail" if counts.n_fail else ""),
        _card(words.REVIEW_COUNT, figures.count(counts.n_review), _waiting(tally.waiting, now),
              tone="review" if counts.n_review else ""),
        _card(words.SYSTEM, system, words.NOT_DEFECTS,
              tone="system" if counts.n_invalid or counts.n_no_verdict else ""),
        _card(words.FAIL_RATE, figures.percent(fails.value), figures.between(fails)),
        _card(words.IN_TIME, in_time, _latency(tally)),
        _books(tally.account, today=tally.period == day_start(now)),
        _gaps(tally.account),
    )  # fmt: skip


def _card(label: str, value: Child, below: str, *, tone: str = "") -> Html:
    return div("card figure", div("label", label), div(f"value {tone}".strip(), value), div("label", below))


def _books(account: Account, *, today: bool) -> Html:
    """Press it for each camera's account."""
    names = " · ".join(f"{name} {figures.count(count)}" for name, count in account.by_camera)
    tone = "value system" if account.unaccounted else "value"
    shown = (div("label", words.BOOKS), div(tone, figures.count(account.unaccounted)))
    period = "today" if today else "shift"
    return tag(
        "button", *shown, div("label", names or words.UNACCOUNTED), class_="card figure", type="button",
        data_hold=f"/api/books.json?period={period}", title=words.BOOKS_HINT,
    )  # fmt: skip


def _balance(tally: Tally) -> str:
    account = tally.account
    if account.triggered is None or account.captured is None or account.judged is None:
        return figures.UNKNOWN
    # the cameras' newest report may be a moment older than the newest verdict
    if account.judged == account.triggered or (account.judged > account.triggered and not account.unaccounted):
        missed = account.triggered - account.captured
        return words.MISSED.format(count=figures.count(missed)) if missed > 0 else words.BALANCED
    if not account.unaccounted and account.under_way:
        return words.UNDER_WAY.format(count=figures.count(account.under_way))
    return words.NOT_BALANCED.format(triggered=figures.count(account.triggered))


def _waiting(waiting: Waiting, now: datetime) -> str:
    if not waiting.to_review or waiting.oldest is None:
        return words.NONE_WAITING
    age = figures.clock(figures.since(waiting.oldest, now))
    return words.WAITING.format(count=figures.count(waiting.to_review), age=age)


def _latency(tally: Tally) -> str:
    p99 = figures.milliseconds(tally.p99_ms)
    if not tally.allowed_ms:
        return words.P99_ALONE.format(p99=p99)
    return words.P99.format(p99=p99, allowed=figures.count(tally.allowed_ms))


def _gaps(account: Account) -> Html:
    value = f"{figures.count(account.missing)} · {figures.count(account.duplicates)}"
    wrong = bool(account.missing or account.duplicates)
    below = words.SOME_NUMBERS if wrong else words.ALL_NUMBERS
    return _card(words.DUPLICATES, value, below, tone="system" if wrong else "")
