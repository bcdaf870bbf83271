"""What a disk must be told."""

import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Make a folder's names durable: a file that was made, renamed or removed in it is so after a power cut too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
