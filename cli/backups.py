"""Backs a line up and restores it, with the parts that the settings name."""

import tempfile
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from cli import parts
from cli.console import escape, out, write_json
from core import backups
from core.backups import Offsets, Report
from core.contents import VERSIONS
from core.errors import FlawlineError, SettingsInvalid, StoreUnavailable
from core.messages import CAMERAS, FRAMES
from core.records import alerts
from core.records.audit import Change, write
from core.settings import Settings, read_settings

GROUPS = {"inspection": FRAMES, "books": CAMERAS}


def write_backup(target: Path, pictures: str, json_file: Path | None) -> None:
    """Write a backup into a folder or to a file; what it holds goes to the audit log, the screen and the JSON file."""
    settings = read_settings()
    now = parts.now()
    file = target / f"flawline-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar.gz" if target.is_dir() else target
    if not file.parent.is_dir():
        raise SettingsInvalid(f"no folder {file.parent} for the backup; make it first")
    offsets, note = _offsets(settings)
    report = backups.make(
        settings, parts.blobs(settings), file, pictures=backups.Pictures(pictures), offsets=offsets, now=now
    )
    try:
        _note(settings, "backup.make", report)
    except FlawlineError as problem:  # as before an upgrade: the backup is good, only the books do not know of it
        note = f"{note} not noted in the audit log: {problem}".strip()
    _tell(report, json_file, f"backup {file} is written", note)


def read_backup(file: Path, *, into: Path | None, dry_run: bool, over: bool, json_file: Path | None) -> None:
    """Check a backup and, unless it is a dry run, put it back."""
    settings = read_settings()
    if dry_run:
        room = settings.data if settings.data.is_dir() else None  # the system's own folder may be small
        with tempfile.TemporaryDirectory(prefix=".flawline-", dir=room) as scratch:
            report = backups.examine(file, Path(scratch))
        _tell(report, json_file, f"{file} is whole: every member and every row is there; nothing was changed")
        return
    if into is not None:
        settings = _drill(settings, into)
    report = backups.restore(file, settings, parts.blobs(settings), over=over)
    parts.prepare(settings)  # a backup of an earlier version is brought to this one's tables
    _note(settings, "backup.restore", report)
    _tell(report, json_file, f"{file} is restored", "next: `flawline books`, then start the line")


def _drill(settings: Settings, into: Path) -> Settings:
    """Settings of a data folder of its own: nothing of the line that runs is touched."""
    own = Settings.model_construct()
    return settings.model_copy(
        update={"data": into, "line": None, "broker": own.broker, "database": own.database, "blobs": own.blobs}
    )


def _offsets(settings: Settings) -> tuple[Offsets | None, str]:
    """How far each group has read, and a note where the log does not say; a backup does not need it."""
    if not settings.on_kafka and not settings.broker_path.exists():
        return None, ""
    try:
        with parts.broker(settings) as log:
            found: Mapping[str, dict[str, int]] = {
                group: {str(lag.partition.number): lag.committed for lag in log.lag(topic, group=group)}
                for group, topic in GROUPS.items()
            }
    except (StoreUnavailable, ValueError) as problem:
        return None, f"without the positions in the log: {problem}"
    return found, ""


def _note(settings: Settings, action: str, report: Report) -> None:
    """Enter it in the audit log, and that the duty of a backup is done: the books' alerts count from then."""
    size = {"rows": report.database.total, "blobs": sum(report.blobs.values()), "bytes": report.size}
    now = parts.now()
    with parts.database(settings) as database, database.writing() as connection:
        write(connection, Change(at=now, who="command line", action=action, subject=report.file, new=size))
        if action == "backup.make":
            alerts.mark(connection, alerts.BACKUP, now=now, detail=report.file)


def _tell(report: Report, json_file: Path | None, done: str, *more: str) -> None:
    if json_file:
        write_json(report.to_json(), json_file)
        return
    database = report.database
    rows = database.total
    out.print(
        escape(f"{done}: {_size(report.size)}, made {report.made_at} by flawline {report.flawline}"), soft_wrap=True
    )
    tables = len(database.rows.keys() - {VERSIONS})
    out.print(f"  {database.kind}, revision {database.revision}: {rows} rows in {tables} tables")
    for kind, count in report.blobs.items():
        out.print(f"  {kind:<8} {count:>7}  {_size(report.blob_bytes[kind])}")
    for line in (*report.notes, *more):
        if line:
            out.print(f"  {escape(line)}", soft_wrap=True)


def _size(n: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"
