"""What the watch knows of the line at one moment, as plain values. None stands for what could not be looked at."""

from dataclasses import dataclass
from datetime import datetime

from core.broker.protocol import Lag
from core.broker.stall import Stall
from workers.space import Pressure


@dataclass(frozen=True, slots=True)
class Judged:
    """A production frame with its verdict. seconds: capture to verdict."""

    verdict: str
    reason: str
    captured_at: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one capture process told last; `alarm` has a line for each thing that is wrong, its code first."""

    session: int
    state: str
    detail: str
    reported_at: datetime
    alarm: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What does not balance, of settled time only.

    `missing` frames were passed over, at `gaps`; `not_captured` had no picture; `residual` is all without a verdict;
    `unrouted`: None where the camera has no gate.
    """

    residual: int = 0
    missing: int = 0
    gaps: tuple[str, ...] = ()
    not_captured: int = 0
    unrouted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera of the line. `told`: its processes, newest first; `judged`: its live frames, newest first."""

    name: str
    product: str
    partition: int
    deadline_ms: int
    since: datetime
    told: tuple[Told, ...] = ()
    judged: tuple[Judged, ...] = ()
    account: Account = Account()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTold:
    """What a gate said with its newest part; `unconfirmed` parts it commanded lately and no sensor saw."""

    name: str
    alarms: tuple[str, ...] = ()
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the database says. `partition_until`: None without partitions; `backup_at`: None where none was made."""

    cameras: tuple[Camera, ...] = ()
    gates: tuple[GateTold, ...] = ()
    qualified: frozenset[str] = frozenset()  # products with an active model
    duplicates: int = 0
    partition_until: datetime | None = None
    backup_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Messages of one topic that were given up: how many came lately, and when the last did."""

    topic: str
    fresh: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the broker says: how far each group of ours is behind, and what does not move."""

    lags: tuple[Lag, ...] = ()
    stalls: tuple[Stall, ...] = ()
    reports_waiting: int = 0  # camera reports that are not in the books yet
    dead: tuple[DeadLetters, ...] = ()


@dataclass(frozen=True, slots=True)
class Away:
    """A store that does not answer; `why` in words."""

    why: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A process whose beat has stopped. seconds: since when."""

    role: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the rules look at. `silent`: None where no cache tells of beats; `disks`: how full each place is."""

    now: datetime
    line: Line
    log: Log | Away
    retention_seconds: float
    database_away: tuple[datetime, str] | None = None  # since when, and why; it answers again
    silent: tuple[Silent, ...] | None = None
    disks: tuple[Pressure, ...] = ()
