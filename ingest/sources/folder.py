"""Pictures from a folder: a replay of what is there, or a watch for what arrives."""

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import SourceUnavailable
from ingest.sources.pace import Pace
from ingest.sources.source import Claim, Grabbed, SourceState
from ingest.sources.taken import Taken

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
SETTLE_SECONDS = 0.5
"""A file counts as complete when its size and time have not changed for this long."""
SCAN_SECONDS = 0.25
LARGEST_FILE = 256 << 20  # bytes; beyond it only the beginning is read, which the gate then refuses


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which `part 9` stands before `part 10`."""
    return [(0, int(bit), "") if bit.isdigit() else (1, 0, bit.lower()) for bit in re.split(r"(\d+)", name) if bit]


class FolderSource:
    """The pictures of one folder in natural order, each taken once, at a rate.

    watch: go on when all is taken and wait for new files. loop: begin again instead, for ever. notes: the file that
    remembers what was taken; without it a restart begins anew. Only complete files are taken: those whose size and
    time stood still for half a second; names that begin with a dot or end in a suffix of no picture are left alone. A
    file that cannot be read is handed on with its problem. Raises SourceUnavailable when the folder is not there.
    """

    waits = True
    reconnects = 0

    def __init__(
        self, folder: Path, *, rate: float = 0.0, watch: bool = False, loop: bool = False, notes: Path | None = None
    ) -> None:
        self._folder, self._rate = folder, rate
        self._watch, self._loop = watch, loop
        self._notes = notes
        self._taken: Taken | None = None
        self._pace = Pace(rate)
        self._ready: list[tuple[str, Path]] = []
        self._again: dict[str, Claim] = {}
        self._seen: dict[Path, tuple[str, float]] = {}
        self._handed: set[str] = set()
        self._scan_seconds = 0.0
        self._ended = False
        self.detail = ""

    def __enter__(self) -> Self:
        if not self._folder.is_dir():
            raise SourceUnavailable(
                f"{self._folder} is no folder; create it, or correct the camera's source in the line file"
            )
        self._taken = Taken(self._notes)
        self._again = self._taken.pending()  # taken before a crash: these go first, whether they are still there or not
        self._ready = [(key, self._folder / key.split(":", 2)[2]) for key in self._again]
        self._handed.update(self._again)
        self._taken.keep_only({_key(path) for path in self._list()})
        self._pace = Pace(self._rate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken is not None:
            self._taken.close()
            self._taken = None

    @property
    def state(self) -> SourceState:
        """LOST while the folder cannot be listed, ENDED when a replay has given its last picture."""
        if self._ended:
            return SourceState.ENDED
        return SourceState.LOST if self.detail else SourceState.OPEN

    def read(self, timeout: float) -> Grabbed | None:
        """The next picture's bytes, as they are in its file."""
        until = time.monotonic() + timeout
        while not self._ready:
            self._scan()
            if self._ready or self._ended:
                break
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, max(SCAN_SECONDS, 4 * self._scan_seconds)))  # a huge folder is listed less often
        if not self._ready or not self._pace.wait(max(until - time.monotonic(), 0.0)):
            return None
        self._pace.passed()
        key, path = self._ready.pop(0)
        return self._load(key, path)

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        """Note the picture's identity; nothing in a loop, where each file is taken many times."""
        if self._taken is not None and not self._loop:
            self._taken.claim(grabbed.key, claim)

    def done(self, grabbed: Grabbed) -> None:
        """Note that the file need not be taken again."""
        if self._taken is not None and not self._loop:
            self._taken.done(grabbed.key)

    def _scan(self) -> None:
        """Find files that are complete and were not handed out."""
        assert self._taken is not None, "read outside of a with statement"
        now, began = time.time(), time.monotonic()
        try:
            found = self._list()
            self.detail = ""
        except SourceUnavailable as problem:
            self.detail = str(problem)
            return
        keys = {key: path for path in found if (key := _key(path))}
        self._handed &= keys.keys()
        waiting = 0
        for key, path in keys.items():
            if key in self._handed:
                continue
            if not self._loop and self._taken.known(key):
                self._handed.add(key)
            elif self._settled(path, key, now):
                self._ready.append((key, path))
            else:
                waiting += 1
        self._handed.update(key for key, _ in self._ready)
        self._scan_seconds = time.monotonic() - began
        if self._ready or waiting or self._watch:
            return
        if self._loop and found:
            self._handed.clear()
        else:
            self._ended = True

    def _settled(self, path: Path, key: str, now: float) -> bool:
        """Whether size and time stood still for long enough, by the file's own time or by our own observation."""
        if now - _changed_at(key) >= SETTLE_SECONDS * 4:
            return True
        before, since = self._seen.get(path, ("", now))
        self._seen[path] = (key, since if before == key else now)
        if before != key or now - since < SETTLE_SECONDS:
            return False
        del self._seen[path]
        return True

    def _list(self) -> list[Path]:
        """The folder's pictures in natural order. Raises SourceUnavailable."""
        try:
            files = [path for path in self._folder.iterdir() if path.suffix.lower() in SUFFIXES]
        except OSError as problem:
            why = f"{self._folder} cannot be listed ({problem.strerror}); check that it is there and may be read"
            raise SourceUnavailable(why) from problem
        return sorted((path for path in files if not path.name.startswith(".")), key=lambda path: natural(path.name))

    def _load(self, key: str, path: Path) -> Grabbed | None:
        again = self._again.pop(key, None)
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE)
        except FileNotFoundError:
            if again is None:
                return None  # taken away before we took it: never triggered, so nothing is missing
            return Grabbed(name=path.name, key=key, again=again, problem=f"{path.name} was removed before it was sent")
        except OSError as problem:
            why = f"{path.name} cannot be read ({problem.strerror}); check its permissions and the disk"
            return Grabbed(name=path.name, key=key, again=again, problem=why)
        return Grabbed(encoded=content, name=path.name, part_id=path.stem[:64], key=key, again=again)


def _key(path: Path) -> str:
    """A file's identity: a file of the same name with other content is another picture. Empty when it has gone."""
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{facts.st_mtime_ns}:{facts.st_size}:{path.name}"


def _changed_at(key: str) -> float:
    return int(key.split(":", 1)[0]) / 1e9
