"""`flawline books`: part accounting by session, camera and minute, as tables or as JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from sqlalchemy import Connection

from cli import parts
from cli.console import escape, out, write_json
from core.errors import SettingsInvalid
from core.records import books as accounts
from core.records import watching
from core.records.books import Books, SessionBook
from core.records.minutes import MINUTE, CameraBook, MinuteBook, by_camera, minutes, settled_until
from core.settings import read_settings
from core.verdicts import MachineVerdict, PhysicalRoute

SHIFT = timedelta(hours=8)  # what the accounts by camera look at where no other time is named
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NONE = "–"


def moment(text: str, now: datetime) -> datetime:
    """A time as people write it: 90s, 30m, 2h, 1d ago, or 2026-11-24T06:00 (UTC unless it says otherwise)."""
    if found := re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smhd])", text.strip()):
        return now - timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SettingsInvalid(f"{text!r} is no time; write 2h, 30m, 1d or 2026-11-24T06:00") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def show_books(since: str, cameras: Sequence[str], json_file: Path | None, *, by_minute: bool) -> int:
    """Print the books; 0 when they balance, 1 when something is lost, counted twice or went nobody knows where."""
    now = parts.now()
    start = moment(since, now) if since else None
    with parts.database(read_settings()) as database, database.reading() as connection:
        whole = accounts.books(connection, now=now, since=start, cameras=cameras)
        found = _minutes(connection, start or now - SHIFT, now, cameras)
        deadlines = {camera.name: camera.deadline_ms for camera in watching.in_line(connection)}
    sums = by_camera(found, now=now, deadlines=deadlines)
    settled = {book.minute: book.minute <= settled_until(now, deadlines.get(book.camera, 0)) for book in found}
    if json_file:
        write_json(_values(whole, sums, found if by_minute else None), json_file)
    else:
        out.print(_sessions(whole))
        out.print()
        out.print(_minute_table(found, settled) if by_minute else _cameras(sums))
        out.print(_sentence(whole, sums))
    return 1 if _wrong(whole, sums) else 0


def _minutes(connection: Connection, start: datetime, now: datetime, cameras: Sequence[str]) -> list[MinuteBook]:
    return minutes(connection, since=start, until=now + MINUTE, cameras=cameras)


def _wrong(whole: Books, sums: Sequence[CameraBook]) -> bool:
    return bool(whole.lost or whole.duplicates or any(book.residual or book.unrouted for book in sums))


def _values(whole: Books, sums: Sequence[CameraBook], found: Sequence[MinuteBook] | None) -> dict[str, object]:
    rows = [asdict(book) | {"rows": book.rows, "expected": book.expected, "lost": book.lost} for book in whole.sessions]
    for row in rows:
        row["reported_at"] = str(row["reported_at"]) if row["reported_at"] else None
    totals = {"expected": whole.expected, "rows": whole.rows, "lost": whole.lost, "duplicates": whole.duplicates}
    totals |= {"residual": sum(book.residual for book in sums), "rejected": whole.rejected, "settled": whole.settled}
    cameras = [{name: value for name, value in asdict(book).items() if name != "minutes"} for book in sums]
    values: dict[str, object] = {**totals, "cameras": cameras, "sessions": rows}
    if found is not None:
        more = [asdict(book) | {"minute": book.minute.isoformat(), "residual": book.residual} for book in found]
        values["minutes"] = more
    return values


def _table(*left: str, right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    return table


_VERDICTS = [verdict.replace("_", " ").lower() for verdict in MachineVerdict]


def _sessions(whole: Books) -> Table:
    table = _table("camera", "session", "state", right=["triggered", "captured", "judged", *_VERDICTS, "lost"])
    for book in whole.sessions:
        table.add_row(*_session(book))
        if book.gaps:
            ranges = ", ".join(str(g.first) if g.first == g.last else f"{g.first}-{g.last}" for g in book.gaps)
            table.add_row("", "", f"[red]missing: {ranges}[/]")
    return table


def _session(book: SessionBook) -> list[str]:
    counts = [book.triggered, book.captured, book.rows, *book.verdicts.values(), book.lost]
    state = (book.state or "no report") + ("" if book.settled else ", not settled")
    return [escape(book.camera), str(book.session), state, *map(_number, counts)]


_COUNTS = ["triggered", "captured", *_VERDICTS, "late"]


def _cameras(sums: Sequence[CameraBook]) -> Table:
    routes = _routes(book.routes for book in sums)
    table = _table("camera", right=[*_COUNTS, *routes, "unrouted", "under way", "residual"])
    for book in sums:
        counts = [book.triggered, book.captured, *book.verdicts.values(), book.late]
        gone = [book.routes.get(route, 0) if book.unrouted is not None else None for route in routes]
        table.add_row(
            escape(book.camera), *map(_number, [*counts, *gone, book.unrouted, book.under_way]), _red(book.residual)
        )
    return table


def _minute_table(found: Sequence[MinuteBook], settled: Mapping[datetime, bool]) -> Table:
    routes = _routes(book.routes for book in found)
    table = _table("minute", "camera", right=[*_COUNTS, *routes, "residual"])
    for book in found:
        counts = [book.triggered, book.captured, *book.verdicts.values(), book.late]
        gone = [book.routes.get(route) for route in routes]
        residual = _red(book.residual) if settled[book.minute] else f"({book.residual})"
        table.add_row(f"{book.minute:%Y-%m-%d %H:%M}", escape(book.camera), *map(_number, [*counts, *gone]), residual)
    return table


def _routes(of: Any) -> list[str]:
    """The routes that any part took, in the order of their names in the domain."""
    taken = {route for routes in of for route in routes}
    return [str(route) for route in PhysicalRoute if route in taken]


def _number(count: int | None) -> str:
    return _NONE if count is None else str(count)


def _red(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def _sentence(whole: Books, sums: Sequence[CameraBook]) -> str:
    residual, unrouted = sum(book.residual for book in sums), sum(book.unrouted or 0 for book in sums)
    if _wrong(whole, sums):
        said = [f"{max(whole.lost, residual)} lost", f"{whole.duplicates} counted twice"]
        said += [f"{unrouted} without a route"] if unrouted else []
        return f"[bold red]the books do not balance[/]: {', '.join(said)}"
    waiting = "" if whole.settled else f"; {whole.residual} under way"
    refused = f"; {whole.rejected} messages without identity" if whole.rejected else ""
    return f"the books balance: {whole.rows} frames judged, 0 lost, 0 counted twice{waiting}{refused}"
