"""Part accounting, held beside the wall: each camera's sums, the minutes that do not balance, the gaps."""

from collections.abc import Sequence
from datetime import datetime

from core.records.books import Gap, SessionBook
from core.records.minutes import CameraBook, MinuteBook
from core.times import utc_of
from core.verdicts import MachineVerdict, PhysicalRoute
from dashboard import figures, words
from dashboard.accounts import Accounts
from dashboard.drawing.marks import shape
from dashboard.markup import Html, div, join, span, tag

MOST = 8  # minutes and sessions that are listed for one camera
_ROUTES = {
    words.ROUTED_ACCEPTED: (PhysicalRoute.ACCEPTED, PhysicalRoute.ACCEPTED_BYPASS),
    words.ROUTED_REJECTED: (PhysicalRoute.REJECTED, PhysicalRoute.REJECTED_FAILSAFE),
    words.ROUTED_HELD: (PhysicalRoute.HELD,),
    words.ROUTED_UNCONFIRMED: (PhysicalRoute.UNCONFIRMED,),
}


def held_books(accounts: Accounts, cameras: Sequence[str], period: str, now: datetime) -> Html:
    """The accounts of these cameras; period: in words."""
    close = tag("button", span("key", "Esc"), words.LET_GO, class_="chip press", data_release=True, type="button")
    head = div("ends", div("line", tag("b", words.BOOKS), span("muted", period)), close)
    wrong = [drawn for name in cameras if (drawn := _wrong(accounts, name, now))]
    balanced = cameras and not wrong and all(accounts.unaccounted(name) == 0 for name in cameras)
    said = div("muted quiet", words.ALL_ACCOUNTED) if balanced else None
    return join(head, div("scroll", _table(accounts, cameras), said, *wrong))


def _table(accounts: Accounts, cameras: Sequence[str]) -> Html:
    has_gate = any(book.unrouted is not None for book in accounts.cameras.values())
    names = (words.CAMERA, words.TRIGGERED, words.CAPTURED, words.PASS, words.FAIL, words.REVIEW_COUNT, words.INVALID,
             words.NO_VERDICT, words.LATE_ONES, *(_ROUTES if has_gate else ()), words.UNDER_WAY_NOW,
             words.RESIDUAL)  # fmt: skip
    head = tag("tr", *(tag("th", name) for name in names))
    rows = (_row(name, accounts, has_gate=has_gate) for name in cameras)
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="books")


def _row(name: str, accounts: Accounts, *, has_gate: bool) -> Html:
    book, residual = accounts.cameras.get(name), accounts.unaccounted(name)
    counts: list[int | None] = [None] * (3 + len(MachineVerdict))
    if book is not None:
        order = (MachineVerdict.PASS, MachineVerdict.FAIL, MachineVerdict.REVIEW, MachineVerdict.INVALID,
                 MachineVerdict.NO_VERDICT)  # fmt: skip
        counts = [book.triggered, book.captured, *(book.verdicts[verdict] for verdict in order), book.late]
    if has_gate:
        counts += [_routed(book, routes) for routes in _ROUTES.values()]
    counts.append(None if book is None else book.under_way)
    last = tag("td", figures.count(residual), class_="system" if residual else None)
    return tag("tr", tag("td", name), *(tag("td", figures.count(count)) for count in counts), last)


def _routed(book: CameraBook | None, routes: Sequence[PhysicalRoute]) -> int | None:
    if book is None or book.unrouted is None:
        return None
    return sum(book.routes.get(route, 0) for route in routes)


def _wrong(accounts: Accounts, name: str, now: datetime) -> Html | None:
    """Where the parts of a camera that are unaccounted for are missing; None where all are there."""
    book = accounts.cameras.get(name)
    found = [_minute(minute, now) for minute in (book.minutes if book else ()) if minute.residual][-MOST:]
    if book is None or not book.residual:  # what is still under way is no residual yet
        found = []
    found += [_session(session, now) for session in accounts.sessions(name) if session.gaps][:MOST]
    if book is not None and book.unrouted:
        found.append(tag("li", words.NO_ROUTE.format(count=figures.count(book.unrouted))))
    if not found:
        return None
    return div("wrong", div("line", shape("system", 16), tag("b", name)), tag("ul", *found))


def _minute(minute: MinuteBook, now: datetime) -> Html:
    said = words.MINUTE_LACKS.format(
        time=figures.day_and_time(minute.minute, now), count=figures.count(minute.residual),
        of=figures.count(minute.expected),
    )  # fmt: skip
    lost = minute.not_captured
    return tag("li", said + (words.NEVER_CAPTURED.format(count=figures.count(lost)) if lost else ""))


def _session(session: SessionBook, now: datetime) -> Html:
    ranges = ", ".join(map(_range, session.gaps))
    began = figures.day_and_time(utc_of(session.session), now)
    return tag("li", words.GAPS_OF.format(began=began, ranges=ranges))


def _range(gap: Gap) -> str:
    return figures.count(gap.first) if gap.frames == 1 else f"{figures.count(gap.first)}–{figures.count(gap.last)}"
