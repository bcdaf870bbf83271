"""What a source of pictures is, and what it hands on."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


class SourceState(StrEnum):
    """How a source is doing."""

    OPEN = "OPEN"
    LOST = "LOST"
    ENDED = "ENDED"


@dataclass(frozen=True)
class Claim:
    """The identity under which a picture was first taken: session and time in ns UTC, and its number."""

    session: int
    seq: int
    captured_at: int


@dataclass(frozen=True)
class Grabbed:
    """One picture as the source gives it: encoded, or as pixels, or with the problem that kept it from being read.

    encoded: a file's own bytes, b"" for none. picture: (H, W, 3) uint8 RGB where there are no encoded bytes.
    part_id: the part's own number where the source knows one. missed: triggers that passed unread just before this
    one. key: the source's own handle for `claim` and `done`. again: set when this picture was claimed before a crash;
    it must keep that identity. problem: why the bytes are missing or incomplete, in words. captured_at: ns UTC where
    the source knows it better than the reader, else 0; monotonic_at: the same moment on the monotonic clock, ns.
    """

    encoded: bytes = b""
    picture: Picture | None = None
    name: str = ""
    part_id: str = ""
    missed: int = 0
    key: str = ""
    again: Claim | None = None
    problem: str = ""
    captured_at: int = 0
    monotonic_at: int = 0


class Source(AbstractContextManager["Source"], Protocol):
    """Pictures, one after another. Opened by `with`; used by one thread.

    Entering raises SourceUnavailable where it makes no sense to wait (a folder that is not there); a camera that does
    not answer is no reason to raise: it is LOST until it does.
    """

    @property
    def state(self) -> SourceState:
        """OPEN, LOST (no picture for longer than the source allows) or ENDED (there will be no more)."""
        ...

    @property
    def detail(self) -> str:
        """Why it is not open, in words; empty while all is well."""
        ...

    @property
    def waits(self) -> bool:
        """Whether pictures wait for the reader (files, simulator) or pass unread (cameras)."""
        ...

    @property
    def reconnects(self) -> int:
        """How often a lost connection was made again."""
        ...

    def read(self, timeout: float) -> Grabbed | None:
        """The next picture, or None when none came within `timeout` seconds or the source has ended.

        Raises SourceUnavailable when reading failed and may work later.
        """
        ...

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        """Note durably, before it is sent, which identity the picture has got. Raises StoreUnavailable."""
        ...

    def done(self, grabbed: Grabbed) -> None:
        """Note that the picture is safe in the log and need not be taken again. Raises StoreUnavailable."""
        ...
