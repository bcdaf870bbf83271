"""What a disk must be told."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

SCRATCH = ".part-"  # how the name of a file begins that is not whole yet


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file aside, then move it into place: readers see the old one or the new one, however many write it.

    durable: it is there after a power cut too. Raises OSError; then an older file is untouched.
    """
    scratch = path.with_name(f"{SCRATCH}{uuid.uuid4().hex}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    if durable:
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make a folder's names durable: a file that was made, renamed or removed in it is so after a power cut too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
