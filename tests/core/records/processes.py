"""What other processes do in tests; apart, so that they start without pytest and hypothesis."""

from core.database import open_database
from core.errors import NotAllowed
from core.records.inspections import record
from core.records.reviews import Decision, call
from core.verdicts import HumanCall, MachineVerdict
from tests.core.records.rows import FRAME_NS, NOON, SESSION, captured, frame_id, inspected


def record_all(url: str, order: int) -> int:
    """Record 200 frames, eight at a time, forwards (1) or backwards (-1) in each batch; how many were new."""
    with open_database(url, busy_seconds=60) as database:
        new = 0
        for start in range(0, 200, 8):
            batch = [inspected(seq) for seq in range(start, start + 8)][::order]
            with database.writing() as connection:
                new += len(record(connection, batch))
        return new


def record_shifted(url: str, shift: int) -> int:
    """Record 200 frames of two cameras, eight at a time; each process has its own capture times and order."""
    with open_database(url, busy_seconds=60) as database:
        new = 0
        for start in range(0, 200, 8):
            frames = [
                captured(seq, camera=f"camera-{seq % 2}", captured_at=SESSION + seq * FRAME_NS + shift)
                for seq in range(start, start + 8)
            ]
            batch = [inspected(0, MachineVerdict.FAIL, frame) for frame in frames][:: -1 if shift % 2 else 1]
            with database.writing() as connection:
                new += len(record(connection, batch))
        return new


def decide_all(url: str, reviewer: str) -> list[int]:
    """Go through 40 frames and decide each that nobody else took; what was decided."""
    done: list[int] = []
    with open_database(url, busy_seconds=60) as database:
        for seq in range(40):
            try:
                with database.writing() as connection:
                    call(connection, frame_id(seq), Decision(call=HumanCall.GOOD), reviewer=reviewer, now=NOON)
            except NotAllowed:
                continue
            done.append(seq)
    return done
