"""Gathers the facts of one moment for the watch: from the database, the broker, the cache and the disks."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.broker.protocol import Broker, Lag, Partition
from core.broker.stall import StallWatch
from core.database import Database
from core.errors import StoreUnavailable
from core.live import Live
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, ROUTES
from core.partitions import next_missing
from core.records import alerts, gate_words, models, signs, watching
from core.records.books import Gap, SessionBook, books
from core.records.minutes import MINUTE, by_camera, minutes
from core.settings import Settings
from workers.bookkeeping import GROUP as REPORTS
from workers.bookkeeping import ROUTE_GROUP
from workers.facts import Account, Away, Camera, DeadLetters, Facts, GateTold, Judged, Line, Log, Silent, Told
from workers.space import PICTURES, Pressure, fullness

ACCOUNTS_EVERY = 15.0  # s: counting costs more than the rest
BALANCED_SINCE = timedelta(hours=8)  # a shift: a part that nobody knows of is told until then
GAPS_SINCE = timedelta(hours=1)
JUST_NOW = timedelta(minutes=5)
STALL_SECONDS = 5.0  # domain.md §3.2
BEAT_WITHIN, FORGOTTEN_AFTER = 15.0, 600.0  # s
LETTERS_WITHIN = timedelta(minutes=10)
COUNTED_WITHIN = timedelta(hours=1)  # a first count of a large store takes long
REPORTS_BEHIND = 5_000_000_000  # ns
INSPECTION = "inspection"  # workers.inspection.GROUP, which is not imported: it would bring torch along
GROUPS = {FRAMES: INSPECTION, CAMERAS: REPORTS, ROUTES: ROUTE_GROUP}
LOOKER = "watch"  # a group that never commits: asked for the ends of topics alone


@dataclass(slots=True)
class Letters:
    """The dead letters of one topic: how many there were in all, how many came lately, and when the last did."""

    end: int
    fresh: int
    last_at: datetime

    def text(self) -> str:
        """As a mark keeps it."""
        return f"{self.end} {self.fresh}"


@dataclass
class Looker:
    """Looks again and again; remembers what only two looks together tell. Owned by one thread."""

    database: Database
    open_broker: Callable[[], Broker]
    live: Live
    settings: Settings
    now: Callable[[], datetime]
    seconds: Callable[[], float] = time.monotonic
    _broker: Broker | None = None
    _stalls: StallWatch = field(default_factory=lambda: StallWatch(STALL_SECONDS))
    _beats: dict[tuple[str, str], float] = field(default_factory=dict)
    _most: dict[str, tuple[int, float]] = field(
        default_factory=dict
    )  # processes of a role, and when there were as many
    _accounts: tuple[float, dict[str, Account], int] | None = None
    letters: dict[str, Letters] = field(default_factory=dict)

    def look(self, *, database_away: tuple[datetime, str] | None = None) -> Facts:
        """All facts of this moment. Raises StoreUnavailable when the database is away."""
        now = self.now()
        log = self._log(now)
        with self.database.reading() as connection:
            line = self._line(connection, now)
            counted = alerts.all_marks(connection, PICTURES).get(PICTURES)
        return Facts(
            now=now, line=line, log=log, retention_seconds=self.settings.broker.retention_hours * 3600,
            database_away=database_away, silent=self._silent(), disks=self._disks(counted, now))  # fmt: skip

    def close(self) -> None:
        """Let go of the broker."""
        broker, self._broker = self._broker, None
        if broker:
            broker.close()

    def _line(self, connection: Connection, now: datetime) -> Line:
        known = watching.in_line(connection)
        accounts, duplicates = self._balance(connection, now, {camera.name: camera.deadline_ms for camera in known})
        gates = gate_words.gates(connection, since=now - JUST_NOW)
        return Line(
            cameras=tuple(_camera(connection, camera, accounts.get(camera.name, Account()), now) for camera in known),
            gates=tuple(GateTold(name=g.gate, alarms=g.alarms, unconfirmed=g.unconfirmed) for g in gates),
            qualified=frozenset(models.active(connection)),
            duplicates=duplicates,
            partition_until=next_missing(connection, now=now),
            backup_at=alerts.marked(connection, alerts.BACKUP),
        )

    def _balance(
        self, connection: Connection, now: datetime, deadlines: Mapping[str, int]
    ) -> tuple[dict[str, Account], int]:
        if self._accounts is None or self.seconds() - self._accounts[0] >= ACCOUNTS_EVERY:
            counted = minutes(connection, since=now - BALANCED_SINCE, until=now + MINUTE)
            checked = books(connection, now=now, since=now - GAPS_SINCE, most_gaps=3)
            found: dict[str, Account] = {}
            for book in by_camera(counted, now=now, deadlines=deadlines):
                mine = [session for session in checked.sessions if session.camera == book.camera]
                found[book.camera] = Account(
                    residual=book.residual, missing=sum(session.missing for session in mine), gaps=_named(mine),
                    not_captured=sum(m.not_captured for m in book.minutes if m.residual), unrouted=book.unrouted,
                )  # fmt: skip
            self._accounts = self.seconds(), found, checked.duplicates
        return self._accounts[1], self._accounts[2]

    def _log(self, now: datetime) -> Log | Away:
        try:
            self._broker = self._broker or self.open_broker()
            lags = {topic: self._broker.lag(topic, group=group) for topic, group in GROUPS.items()}
            dead = {topic: self._broker.lag(topic, group=LOOKER) for topic in DEAD_LETTERS.values()}
        except StoreUnavailable as problem:
            self.close()
            self._stalls.forget()
            return Away(str(problem).rstrip("."))
        except ValueError as problem:
            return Away(f"{problem}; run flawline topics apply")
        every = [lag for found in lags.values() for lag in found]
        waiting = [lag for lag in lags[CAMERAS] if lag.since and now.timestamp() * 1e9 - lag.since > REPORTS_BEHIND]
        return Log(
            lags=tuple(every),
            stalls=tuple(self._stalls.look(lags[FRAMES], _places(lags[FRAMES]), self.seconds())),
            reports_waiting=sum(lag.records for lag in waiting),
            dead=tuple(self._dead({topic: sum(lag.end for lag in found) for topic, found in dead.items()}, now)),
        )

    def _dead(self, ends: Mapping[str, int], now: datetime) -> Iterable[DeadLetters]:
        for topic, end in ends.items():
            known = self.letters.setdefault(topic, Letters(0, 0, now))
            if end != known.end:
                more = end - known.end if end > known.end else end  # fewer: the topic was made anew
                before = known.fresh if now - known.last_at < LETTERS_WITHIN else 0
                self.letters[topic] = known = Letters(end, before + more, now)
            if known.fresh and now - known.last_at < LETTERS_WITHIN:
                yield DeadLetters(topic=topic, fresh=known.fresh, last_at=known.last_at)

    def _silent(self) -> tuple[Silent, ...] | None:
        """Processes whose beat has stopped, as far as fewer of their role are alive than lately."""
        beats = self.live.beats()
        if beats is None:
            return None
        now = self.seconds()
        self._beats |= {(beat.role, beat.name): now for beat in beats}
        self._beats = {who: at for who, at in self._beats.items() if now - at < FORGOTTEN_AFTER}
        found: list[Silent] = []
        for role in sorted({role for role, _ in self._beats}):
            ages = {name: now - at for (r, name), at in self._beats.items() if r == role}
            gone = {name: age for name, age in ages.items() if age >= BEAT_WITHIN}
            alive = len(ages) - len(gone)
            most, at = self._most.get(role, (0, now))
            if alive >= most or now - at > FORGOTTEN_AFTER:
                most = alive
                self._most[role] = alive, now
            missing = sorted(gone, key=lambda name: gone[name])[: most - alive]
            found += [Silent(role, name, gone[name]) for name in missing]
        return tuple(found)

    def _disks(self, counted: tuple[datetime, str] | None, now: datetime) -> tuple[Pressure, ...]:
        fresh = counted is not None and now - counted[0] < COUNTED_WITHIN
        try:
            return fullness(self.settings, counted[1] if counted and fresh else None)
        except StoreUnavailable:
            return ()


def _camera(connection: Connection, camera: watching.Watched, account: Account, now: datetime) -> Camera:
    told = signs.newest(connection, camera.name)
    judged = watching.live(connection, camera.name, now=now)
    return Camera(
        **camera._asdict(),
        account=account,
        told=tuple(Told(**asdict(one)) for one in told),
        judged=tuple(Judged(s.verdict, s.reason, s.captured_at, s.latency_ms / 1000) for s in judged),
    )


def _places(lags: Iterable[Lag]) -> set[Partition]:
    return {lag.partition for lag in lags}


def _named(sessions: Iterable[SessionBook]) -> tuple[str, ...]:
    """The first gaps, as a person finds them: no. 12 to 15 of session 1764…"""
    return tuple(f"{_range(gap)} of session {book.session}" for book in sessions for gap in book.gaps)[:3]


def _range(gap: Gap) -> str:
    return f"no. {gap.first}" if gap.first == gap.last else f"no. {gap.first} to {gap.last}"
