"""Which shift it is, in the plant's own time. Pure: the clock is handed in."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

SHIFTS = (("Early", time(6)), ("Late", time(14)), ("Night", time(22)))


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift by its name and its start, an aware time."""

    name: str
    start: datetime


def shift_at(now: datetime) -> Shift:
    """The shift that `now` lies in; before the first one of a day, the last one of the day before."""
    here = now.astimezone()
    for name, begins in reversed(SHIFTS):
        start = here.replace(hour=begins.hour, minute=begins.minute, second=0, microsecond=0)
        if here >= start:
            return Shift(name, start)
    name, begins = SHIFTS[-1]
    start = here.replace(hour=begins.hour, minute=begins.minute, second=0, microsecond=0) - timedelta(days=1)
    return Shift(name, start)


def day_start(now: datetime) -> datetime:
    """Midnight before `now`, in the plant's own time."""
    return now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
