"""What `flawline audit` does: read the audit log and print it."""

from dataclasses import asdict
from pathlib import Path

from cli import parts
from cli.accounts import moment
from cli.console import escape, out, write_json
from core.records import audit
from core.records.audit import Change
from core.settings import read_settings


def show_audit(since: str, about: str, most: int, json_file: Path | None) -> None:
    """Print the newest entries, or write them as JSON."""
    now = parts.now()
    with parts.database(read_settings()) as database, database.reading() as connection:
        found = audit.since(connection, moment(since, now) if since else None, about=about, most=most)
    if json_file:
        write_json({"entries": [asdict(change) | {"at": change.at.isoformat()} for change in found]}, json_file)
        return
    for change in found:
        _print(change)
    if not found:
        out.print("no entry in the audit log")


def _print(change: Change) -> None:
    new = change.new or {}
    said = [f"{name} {new[name]}" for name in ("until", "control", "refused") if new.get(name)]
    words = "; ".join(filter(None, [change.reason, *said]))
    line = f"{change.at:%Y-%m-%d %H:%M:%S} UTC  {change.action}  {change.subject}  by {change.who}"
    out.print(escape(f"{line}: {words}" if words else line), highlight=False, soft_wrap=True)
