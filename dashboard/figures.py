"""Numbers as people read them: thin spaces in thousands, the denominator beside a rate, – for unknown."""

import math
from datetime import datetime, timedelta

from core.statistics import Share

THIN = "\u2009"
UNKNOWN = "–"


def count(number: int | None) -> str:
    """18204 → 18 204."""
    return UNKNOWN if number is None else f"{number:,}".replace(",", THIN)


def percent(part: float | None, *, digits: int | None = None) -> str:
    """0.00666 → 0.67 %; never rounds a part below the whole up to 100 %, nor one above nothing down to 0 %."""
    if part is None or not math.isfinite(part):
        return UNKNOWN
    places = _places(part) if digits is None else digits
    return f"{part * 100:.{places}f}{THIN}%"


def _places(part: float) -> int:
    distance = min(part, 1 - part) * 100
    if distance == 0:
        return 0
    return 2 if distance < 1 else 1


def between(share: Share) -> str:
    """The interval and the denominator: 0.55 to 0.79 % · of 18 176."""
    if share.interval is None:
        return "nothing counted yet"
    low, high = share.interval
    places = 2 if high < 0.1 else 1
    return f"{low * 100:.{places}f} to {high * 100:.{places}f}{THIN}% · of {count(share.denominator)}"


def score(number: float | None) -> str:
    """A score or a limit with four significant digits (OP-23)."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    if number != 0 and not 1e-3 <= abs(number) < 1e6:
        return f"{number:.3e}"
    digits = 4 if number == 0 else max(0, 3 - math.floor(math.log10(abs(number))))
    return f"{number:.{min(digits, 4)}f}"


def short_score(number: float | None) -> str:
    """A score where there is little room."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    return f"{number:.2f}" if number == 0 or 0.01 <= abs(number) < 1000 else f"{number:.1e}"


def area(pixels: float, mm2: float | None) -> str:
    """3.4 mm² (1 204 px); in pixels alone where the scale is not known."""
    plain = f"{count(round(pixels))}{THIN}px"
    return plain if mm2 is None else f"{_measure(mm2)}{THIN}mm² ({plain})"


def _measure(number: float) -> str:
    """About two significant digits: 0.0042, 3.4, 18, 1 204."""
    if not 0 < number < 10:
        return count(round(number))
    if number < 1e-4:
        return f"{number:.1e}"
    return f"{number:.{max(1, 1 - math.floor(math.log10(number)))}f}"


def age(seconds: float) -> str:
    """How long ago: 0.3 s, 42 s, 3:05, 2 h 14."""
    if seconds < 0:
        return f"0.0{THIN}s"
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    if seconds < 59.5:
        return f"{seconds:.0f}{THIN}s"
    return clock(seconds)


def clock(seconds: float) -> str:
    """A duration on a steady width: 0:41, 12:05, 2 h 14, 3 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}{THIN}h{THIN}{whole % 3600 // 60:02d}"
    return f"{whole // 86400}{THIN}d{THIN}{whole % 86400 // 3600}{THIN}h"


def milliseconds(number: float | None) -> str:
    """118 ms, 2.2 s."""
    if number is None:
        return UNKNOWN
    return f"{number:.0f}{THIN}ms" if number < 9_950 else f"{number / 1000:.0f}{THIN}s"


def time_of_day(moment: datetime, *, seconds: bool = False) -> str:
    """In the plant's own time: 13:41."""
    return moment.astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def day_and_time(moment: datetime, now: datetime) -> str:
    """13:41 today, 23 Nov 13:41 before."""
    here = moment.astimezone()
    if here.date() == now.astimezone().date():
        return here.strftime("%H:%M")
    return here.strftime("%-d %b %H:%M")


def since(moment: datetime, now: datetime) -> float:
    """Seconds from `moment` to `now`."""
    return (now - moment) / timedelta(seconds=1)
