"""The cameras' spools as files: what waits in each, and forwarding it by hand."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli import parts
from cli.capturing import seats
from cli.console import Report
from core.broker.spool import drain
from core.broker.spool_file import Spool
from core.errors import NotAllowed, SettingsInvalid, StoreUnavailable
from core.settings import Settings
from ingest.seat import CameraSeat


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one camera's spool: records, bytes, seconds of the oldest; `capturing`: its process runs."""

    camera: str
    records: int
    bytes: int
    oldest_seconds: float
    capturing: bool


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of one spool: records forwarded and left, and why it was not emptied."""

    camera: str
    forwarded: int
    left: int
    problem: str = ""


def waiting(settings: Settings) -> list[Waiting]:
    """All spools below the data folder, by camera. Raises StoreUnavailable for one that cannot be read."""
    return [_look(settings, path) for path in _paths(settings)]


def drain_spools(settings: Settings, cameras: Sequence[str], report: Report) -> Iterator[Drained]:
    """Forward what waits, of the cameras named or of all; a capture process that runs empties its own.

    Raises SettingsInvalid for a camera that has no spool.
    """
    paths = {path.stem: path for path in _paths(settings)}
    if unknown := sorted(set(cameras) - paths.keys()):
        there = ", ".join(paths) or "none"
        raise SettingsInvalid(f"no spool of {', '.join(unknown)} in {settings.spool_folder}; there are {there}")
    for camera in cameras or paths:
        yield _drain(settings, paths[camera], report)


def _paths(settings: Settings) -> list[Path]:
    return sorted(settings.spool_folder.glob("*.sqlite"))


def _look(settings: Settings, path: Path) -> Waiting:
    with Spool(path, most_bytes=settings.broker.spool_bytes) as spool:
        state = spool.state()
    try:
        with CameraSeat(seats(settings), path.stem, patience=0):
            capturing = False
    except NotAllowed:
        capturing = True
    return Waiting(path.stem, state.records, state.size, round(state.age(time.time_ns()), 1), capturing)


def _drain(settings: Settings, path: Path, report: Report) -> Drained:
    before, problem = _look(settings, path), ""
    if not before.records:
        return Drained(path.stem, 0, 0)

    def told(done: int) -> None:
        report(path.stem, done, before.records, {"records": done})

    try:
        with (
            CameraSeat(seats(settings), path.stem, patience=0),
            Spool(path, most_bytes=settings.broker.spool_bytes) as spool,
            parts.broker(settings) as broker,
            broker.producer() as producer,
        ):
            drain(spool, producer, told)
    except NotAllowed:
        problem = "its capture process runs, and empties it by itself"
    except (StoreUnavailable, SettingsInvalid, ValueError) as refused:
        problem = str(refused)
    left = _look(settings, path).records
    return Drained(path.stem, before.records - left, left, problem)
