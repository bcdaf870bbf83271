"""Blobs as files below one folder of a local disk."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from core.blobs.keys import check_key
from core.blobs.protocol import Disk, Item
from core.disk import SCRATCH, flush_folder, write_whole
from core.errors import BlobMissing, StoreUnavailable

_TRIES = 5


class FileBlobs:
    """Keeps the `BlobStore` protocol: written aside, flushed, then renamed, so that readers see whole blobs only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Store `data`, whole or not at all. Raises ValueError for no key, StoreUnavailable, e.g. on a full disk."""
        path = self._root / check_key(key)
        with _translated(key):
            for trial in range(1, _TRIES + 1):
                try:
                    _make_folder(path.parent)
                    write_whole(path, data, durable=durable)
                    return
                except FileNotFoundError as problem:  # retention took the folder, still empty, from under our feet
                    if trial == _TRIES:
                        raise StoreUnavailable(f"blob {key!r}: its folder keeps vanishing: {problem}") from problem

    def put_all(self, items: Sequence[Item]) -> None:
        """Store all of them, one after the other. Raises as `put` does; those before are stored then."""
        for key, data, durable in items:
            self.put(key, data, durable=durable)

    def get(self, key: str) -> bytes:
        """The blob. Raises BlobMissing, StoreUnavailable."""
        with _translated(key):
            return self._found(key).read_bytes()

    def size(self, key: str) -> int:
        """The blob's bytes, without reading it. Raises BlobMissing, StoreUnavailable."""
        with _translated(key):
            return self._found(key).stat().st_size

    def exists(self, key: str) -> bool:
        """Whether there is such a blob. Raises StoreUnavailable."""
        try:
            self.size(key)
        except BlobMissing:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys below `prefix`. Raises ValueError for no prefix, StoreUnavailable."""
        with _translated(prefix):
            for path in _files(self._root / check_key(prefix) if prefix else self._root):
                if not path.name.startswith("."):
                    yield path.relative_to(self._root).as_posix()

    def folders(self, prefix: str) -> list[str]:
        """The prefixes one part longer than `prefix`, in order. Raises StoreUnavailable."""
        with _translated(prefix):
            folder = self._root / check_key(prefix)
            names = [entry.name for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]
        return [f"{prefix}/{name}" for name in names if not name.startswith(".")]

    def delete(self, key: str) -> None:
        """Remove the blob if it is there. Raises ValueError for no key, StoreUnavailable."""
        path = self._root / check_key(key)
        with _translated(key):
            path.unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> int:
        """Remove all below `prefix`, and folders that this leaves empty; return the number of blobs."""
        folder = self._root / check_key(prefix)
        removed = 0
        with _translated(prefix):
            for path in _files(folder):
                path.unlink(missing_ok=True)
                removed += not path.name.startswith(".")
            _remove_empty(folder, up_to=self._root)
        return removed

    def sweep(self, prefix: str, *, before: datetime) -> int:
        """Remove what puts that were interrupted before a time left below `prefix`; return their number."""
        removed = 0
        with _translated(prefix):
            for path in _files(self._root / check_key(prefix)):
                with suppress(FileNotFoundError):  # its put has just ended
                    if path.name.startswith(SCRATCH) and path.stat().st_mtime < before.timestamp():
                        path.unlink()
                        removed += 1
        return removed

    def used(self, prefix: str) -> int:
        """The bytes of all blobs below `prefix`. Raises ValueError for no prefix, StoreUnavailable."""
        total = 0
        with _translated(prefix):
            for path in _files(self._root / check_key(prefix)):
                with suppress(FileNotFoundError):  # it has just gone
                    total += path.stat().st_size
        return total

    def disk(self) -> Disk:
        """The disk of the folder. Raises StoreUnavailable."""
        return disk_of(self._root)

    def _found(self, key: str) -> Path:
        """The file of a key that may come from a URL. Raises BlobMissing also where a link leads out of the root."""
        try:
            path = (self._root / check_key(key)).resolve(strict=True)
        except (ValueError, FileNotFoundError, NotADirectoryError) as problem:
            raise BlobMissing(f"no blob {key[:200]!r} in {self._root}") from problem
        if not path.is_relative_to(self._root.resolve()) or not path.is_file():
            raise BlobMissing(f"no blob {key[:200]!r} in {self._root}")
        return path


def disk_of(folder: Path) -> Disk:
    """The disk of a folder that need not be there yet, as `df` counts it. Raises StoreUnavailable."""
    with _translated(str(folder)):
        there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
        found, device = os.statvfs(there), there.stat().st_dev
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return Disk(total=used + found.f_bavail * found.f_frsize, used=used, device=device)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as problem:
        raise BlobMissing(f"blob {key!r} went while it was read: {problem}") from problem
    except OSError as problem:
        raise StoreUnavailable(f"blob {key!r}: {problem}; check the disk's space, state and permissions") from problem


def _make_folder(folder: Path) -> None:
    """Make what is missing of a folder's path, on the disk at once: a durable blob may come into it later."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, links not followed, in the order of their paths' parts."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / entry.name)
        else:
            yield folder / entry.name


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    """Remove a folder's empty folders, and its parents as far as they are empty."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            _remove_empty(folder / entry.name, up_to=folder / entry.name)
            with suppress(OSError):  # not empty: a put has come in between
                (folder / entry.name).rmdir()
    while folder != up_to:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent
