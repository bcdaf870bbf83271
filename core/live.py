"""What the pages show of this minute: a cache that may vanish at any time, and that nobody waits for.

All of it can be read from the database too; a lost cache costs a query, never a verdict. So nothing here raises:
what fails is counted, and left alone for some seconds.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from core.messages import FrameInspected
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A verdict that is in the books, with the keys of its pictures and a small JPEG to show at once."""

    verdict: FrameInspected
    picture: str | None = None
    thumb: str | None = None
    heat: str | None = None
    small: bytes | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of one process: `role` such as inspection, `name` unique in it; times ns UTC."""

    role: str
    name: str
    started_at: int
    at: int


class Live(AbstractContextManager["Live"], Protocol):
    """A cache beside the database. No method raises; readers get None or nothing where it does not answer."""

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        """Put verdicts on show, after their transaction; the newest of a camera replaces older ones."""
        ...

    def latest(self, camera: str, *, most: int = 1) -> list[Glimpse] | None:
        """A camera's newest verdicts, newest first, without their small pictures; None when it does not answer."""
        ...

    def small(self, camera: str) -> bytes | None:
        """The JPEG of the camera's newest verdict."""
        ...

    def beat(self, beat: Beat) -> None:
        """Say that a process lives; a beat fades after some seconds."""
        ...

    def beats(self) -> list[Beat] | None:
        """The processes that live; None when it does not answer."""
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


class NoLive(AbstractContextManager["NoLive"]):
    """No cache: the shape of one machine, where the pages read the database."""

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        """Nothing to do."""

    def latest(self, camera: str, *, most: int = 1) -> list[Glimpse] | None:
        """Never answers."""
        del camera, most
        return None

    def small(self, camera: str) -> bytes | None:
        """Never answers."""
        del camera
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

    def __exit__(self, *_: object) -> None:
        """Nothing to do."""


def open_live(settings: Settings) -> Live:
    """The cache at `live.url`; it need not answer."""
    if settings.live.url == "none:":
        return NoLive()
    from core.redis_live import RedisLive  # only where it is used: one machine needs no Redis client

    return RedisLive(settings.live.url)
