"""`flawline books`: part accounting by session, camera and minute, as tables or as JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from cli import parts
from cli.columns import Columns
from cli.console import out, write_json
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
    if json_file:
        write_json(_values(whole, sums, found if by_minute else None), json_file)
    else:
        _sessions(whole).print()
        out.print()
        settled = {book.camera: settled_until(now, deadlines.get(book.camera, 0)) for book in sums}
        (_by_minute(found, settled) if by_minute else _cameras(sums)).print()
        out.print()
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


_VERDICTS = [verdict.replace("_", " ").lower() for verdict in MachineVerdict]


def _sessions(whole: Books) -> Columns:
    table = Columns("camera", "session", "state", right=["triggered", "captured", "judged", *_VERDICTS, "lost"])
    for book in whole.sessions:
        table.add(*_session(book), style="bold red" if book.lost else "")
        if book.gaps:
            ranges = (str(gap.first) if gap.frames == 1 else f"{gap.first}-{gap.last}" for gap in book.gaps)
            table.add(f"    missing: {', '.join(ranges)}", style="red")
    return table


def _session(book: SessionBook) -> list[str]:
    counts = [book.triggered, book.captured, book.rows, *book.verdicts.values(), book.lost]
    state = (book.state or "no report") + ("" if book.settled else ", not settled")
    return [book.camera, str(book.session), state, *map(_number, counts)]


_COUNTS = ["triggered", "captured", *_VERDICTS, "late"]


def _cameras(sums: Sequence[CameraBook]) -> Columns:
    routes = _routes(book.routes for book in sums)
    table = Columns("camera", right=[*_COUNTS, *_words(routes), "unrouted", "under way", "residual"])
    for book in sums:
        counts = [book.triggered, book.captured, *book.verdicts.values(), book.late]
        gone = [book.routes.get(route, 0) if book.unrouted is not None else None for route in routes]
        numbers = [*counts, *gone, book.unrouted, book.under_way, book.residual]
        table.add(book.camera, *map(_number, numbers), style="bold red" if book.residual or book.unrouted else "")
    return table


def _by_minute(found: Sequence[MinuteBook], settled: Mapping[str, datetime]) -> Columns:
    routes = _routes(book.routes for book in found)
    table = Columns("minute", "camera", right=[*_COUNTS, *_words(routes), "residual"])
    for book in found:
        counts = [book.triggered, book.captured, *book.verdicts.values(), book.late]
        over = book.minute <= settled[book.camera]
        cells = map(_number, [*counts, *(book.routes.get(route) for route in routes)])
        residual = str(book.residual) if over else f"({book.residual})"
        style = "bold red" if over and book.residual else ""
        table.add(f"{book.minute:%Y-%m-%d %H:%M}", book.camera, *cells, residual, style=style)
    return table


def _words(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ").lower() for name in names]


def _routes(of: Any) -> list[str]:
    """The routes that any part took, in the order of their names in the domain."""
    taken = {route for routes in of for route in routes}
    return [str(route) for route in PhysicalRoute if route in taken]


def _number(count: int | None) -> str:
    return _NONE if count is None else str(count)


def _sentence(whole: Books, sums: Sequence[CameraBook]) -> str:
    residual, unrouted = sum(book.residual for book in sums), sum(book.unrouted or 0 for book in sums)
    if _wrong(whole, sums):
        said = [f"{max(whole.lost, residual)} lost", f"{whole.duplicates} counted twice"]
        said += [f"{unrouted} without a route"] if unrouted else []
        return f"[bold red]the books do not balance[/]: {', '.join(said)}"
    waiting = f"; {whole.residual} under way" if whole.residual else ""
    refused = f"; {whole.rejected} messages without identity" if whole.rejected else ""
    return f"the books balance: {whole.rows} frames judged, 0 lost, 0 counted twice{waiting}{refused}"
