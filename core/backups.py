"""A line's backup: books, pictures by kind, line file, in one archive that proves itself (core/archives.py).

Books first, pictures second: a picture is stored before its row, so each row of the copy has its picture, unless
retention took it meanwhile. Restoring goes the other way round, so that no row ever comes before its picture.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core import dumps
from core.archives import BLOBS, DATABASE, LINE, PARTIAL, ArchiveWriter, members, readable, verify, writing
from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore
from core.contents import Contents, contents, require_rows
from core.errors import BackupUnusable, BlobMissing, NotAllowed, StoreUnavailable
from core.settings import Settings
from core.tables import REVISION

Offsets = Mapping[str, Mapping[str, int]]


class Pictures(StrEnum):
    """Which pictures a backup holds; models and data sets are always in it."""

    NONE = "none"
    EVIDENCE = "evidence"  # of FAIL, REVIEW and INVALID parts, with heat maps, golden and small pictures
    ALL = "all"


ALWAYS = (Kind.MODEL, Kind.DATASET)
KINDS = {
    Pictures.NONE: ALWAYS,
    Pictures.EVIDENCE: (*ALWAYS, Kind.FRAME, Kind.HEAT, Kind.GOLDEN, Kind.THUMB),
    Pictures.ALL: (*ALWAYS, *(kind for kind in Kind if kind not in ALWAYS)),
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a backup holds, or a restore has put back. Sizes in bytes; `blobs` and `blob_bytes` by kind."""

    file: str
    made_at: str
    flawline: str
    database: Contents
    offsets: Offsets | None
    blobs: dict[str, int] = field(default_factory=dict)
    blob_bytes: dict[str, int] = field(default_factory=dict)
    size: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the manifest and the commands write it."""
        return asdict(self)


def make(
    settings: Settings, blobs: BlobStore, target: Path, *, pictures: Pictures, offsets: Offsets | None, now: datetime
) -> Report:
    """Write a backup to `target`, a new file.

    offsets: how far each group had read before, taken before the books are copied, so that all below is in them.
    Raises SettingsInvalid, StoreUnavailable; then there is no file.
    """
    with writing(target) as archive:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".", suffix=PARTIAL) as folder:
            dumped = Path(folder) / "books"
            held = dumps.dump(settings.database_url, dumped)
            archive.add_file(DATABASE, dumped)
        if settings.line_path.exists():
            archive.add(LINE, settings.line_path.read_bytes())
        counts, sizes, gone = _add_blobs(archive, blobs, pictures)
        notes = [f"{gone} pictures were dropped by retention while they were copied"] if gone else []
        report = Report(
            target.name, now.isoformat(timespec="seconds"), version("flawline"), held, offsets, counts, sizes,
            notes=tuple(notes))  # fmt: skip
        archive.finish({"backup": report.to_json()})
    return _sized(report, target)


def examine(path: Path, scratch: Path) -> Report:
    """What a backup holds, every bit and every row of it checked. scratch: folder with room for its database.

    Raises BackupUnusable, StoreUnavailable.
    """
    report = _sized(_report(path, verify(path)), path)
    with _database_of(path, scratch) as dumped:
        require_rows(dumps.rows_of(dumped, report.database.kind), report.database)
    return report


def restore(path: Path, settings: Settings, blobs: BlobStore, *, over: bool) -> Report:
    """Check a backup, then put back its pictures, its books in one transaction, and its line file where there is none.

    over: replace books that are not empty. Raises BackupUnusable, NotAllowed, SettingsInvalid, StoreUnavailable; then
    the books are as they were, and no picture is gone.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    report = examine(path, settings.data)
    url = settings.database_url
    dumps.require_kind(url, report.database)
    if (there := contents(url).total) and not over:
        raise NotAllowed(
            f"the database holds {there} rows; back it up, stop the line, then say --yes to replace them all"
        )
    for name, content in members(path):
        if name.startswith(BLOBS):
            with readable(path):
                data = content.read()
            blobs.put(name.removeprefix(BLOBS), data)
    with _database_of(path, settings.data) as dumped:
        dumps.load(url, dumped, report.database)
    return _with_line(report, path, settings)


def _add_blobs(
    archive: ArchiveWriter, blobs: BlobStore, pictures: Pictures
) -> tuple[dict[str, int], dict[str, int], int]:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    gone = 0
    for kind in KINDS[pictures]:
        for key in blobs.keys(kind):
            try:
                data = blobs.get(key)
            except BlobMissing:
                gone += 1
                continue
            archive.add(BLOBS + key, data)
            counts[kind] += 1
            sizes[kind] += len(data)
    return dict(counts), dict(sizes), gone


def _report(path: Path, manifest: Mapping[str, Any]) -> Report:
    try:
        said = dict(manifest["backup"])
        said["database"] = Contents(**said["database"])
        said["notes"] = tuple(said["notes"])
        report = Report(**said)
    except (KeyError, TypeError, ValueError) as problem:
        raise BackupUnusable(f"{path}: its manifest is not one of ours: {problem!r}") from problem
    if (found := report.database.revision) > REVISION:
        raise BackupUnusable(f"{path} holds tables of revision {found}, this version reads {REVISION}; update flawline")
    return report


@contextmanager
def _database_of(path: Path, scratch: Path) -> Iterator[Path]:
    """The dump as a file of its own."""
    try:
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".flawline-") as folder:
            dumped = Path(folder) / "books"
            for name, content in members(path):
                if name == DATABASE:
                    with readable(path), dumped.open("xb") as file:
                        while chunk := content.read(1 << 20):
                            file.write(chunk)
                    break
            if not dumped.exists():
                raise BackupUnusable(f"{path} holds no database")
            yield dumped
    except OSError as problem:
        raise StoreUnavailable(f"no room for the database of {path} in {scratch}: {problem}") from problem


def _with_line(report: Report, path: Path, settings: Settings) -> Report:
    notes = list(report.notes)
    for name, content in members(path):
        if name == LINE:
            with readable(path):
                said = content.read()
            notes += _put_line(settings.line_path, said)
        if name.startswith(BLOBS):
            break
    return replace(report, notes=tuple(notes))


def _put_line(target: Path, said: bytes) -> list[str]:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(said)
        return [f"the line file is at {target}"]
    if target.read_bytes() == said:
        return []
    return [f"the line file at {target} differs from the backup's and stays as it is"]


def _sized(report: Report, path: Path) -> Report:
    return replace(report, size=path.stat().st_size)
