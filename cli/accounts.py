"""`flawline books`: the accounts of every camera session, as a table or as JSON."""

from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from cli import parts
from cli.console import out, write_json
from core.records import books as accounts
from core.records.books import Books, SessionBook
from core.settings import read_settings
from core.verdicts import MachineVerdict


def show_books(json_file: Path | None) -> int:
    """Print the books; 0 when they balance, 1 when something is lost or counted twice."""
    with parts.database(read_settings()) as database, database.reading() as connection:
        books = accounts.books(connection, now=parts.now())
    if json_file:
        write_json(_values(books), json_file)
    else:
        out.print(_table(books))
        out.print(_sentence(books))
    return 1 if books.lost or books.duplicates else 0


def _values(books: Books) -> dict[str, object]:
    rows = [asdict(book) | {"rows": book.rows, "expected": book.expected, "lost": book.lost} for book in books.sessions]
    for row in rows:
        row["reported_at"] = str(row["reported_at"]) if row["reported_at"] else None
    totals = {"expected": books.expected, "rows": books.rows, "lost": books.lost, "duplicates": books.duplicates}
    return totals | {"rejected": books.rejected, "settled": books.settled, "sessions": rows}


def _table(books: Books) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("camera", "session", "state"):
        table.add_column(name)
    for name in (
        "triggered",
        "captured",
        "judged",
        *(verdict.replace("_", " ").lower() for verdict in MachineVerdict),
        "lost",
    ):
        table.add_column(name, justify="right")
    for book in books.sessions:
        table.add_row(*_cells(book))
    return table


def _cells(book: SessionBook) -> list[str]:
    counts = [book.triggered, book.captured, book.rows, *book.verdicts.values(), book.lost]
    state = (book.state or "no report") + ("" if book.settled else ", not settled")
    return [book.camera, str(book.session), state, *("–" if count is None else str(count) for count in counts)]


def _sentence(books: Books) -> str:
    if books.lost or books.duplicates:
        return f"[bold red]the books do not balance[/]: {books.lost} lost, {books.duplicates} counted twice"
    waiting = "" if books.settled else f"; {books.residual} under way"
    return f"the books balance: {books.rows} frames judged, 0 lost, 0 counted twice{waiting}"
