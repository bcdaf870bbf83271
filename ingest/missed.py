"""Triggers that passed without a picture: each goes on record by its own number as NO_VERDICT (domain.md MI-4).

A run of them is noted durably before its first envelope is sent, and forgotten once the last one is safe: a process
that dies in between leaves the rest to the next one. What is sent again can only meet its own rows.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self

from core.broker.protocol import Producer
from core.errors import BadFrame
from core.line import Camera
from core.messages import FRAMES, FrameCaptured
from core.times import MINUTE_NS
from core.verdicts import NoVerdictReason

MOST = 10_000
"""Triggers that go on record at once: 15 minutes of a fast line. A counter that jumps by more is broken."""
PER_SECOND = 100  # as many more each second, up to MOST
CHUNK = 500  # records that are handed over before they are flushed
_log = logging.getLogger(__name__)


class Owing(Protocol):
    """One text that outlives the process: what it still owes the log."""

    def owed(self) -> bytes:
        """What was noted last; b"" for nothing. Raises StoreUnavailable."""
        ...

    def owe(self, text: bytes) -> None:
        """Note it in place of what was there, durably; b"" forgets. Raises StoreUnavailable."""
        ...


class InMemory:
    """Forgotten with the process, which is enough for a source that misses nothing."""

    def __init__(self) -> None:
        self._text = b""

    def owed(self) -> bytes:
        """See Owing."""
        return self._text

    def owe(self, text: bytes) -> None:
        """See Owing."""
        self._text = text


@dataclass(frozen=True, slots=True)
class Run:
    """Triggers in a row, as an envelope with the number of the first and the time of the picture that came after them.

    last: the number of the last. captured: the session's pictures before them.
    """

    like: FrameCaptured
    last: int
    captured: int

    def envelope(self, seq: int) -> FrameCaptured:
        """Of one of them.

        No more is known of its time than that it had passed when the picture was taken. It stands a microsecond before
        the next one, so that the order by time is that of the numbers, and in the minute where it is counted.
        """
        picture_at = self.like.captured_at
        captured_at = max(picture_at - (self.last + 1 - seq) * 1000, picture_at - picture_at % MINUTE_NS)
        part_id = str(seq) if self.like.part_id else ""
        return replace(self.like, seq=seq, captured_at=captured_at, part_id=part_id)

    def to_text(self) -> bytes:
        """As it is noted."""
        like = {name: value.decode() for name, value in self.like.headers()}
        return json.dumps({"like": like, "last": self.last, "captured": self.captured}).encode()

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Read a note back. Raises BadFrame for anything else."""
        try:
            told = json.loads(text)
            like = FrameCaptured.of((name, value.encode()) for name, value in told["like"].items())
            run = cls(like, int(told["last"]), int(told["captured"]))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as problem:
            raise BadFrame(f"no note of triggers: {problem!r}") from problem
        if not like.no_verdict or not like.seq <= run.last < like.seq + MOST or run.captured < 0:
            raise BadFrame(f"no note of triggers: {like.id} to {run.last}, {run.captured} pictures before")
        return run


class Allowance:
    """How many triggers may go on record now, whatever a counter says: so many at once, and so many each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._at = float(MOST), clock()

    def take(self, wanted: int) -> int:
        """As many of them as there are."""
        now = self._clock()
        self._left = min(MOST, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        given = min(wanted, int(self._left))
        self._left -= given
        return given


class MissedTriggers:
    """What one camera owes the log beside its pictures; at the start that is what a process that died still owed.

    owed: a run at a time; it is settled before the next is owed. Raises StoreUnavailable where the note cannot be read.
    """

    def __init__(
        self, camera: Camera, producer: Producer, partition: int, owing: Owing, allowance: Allowance | None = None
    ) -> None:
        self._camera, self._producer, self._partition, self._owing = camera, producer, partition, owing
        self._allowance = allowance or Allowance()
        self._is_over = False  # above the allowance, and said so
        self._noted = True
        self.owed = _earlier(camera.name, owing.owed())
        self._next = self.owed.like.seq if self.owed else 0

    def passed(self, count: int, before: FrameCaptured, *, captured: int, why: str = "") -> None:
        """Owe the `count` numbers below the frame's, or the first of them as far as the allowance goes.

        captured: pictures of the session before. why: what held the camera up meanwhile, in words.
        """
        seq, given = before.seq - count, self._allowance.take(count)
        if given < count and not self._is_over:
            _log.error(
                "%s: %d triggers passed without a picture before frame %s; %d of them, from number %d on, go without a"
                " record and show as a gap in the books: check the counter of the camera's triggers",
                self._camera.name, count, before.id, count - given, seq + given,
            )  # fmt: skip
        self._is_over = given < count
        if not given:
            return
        detail = f"its trigger passed without a picture, as {count} did before frame {before.seq}"
        like = replace(
            before, seq=seq, part_id=str(seq) if self._camera.part_ids == "counter" else "", width=0, height=0, gate="",
            no_verdict=NoVerdictReason.TRIGGER_ERROR, gate_detail=f"{detail}: {why}" if why else detail, sha256="",
        )  # fmt: skip
        self.owed = Run(like, seq + given - 1, captured)
        self._next, self._noted = seq, False

    def send(self) -> None:
        """Note what is owed and hand it over in order, going on where the last try stopped; the caller flushes.

        Raises StoreUnavailable.
        """
        run = self.owed
        if run is None:
            return
        if not self._noted:
            self._owing.owe(run.to_text())
            self._noted = True
        while self._next <= run.last:
            if (self._next - run.like.seq) % CHUNK == 0:
                self._producer.flush()  # what waits unsent stays little
            headers = run.envelope(self._next).headers()
            self._producer.send(FRAMES, b"", partition=self._partition, key=run.like.camera, headers=headers)
            self._next += 1

    def safe(self) -> None:
        """All of it is in the log, durably. Raises StoreUnavailable."""
        if self.owed is not None:
            self._owing.owe(b"")
            self.owed = None


def _earlier(camera: str, text: bytes) -> Run | None:
    """What an earlier process noted; a note that a power cut has torn is no reason not to start."""
    try:
        return Run.of(text) if text else None
    except BadFrame as problem:
        _log.error("%s: triggers that passed without a picture before the last stop are not on record: %s", camera,
                   problem)  # fmt: skip
        return None
