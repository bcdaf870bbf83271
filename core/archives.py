"""One file of many members that proves itself: a tar.gz whose last members list and describe all before them.

database        a copy of the database
line.toml       the line file
blobs/KEY       pictures and model files, by their keys
members.sha256  "HASH  NAME" of every member before it, as `sha256sum --check` reads it
manifest.json   what the archive is; the hash of members.sha256; it ends the archive

So an archive that was cut off has no manifest, and one changed bit anywhere is found. Members are read one by one,
by names that are known; nothing is ever unpacked to a path that the archive names.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from core.blobs.keys import check_key
from core.disk import flush_folder
from core.errors import BackupUnusable, SettingsInvalid, StoreUnavailable

FORMAT = 1
DATABASE, LINE, BLOBS = "database", "line.toml", "blobs/"
LIST, MANIFEST = "members.sha256", "manifest.json"
CHUNK = 1 << 20
MOST_MANIFEST = 16 << 20  # bytes
PARTIAL = ".flawline-partial"
LEFT_ALONE = 86400.0  # s that a file half written may be somebody's who is still at it


class ArchiveWriter:
    """Members one after the other; made by `writing`."""

    def __init__(self, tar: tarfile.TarFile, listed: IO[bytes]) -> None:
        self._tar = tar
        self._listed = listed

    def add(self, name: str, data: bytes) -> None:
        """One member."""
        self._put(name, io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest())

    def add_file(self, name: str, path: Path) -> None:
        """One member, read from a file that nobody changes meanwhile."""
        with path.open("rb") as file:
            said = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._put(name, file, path.stat().st_size, said)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the list and the manifest."""
        self._listed.seek(0)
        listed = self._listed.read()
        self._write(LIST, io.BytesIO(listed), len(listed))
        said = json.dumps({**manifest, "format": FORMAT, LIST: hashlib.sha256(listed).hexdigest()}, indent=1).encode()
        self._write(MANIFEST, io.BytesIO(said), len(said))

    def _put(self, name: str, file: IO[bytes], size: int, said: str) -> None:
        self._listed.write(_line(said, name))
        self._write(name, file, size)

    def _write(self, name: str, file: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        self._tar.addfile(member, file)


@contextmanager
def writing(path: Path) -> Iterator[ArchiveWriter]:
    """An archive at `path`: there when all went well, else not at all; what is half written lies beside it.

    Raises SettingsInvalid when `path` is taken, StoreUnavailable when it cannot be written, as on a full disk.
    """
    scratch: Path | None = None
    try:
        _require_new(path)
        _sweep(path.parent)
        with (  # a temporary file is its owner's alone: camera passwords and people's work are in an archive
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=PARTIAL, delete=False) as file,
            tempfile.TemporaryFile(dir=path.parent) as listed,
        ):
            scratch = Path(file.name)
            with (
                gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, filename="") as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield ArchiveWriter(tar, listed)
            file.flush()
            os.fsync(file.fileno())
        _require_new(path)
        scratch.replace(path)
        flush_folder(path.parent)
    except OSError as problem:
        raise StoreUnavailable(f"{path} cannot be written: {problem}; nothing of it is kept") from problem
    finally:
        if scratch is not None:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)


def members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each member in turn. Raises BackupUnusable, also for a member that is none of ours."""
    with readable(path), gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else None
            if content is None or not _is_ours(member.name):
                raise BackupUnusable(f"{path}: member {member.name!r} has no place in a backup of flawline")
            yield member.name, content
        while packed.read(CHUNK):  # to the very end, where gzip's own checksum is
            pass


def verify(path: Path) -> dict[str, Any]:
    """The manifest of an archive of which every bit has been checked. Raises BackupUnusable that says what is wrong."""
    manifest: dict[str, Any] | None = None
    listed = b""
    with tempfile.TemporaryFile() as found:
        for name, content in members(path):
            if manifest is not None:
                raise BackupUnusable(f"{path}: {name!r} comes after the manifest, which ends an archive")
            with readable(path):
                if name == MANIFEST:
                    manifest = _manifest(path, content.read(MOST_MANIFEST + 1))
                elif name == LIST:
                    listed = content.read()
                else:
                    found.write(_line(_digest(content), name))
        if manifest is None:
            raise BackupUnusable(f"{path} has no end: the backup was cut off, or the copy of it")
        found.seek(0)
        _compare(path, manifest, listed, found)
    return manifest


def _compare(path: Path, manifest: Mapping[str, Any], listed: bytes, found: IO[bytes]) -> None:
    if hashlib.sha256(listed).hexdigest() != manifest.get(LIST):
        raise BackupUnusable(f"{path}: its list of members is not the one that the manifest names")
    for said, read in zip(io.BytesIO(listed), found, strict=False):
        if said != read:
            name = said.decode(errors="replace").partition("  ")[2].strip()
            raise BackupUnusable(f"{path}: member {name} is not what was written; restore another backup")
    if found.read(1) or found.tell() != len(listed):
        raise BackupUnusable(f"{path}: members are missing or were added")


def _manifest(path: Path, data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError as problem:
        raise BackupUnusable(f"{path}: its manifest is no JSON: {problem}") from problem
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        found = said.get("format") if isinstance(said, dict) else said
        raise BackupUnusable(f"{path} is of format {found!r}, this version reads format {FORMAT}; update flawline")
    return said


def _is_ours(name: str) -> bool:
    if name.startswith(BLOBS):
        try:
            check_key(name.removeprefix(BLOBS))
        except ValueError:
            return False
        return True
    return name in (DATABASE, LINE, LIST, MANIFEST)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a member is read into BackupUnusable, or StoreUnavailable for the disk's faults."""
    try:
        yield
    except FileNotFoundError as problem:
        raise BackupUnusable(f"no backup at {path}") from problem
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as problem:
        raise BackupUnusable(f"{path} is damaged, cut off or no backup: {problem}") from problem
    except OSError as problem:
        raise StoreUnavailable(f"{path} cannot be read: {problem}") from problem


def _digest(content: IO[bytes]) -> str:
    said = hashlib.sha256()
    while chunk := content.read(CHUNK):
        said.update(chunk)
    return said.hexdigest()


def _line(said: str, name: str) -> bytes:
    return f"{said}  {name}\n".encode()


def _require_new(path: Path) -> None:
    if path.exists():
        raise SettingsInvalid(f"{path} is there already; name another file, a backup is never written over")


def _sweep(folder: Path) -> None:
    """Remove what backups that were killed left here a day ago or earlier."""
    for left in folder.glob(f".*{PARTIAL}"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > LEFT_ALONE:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
