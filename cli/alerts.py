"""`flawline alerts`: what needs a person, listed, acknowledged, followed."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cli import parts
from cli.accounts import moment
from cli.console import err, escape, out, write_json
from core.database import Database
from core.errors import StoreUnavailable
from core.records import alerts
from core.records.alerts import Alert
from core.settings import read_settings
from core.stop import Stop

EVERY = 1.0  # s
SILENT_AFTER = timedelta(seconds=30)
_COLOURS = {"red": "bold red", "amber": "yellow", "white": "bold"}


def show_alerts(since: str, json_file: Path | None) -> None:
    """Print the open alerts, or all since a time."""
    now = parts.now()
    with parts.database(read_settings()) as database, database.reading() as connection:
        found = alerts.since(connection, moment(since, now)) if since else alerts.standing(connection)
        looked_at = alerts.marked(connection, alerts.WATCH)
    if json_file:
        looked = looked_at.isoformat() if looked_at else None
        write_json({"looked_at": looked, "alerts": [values_of(alert) for alert in found]}, json_file)
        return
    for alert in found:
        _print(alert)
    if looked_at is None or now - looked_at > SILENT_AFTER:
        when = f"since {looked_at:%Y-%m-%d %H:%M:%S} UTC" if looked_at else "yet"
        err.print(f"[bold red]nobody watches[/] {when}: `flawline up` or `flawline worker watch` does", soft_wrap=True)
    elif not found:
        out.print("nothing needs a person")


def acknowledge(number: int, who: str, note: str) -> None:
    """Acknowledge an alert. Raises NotAllowed."""
    settings = read_settings()
    with parts.database(settings) as database, database.writing() as connection:
        alert = alerts.acknowledge(
            connection, number, who=who or settings.dashboard.reviewer, note=note, now=parts.now()
        )
    out.print(f"alert {alert.id} is acknowledged by {escape(str(alert.acknowledged_by))}: {escape(alert.what)}")


def follow(*, json_lines: bool) -> None:
    """Print what changes until asked to stop; a database that is away is waited for."""
    settings, stop = parts.begin()
    with parts.database(settings) as database:
        for change, alert in changes(database, stop):
            if json_lines:
                out.file.write(json.dumps({"change": change} | values_of(alert)) + "\n")
                out.file.flush()
            elif change == "closed":
                out.print(f"[dim]closed {alert.id:>5}  {alert.kind}  {escape(alert.what)}[/]", soft_wrap=True)
            else:
                _print(alert)


def changes(database: Database, stop: Stop, *, every: float = EVERY) -> Iterator[tuple[str, Alert]]:
    """What is raised, acknowledged and closed from now on, after what is open now."""
    known: dict[int, Alert] = {}
    while not stop.asked:
        try:
            with database.reading() as connection:
                found = {alert.id: alert for alert in alerts.standing(connection)}
                gone = alerts.of(connection, known.keys() - found.keys())
        except StoreUnavailable as problem:
            err.print(f"waiting: {escape(str(problem))}", soft_wrap=True)
            time.sleep(every)
            continue
        yield from (("closed", alert) for alert in gone)
        for number, alert in found.items():
            if number not in known:
                yield "raised", alert
            elif alert.acknowledged_at != known[number].acknowledged_at:
                yield ("acknowledged" if alert.acknowledged_at else "louder"), alert
        known = found
        time.sleep(every)


def values_of(alert: Alert) -> dict[str, Any]:
    """As JSON takes it."""
    return {name: v.isoformat() if isinstance(v, datetime) else v for name, v in asdict(alert).items()}


def _print(alert: Alert) -> None:
    state = "closed" if alert.closed_at else f"seen by {alert.acknowledged_by}" if alert.acknowledged_at else "open"
    head = f"{alert.id:>5}  [{_COLOURS[alert.severity]}]{alert.severity:<6}[/] {escape(alert.what)}"
    out.print(f"{head}   [dim]{alert.kind} · {escape(alert.owner)} · {escape(state)}[/]", soft_wrap=True)
    out.print(f"       {escape(alert.why)}", soft_wrap=True)
    out.print(f"       {escape(alert.action)}", soft_wrap=True)
