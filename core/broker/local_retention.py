"""How the local log forgets: in small transactions from the start of each partition, never silently."""

import logging
import time
from sqlite3 import Connection

from core.broker.log_file import PAGE_BYTES, LogFile
from core.broker.retention import Head, outlived, unread

logger = logging.getLogger(__name__)

BATCH = 64
IDLE_PAGES = (64 << 20) // PAGE_BYTES  # free pages that the next burst may take, whatever the file's size
STEP_PAGES = (1 << 20) // PAGE_BYTES
VACUUM_SECONDS = 0.5  # at one call: SQLite looks through its list of free pages for each page that it gives back
PRODUCER_NS = 7 * 24 * 3600 * 10**9


def retain_topic(file: LogFile, topic: str, *, before: int, most: int) -> int:
    """Drop records stored before `before` (ns), and the oldest above `most` bytes a partition; return their number."""
    with file.reading() as raw:
        logs = raw.execute("SELECT id, number FROM logs WHERE topic = ? ORDER BY number", (topic,)).fetchall()
    return sum(_retain_log(file, f"{topic}-{number}", log, before=before, most=most) for log, number in logs)


def _retain_log(file: LogFile, name: str, log: int, *, before: int, most: int) -> int:
    dropped = 0
    losses: dict[str, int] = {}
    try:
        while True:
            started = time.monotonic()
            with file.reading() as raw:  # a look first: most calls find nothing to do and need no lock
                if not _gone(raw, log, before=before, most=most):
                    return dropped
            batch_losses: dict[str, int] = {}
            with file.writing() as raw:
                batch = _drop_batch(raw, log, before=before, most=most, losses=batch_losses)
            dropped += batch
            for group, lost in batch_losses.items():
                losses[group] = losses.get(group, 0) + lost
            # SQLite's lock is not fair: rest as long as the work took, so that waiting writers come in.
            time.sleep(time.monotonic() - started)
    finally:
        for group, lost in losses.items():
            logger.warning("retention dropped %d records of %s that group %s had not finished", lost, name, group)


def _gone(raw: Connection, log: int, *, before: int, most: int) -> list[Head]:
    total, following = raw.execute("SELECT bytes, next FROM logs WHERE id = ?", (log,)).fetchone()
    query = "SELECT position, size, stored_at FROM records WHERE log = ? ORDER BY position LIMIT ?"
    heads = [Head(*row) for row in raw.execute(query, (log, BATCH))]
    return outlived(heads, total=total, most=most, before=before, last=following - 1)


def _drop_batch(raw: Connection, log: int, *, before: int, most: int, losses: dict[str, int]) -> int:
    gone = _gone(raw, log, before=before, most=most)
    if not gone:
        return 0
    first, kept_from = gone[0].position, gone[-1].position + 1
    groups = raw.execute(
        "SELECT groups.name, seats.committed FROM logs JOIN groups ON groups.topic = logs.topic"
        " JOIN seats ON seats.group_id = groups.id AND seats.number = logs.number WHERE logs.id = ?",
        (log,),
    )
    losses |= {g: n for g, committed in groups if (n := unread(committed, first=first, kept_from=kept_from))}
    drop_before(raw, log, kept_from)
    return len(gone)


def drop_before(raw: Connection, log: int, kept_from: int) -> None:
    """Let a partition start at `kept_from`; to be called in a transaction."""
    total = "SELECT coalesce(sum(size), 0) FROM records WHERE log = ? AND position < ?"
    (size,) = raw.execute(total, (log, kept_from)).fetchone()
    raw.execute("DELETE FROM records WHERE log = ? AND position < ?", (log, kept_from))
    raw.execute("UPDATE logs SET first = ?, bytes = bytes - ? WHERE id = ?", (kept_from, size, log))


def tidy(file: LogFile, now: int) -> None:
    """Forget producers that have been silent for a week, and give free pages back beyond what a burst may need."""
    with file.reading() as raw:
        silent = raw.execute("SELECT count(*) FROM producers WHERE seen_at < ?", (now - PRODUCER_NS,)).fetchone()[0]
    if silent:
        with file.writing() as raw:
            raw.execute("DELETE FROM producers WHERE seen_at < ?", (now - PRODUCER_NS,))
    ends_at = time.monotonic() + VACUUM_SECONDS
    while (spare := _spare_pages(file)) > 0 and time.monotonic() < ends_at:
        started = time.monotonic()
        with file.writing() as raw:
            for _ in range(min(STEP_PAGES, spare)):
                raw.execute("PRAGMA incremental_vacuum(1)")  # the driver takes one step, so one page, at a time
        time.sleep(time.monotonic() - started)


def _spare_pages(file: LogFile) -> int:
    """Free pages beyond a quarter of the file: fewer are soon used again, and giving them back would be work lost."""
    with file.reading() as raw:
        free = int(raw.execute("PRAGMA freelist_count").fetchone()[0])
        pages = int(raw.execute("PRAGMA page_count").fetchone()[0])
    return free - max(IDLE_PAGES, pages // 4)
