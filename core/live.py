"""What the pages show of this minute: a cache that may vanish at any time, and that nobody waits for.

All of it can be read from the database and the picture store too; a lost cache costs a query, never a verdict. So
nothing here raises: what fails is counted, and left alone for some seconds.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.closing import Closing

if TYPE_CHECKING:  # a process that only beats needs no database
    from core.records.inspections import Inspected


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A row that is new in the books, and the JPEG that was kept under its `thumb`, where one was."""

    row: "Inspected"
    small: bytes | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of one process: `role` such as inspection, `name` unique in it; times ns UTC."""

    role: str
    name: str
    started_at: int
    at: int


class Live(AbstractContextManager["Live"], Protocol):
    """A cache beside the database. No method raises; where it does not answer, readers get None or nothing."""

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        """Put rows on show, after their transaction; the newest of a camera by its capture stays."""
        ...

    def newest(self, cameras: Sequence[str]) -> "Mapping[str, Inspected]":
        """By camera, the newest row, where one was shown within seconds; for others ask the database."""
        ...

    def small(self, key: str) -> bytes | None:
        """The JPEG that was kept under this key within seconds; None where the picture store is to be asked."""
        ...

    def beat(self, beat: Beat) -> None:
        """Say that a process lives; a beat fades after some seconds."""
        ...

    def beats(self) -> list[Beat] | None:
        """The processes that live, by role and name; None when it does not answer."""
        ...

    def models_changed(self) -> None:
        """Tell the workers to look at the books now rather than within seconds."""
        ...

    def models_version(self) -> int | None:
        """A number that differs once `models_changed` was called; None when it does not answer."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class NoLive(Closing):
    """No cache: the shape of one machine, where the pages read the database."""

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        """Nothing to do."""

    def newest(self, cameras: Sequence[str]) -> "Mapping[str, Inspected]":
        """Knows none."""
        del cameras
        return {}

    def small(self, key: str) -> bytes | None:
        """Knows none."""
        del key
        return None

    def beat(self, beat: Beat) -> None:
        """Nothing to do."""

    def beats(self) -> list[Beat] | None:
        """Never answers."""

    def models_changed(self) -> None:
        """Nothing to do."""

    def models_version(self) -> int | None:
        """Never answers."""

    def close(self) -> None:
        """Nothing to do."""
