"""
What a data set holds, whatever its layout, and what can be wrong with one.

DatasetUnusable
├── DatasetEmpty    nothing to learn from or test on is there   -> give another folder
└── DatasetBroken   a set is there, but parts of it are missing -> mend it, or copy it again
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

GOOD = "good"


class DatasetUnusable(ValueError):
    """A folder cannot be read as a data set; the message says what was looked for and what to do."""


class DatasetEmpty(DatasetUnusable):
    """A folder holds nothing to learn from or test on; the message says what was looked for."""


class DatasetBroken(DatasetUnusable):
    """A data set lacks one of its files, or they contradict one another; the message names them."""


@dataclass(frozen=True)
class LabelledPicture:
    """A test picture, its label (GOOD or a kind of defect) and its mask file where there is one."""

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def is_good(self) -> bool:
        """Whether the data set says that this part is good."""
        return self.kind == GOOD


@dataclass(frozen=True)
class Dataset:
    """What a folder holds.

    train: good parts to learn from. groups: by path, the physical part that several pictures may share. held_out: good
    parts for calibration alone, where the set sets some aside. No picture is in two of train, test and held_out.
    """

    root: Path
    train: tuple[Path, ...]
    test: tuple[LabelledPicture, ...] = ()
    groups: Mapping[Path, str] = field(default_factory=dict)
    held_out: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on a disk.

    looks: what it is known by, for messages. recognises: whether a folder that exists looks so, by names alone. read:
    what such a folder holds; raises DatasetUnusable.
    """

    name: str
    looks: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Dataset]
