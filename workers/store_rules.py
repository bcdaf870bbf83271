"""The rules of the watch about what the line runs on: broker, database, processes, disks, backups. Pure: no I/O."""

from collections.abc import Iterator
from datetime import timedelta

from core.alarms import Cause, Kind
from core.broker.protocol import Lag, Partition
from core.messages import FRAMES
from workers.facts import Away, Facts, Log

PARTITION_WITHIN = timedelta(days=1)
BACKUP_WITHIN = timedelta(hours=26)  # a day, and the time that one takes
REJECTED = "Its parts are rejected."
_UNTIL_THEN = "Parts whose deadline passes are rejected; nothing is lost."


def _broker(facts: Facts) -> Iterator[Cause]:
    if isinstance(facts.log, Away):
        yield Cause(
            kind=Kind.BROKER_DOWN, what="The broker does not answer",
            why=f"{facts.log.why}. Pictures wait in the cameras' spools; {_lower(_UNTIL_THEN)}",
            do="Check the broker and the network; flawline doctor says what it tries.")  # fmt: skip


def _database(facts: Facts) -> Iterator[Cause]:
    if facts.database_away:
        since, why = facts.database_away
        yield Cause(
            kind=Kind.DATABASE_DOWN, what=f"The database was away for {span(facts.now - since)}",
            why=f"{why}. Frames waited in the log; {_lower(_UNTIL_THEN)}",
            do="Look at the database's own log; late parts of that time are in the books.")  # fmt: skip


def _stalled(facts: Facts) -> Iterator[Cause]:
    for log in _answering(facts):
        for stall in log.stalls:
            names = _on(stall.lag.partition, facts)
            yield Cause(
                kind=Kind.NOT_INSPECTING, subject=_place(stall.lag.partition), what=f"{names} is not inspected",
                why=f"{many(stall.lag.records, 'picture')} waiting, none taken for {stall.seconds:.0f} s. {REJECTED}",
                do="Check that an inspection worker runs and a model is active: flawline doctor.")  # fmt: skip


def _behind(facts: Facts) -> Iterator[Cause]:
    """Lag in seconds, against the deadline; what stands still is told by another rule."""
    for log in _answering(facts):
        still = {stall.lag.partition for stall in log.stalls}
        for lag in log.lags:
            deadline = _deadline(lag.partition, facts)
            seconds = _seconds(lag, facts)
            if lag.partition.topic != FRAMES or lag.partition in still or seconds <= deadline:
                continue
            yield Cause(
                kind=Kind.LAG, subject=_place(lag.partition),
                what=f"Inspection of {_on(lag.partition, facts)} is {seconds:.0f} s behind",
                why=f"{many(lag.records, 'picture')} waiting; the deadline is {deadline:.1f} s. {_UNTIL_THEN}",
                do="Add an inspection worker, or slow the line.", detail={"records": lag.records})  # fmt: skip


def _half_kept(facts: Facts) -> Iterator[Cause]:
    for log in _answering(facts):
        for lag in log.lags:
            seconds = _seconds(lag, facts)
            if seconds > facts.retention_seconds / 2:
                left = timedelta(seconds=max(0.0, facts.retention_seconds - seconds))
                yield Cause(
                    kind=Kind.RETENTION_HALF, subject=_place(lag.partition),
                    what=f"Messages of {_on(lag.partition, facts)} will be lost in {span(left)}",
                    why=f"The oldest of {lag.records} has waited {span(timedelta(seconds=seconds))}; "
                    f"the log keeps them {span(timedelta(seconds=facts.retention_seconds))}.",
                    do="Start workers, or keep messages longer: FLAWLINE_BROKER__RETENTION_HOURS, then "
                    "flawline topics apply.")  # fmt: skip


def _dead(facts: Facts) -> Iterator[Cause]:
    for log in _answering(facts):
        for dead in log.dead:
            yield Cause(
                kind=Kind.DEAD_LETTERS, subject=dead.topic,
                what=f"Given up: {many(dead.fresh, 'message')}, now in {dead.topic}",
                why="They cannot be handled. Their parts are INVALID or NO VERDICT, and rejected.",
                do="flawline dead-letters list shows why; replay them when the cause is mended.",
                detail={"messages": dead.fresh})  # fmt: skip


def _workers(facts: Facts) -> Iterator[Cause]:
    for silent in facts.silent or ():
        yield Cause(
            kind=Kind.WORKER_MISSING, subject=f"{silent.role} {silent.name}".strip(),
            what=f"The {silent.role} process {silent.name} gives no sign of life".replace("  ", " "),
            why=f"Its last was {silent.seconds:.0f} s ago. Others take over its work, if there are any.",
            do="Start it again, or see its log file.")  # fmt: skip


def _disks(facts: Facts) -> Iterator[Cause]:
    for pressure in facts.disks:
        if cause := pressure.cause():
            yield cause


def _partitions(facts: Facts) -> Iterator[Cause]:
    until = facts.line.partition_until
    if until is not None and until - facts.now < PARTITION_WITHIN:
        yield Cause(
            kind=Kind.PARTITION_MISSING, what="The database has no partition for tomorrow",
            why=f"Its partitions end in {span(until - facts.now)}. Workers then make them one by one, and slow down.",
            do="Check that housekeeping runs: flawline worker housekeeping.")  # fmt: skip


def _backup(facts: Facts) -> Iterator[Cause]:
    at = facts.line.backup_at
    if at is not None and facts.now - at > BACKUP_WITHIN:
        yield Cause(
            kind=Kind.BACKUP_STALE, what=f"The last backup is {span(facts.now - at)} old",
            why="What came since then would be lost with this database.",
            do="Run flawline backup, or mend what runs it.")  # fmt: skip


STORE_RULES = (
    _broker, _database, _stalled, _behind, _half_kept, _dead, _workers, _disks, _partitions, _backup,
)  # fmt: skip


def _answering(facts: Facts) -> list[Log]:
    return [] if isinstance(facts.log, Away) else [facts.log]


def _seconds(lag: Lag, facts: Facts) -> float:
    """How long the oldest message that is not dealt with has waited."""
    return 0.0 if lag.since is None else max(0.0, facts.now.timestamp() - lag.since / 1e9)


def _deadline(partition: Partition, facts: Facts) -> float:
    """The tightest deadline among the cameras of a partition, s; 5 s † where none has one."""
    on_it = [c.deadline_ms / 1000 for c in facts.line.cameras if c.partition == partition.number and c.deadline_ms]
    return min(on_it, default=5.0)


def _on(partition: Partition, facts: Facts) -> str:
    """The cameras of a partition by name; another topic by its own."""
    names = [c.name for c in facts.line.cameras if c.partition == partition.number]
    return ", ".join(names) if partition.topic == FRAMES and names else _place(partition)


def _place(partition: Partition) -> str:
    return f"{partition.topic}/{partition.number}"


def many(number: int, noun: str) -> str:
    """1 part, 2 parts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(time: timedelta) -> str:
    """A duration as people say it."""
    seconds = max(0.0, time.total_seconds())
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
