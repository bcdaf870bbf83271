"""What needs a person on the line, as sentences, loudest first. Pure: no I/O, no clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from dashboard import figures, words
from dashboard.drawing.counters import Account
from dashboard.drawing.lists import Alert
from dashboard.queries.waiting import Waiting
from dashboard.states import Standing, State

MOST = 4
_TOGETHER = 2  # more cameras than this that are out are told as one


def camera_alerts(standings: Iterable[tuple[str, Standing]]) -> list[Alert]:
    """One for each camera that does not inspect or inspects badly, the loudest first; many that are out are one."""
    named = list(standings)
    out = [(name, standing) for name, standing in named if standing.state is State.NOT_INSPECTING]
    poor = [_camera(name, standing) for name, standing in named if standing.state is State.DEGRADED]
    return ([_many(out)] if len(out) > _TOGETHER else [_camera(*one) for one in out]) + poor


def _many(out: Sequence[tuple[str, Standing]]) -> Alert:
    first = out[0][1]
    longest = max((standing.silent_for for _, standing in out if standing.silent_for is not None), default=None)
    what = words.CAMERAS_DEAD.format(count=len(out), names=", ".join(name for name, _ in out))
    return Alert("system", what, " ".join(part for part in (f"{first.why}.", first.parts, first.do) if part), longest)


def _camera(name: str, standing: Standing) -> Alert:
    means = " ".join(part for part in (f"{standing.why}.", standing.parts, standing.do) if part)
    what = f"{name} does not inspect" if standing.state is State.NOT_INSPECTING else f"{name} inspects badly"
    return Alert("system", what, means, standing.silent_for)


def book_alerts(account: Account, rejected: int) -> list[Alert]:
    """Parts that nothing accounts for, and messages that name no part."""
    found = []
    if account.unaccounted:
        what = words.UNBALANCED.format(count=figures.count(account.unaccounted))
        found.append(Alert("system", what, words.UNBALANCED_DO))
    if rejected:
        what = words.REJECTED_FRAMES.format(count=figures.count(rejected))
        found.append(Alert("system", what, words.REJECTED_FRAMES_DO))
    return found


def model_alerts(products: Iterable[str], active: Iterable[str]) -> list[Alert]:
    """Products on the line that no model judges."""
    return [
        Alert("system", words.NO_MODEL.format(product=product), words.NO_MODEL_DO.format(product=product))
        for product in sorted(set(products) - set(active))
    ]


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
    """The first few over all groups, in their order."""
    return [alert for group in groups for alert in group][:MOST]
