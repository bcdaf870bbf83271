"""What needs a person on the line, as sentences, loudest first: the open alerts. Pure: no I/O, no clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from core.alarms import Severity
from core.records import alerts as records
from dashboard import figures, words
from dashboard.drawing.lists import Alert
from dashboard.queries.waiting import Waiting

MOST = 4
SILENT_AFTER = timedelta(seconds=30)  # the watch looks every three
_TOGETHER = 2  # more open alerts of one kind than this are told as one
_TONES = {Severity.RED: "system", Severity.AMBER: "review", Severity.WHITE: "due"}


def standing(found: Iterable[records.Alert], now: datetime) -> list[Alert]:
    """The open alerts, the loudest first; many of one kind are one."""
    groups: dict[tuple[str, str], list[records.Alert]] = {}
    for alert in found:
        groups.setdefault((alert.kind, alert.severity), []).append(alert)
    return [told for group in groups.values() for told in _group(group, now)]


def watch_alert(looked_at: datetime | None, now: datetime) -> list[Alert]:
    """Where nobody keeps the alerts, none of them can be trusted to be all."""
    if looked_at is not None and now - looked_at <= SILENT_AFTER:
        return []
    age = None if looked_at is None else figures.since(looked_at, now)
    return [Alert("system", words.NOBODY_WATCHES, words.NOBODY_WATCHES_DO, age)]


def review_alert(waiting: Waiting, now: datetime) -> list[Alert]:
    """Parts that wait for a person's decision."""
    if not waiting.to_review or waiting.oldest is None:
        return []
    age = figures.since(waiting.oldest, now)
    many = words.WAIT_FOR_REVIEW.format(count=figures.count(waiting.to_review))
    what = words.ONE_WAITS if waiting.to_review == 1 else many
    means = words.OLDEST_WAITS.format(age=figures.day_and_time(waiting.oldest, now))
    return [Alert("review", what, means, age)]


def loudest(*groups: Sequence[Alert]) -> list[Alert]:
    """The first few over all groups, in their order; how many more there are is told, never hidden."""
    every = [alert for group in groups for alert in group]
    if len(every) <= MOST:
        return every
    more = len(every) - MOST + 1
    return [*every[: MOST - 1], Alert("due", words.MORE_ALERTS.format(count=more), words.MORE_ALERTS_DO)]


def _group(group: Sequence[records.Alert], now: datetime) -> list[Alert]:
    if len(group) <= _TOGETHER:
        return [_one(alert, now) for alert in group]
    first = group[0]
    names = ", ".join(alert.subject for alert in group if alert.subject)
    what = words.ALIKE.format(count=len(group), what=first.what, names=names)
    oldest = min(alert.raised_at for alert in group)
    means = f"{first.why} {first.action}"
    return [Alert(_tone(first), what, means, figures.since(oldest, now), _code(*group), _unseen(group))]


def _one(alert: records.Alert, now: datetime) -> Alert:
    means = f"{alert.why} {alert.action}"
    seconds = figures.since(alert.raised_at, now)
    return Alert(_tone(alert), alert.what, means, seconds, _code(alert), _unseen([alert]))


def _unseen(group: Iterable[records.Alert]) -> tuple[int, ...]:
    return tuple(alert.id for alert in group if alert.acknowledged_by is None)


def _code(*group: records.Alert) -> str:
    """Kind, owner, and who has seen which of them."""
    seen = dict.fromkeys(_seen(alert) for alert in group if alert.acknowledged_by is not None)
    return " · ".join([group[0].kind, group[0].owner, *seen])


def _seen(alert: records.Alert) -> str:
    said = words.SEEN_AND_SAID if alert.note else words.SEEN_BY
    return said.format(who=alert.acknowledged_by, note=alert.note)


def _tone(alert: records.Alert) -> str:
    return _TONES.get(Severity(alert.severity), "system")
