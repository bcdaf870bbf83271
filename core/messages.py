"""What travels between the roles: past-tense facts, their headers and their JSON (design.md §3). Pure: no I/O.

`FrameCaptured`  topic `frames`:   value = the encoded picture, headers = the envelope
`FrameInspected` topic `verdicts`: JSON, at-least-once, keyed by part
`CameraReported` topic `cameras`:  JSON, the capture side's own books
`PartRouted`     topic `routes`:   JSON, at-least-once, where a gate sent a part
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple, Self, get_origin

from core.errors import BadFrame, NoIdentity
from core.verdicts import InvalidReason, MachineVerdict, NoVerdictReason, PhysicalRoute, RunType

FRAMES, VERDICTS, CAMERAS, ROUTES = "frames", "verdicts", "cameras", "routes"
DEAD_LETTERS = {FRAMES: "frames.dlq", CAMERAS: "cameras.dlq", ROUTES: "routes.dlq"}
SCHEMA = 1
Headers = tuple[tuple[str, bytes], ...]

_LATEST_NS = 1 << 62  # the year 2116; beyond it a time is an error, and SQLite's integers stay safe


class FrameId(NamedTuple):
    """The identity of a frame: fixed once at the edge, carried everywhere, never minted per delivery."""

    camera: str
    session: int
    seq: int

    def __str__(self) -> str:
        """The `inspection_id`, for people and idempotent exports."""
        return f"{self.camera}-{self.session}-{self.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCaptured:
    """One picture was taken. `captured_at` and `session` are ns UTC; `deadline_ms` counts from capture, 0 = none.

    `gate` is empty for a picture that is fit to be scored, else an InvalidReason with `gate_detail` in words.
    `blob` is the key of a picture that is too large for the log: the value is empty then, and `blob_bytes` and `sha256`
    are the picture's. `no_verdict` is a NoVerdictReason where the camera's side knows that nobody can judge the part,
    `gate_detail` says why; there is no picture then. `monotonic_at` is the capture on the monotonic clock (ns) of the
    machine's start `boot`, by which a process on the same machine knows the frame's age whatever the wall clock does.
    """

    station: str
    camera: str
    session: int
    seq: int
    captured_at: int
    product: str
    part_id: str = ""
    lot: str = ""
    view: str = ""
    run_type: str = RunType.PRODUCTION
    deadline_ms: int = 0
    encoding: str = "jpeg"
    width: int = 0
    height: int = 0
    gate: str = ""
    gate_detail: str = ""
    sha256: str = ""
    blob: str = ""
    blob_bytes: int = 0
    no_verdict: str = ""
    boot: str = ""
    monotonic_at: int = 0
    traceparent: str = ""
    schema: int = SCHEMA

    @property
    def id(self) -> FrameId:
        """The frame's identity."""
        return FrameId(self.camera, self.session, self.seq)

    def headers(self) -> Headers:
        """The envelope as message headers, UTF-8."""
        return tuple((name, str(getattr(self, name)).encode()) for name in _FIELDS[FrameCaptured])

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes]]) -> Self:
        """Read an envelope back; unknown headers are left alone.

        Raises NoIdentity when camera, session, seq or captured_at is missing or absurd, BadFrame for any other defect.
        """
        texts = _texts(headers)
        identity = _identity(texts)
        if texts.get("schema") != str(SCHEMA):
            raise BadFrame(f"{identity}: envelope schema {texts.get('schema')!r}, this version reads schema {SCHEMA}")
        try:
            values: dict[str, Any] = {
                name: kind(texts[name]) for name, kind in _FIELDS[FrameCaptured].items() if name in texts
            }
            frame = cls(**values)
            RunType(frame.run_type)
            if frame.gate:
                InvalidReason(frame.gate)
            if frame.no_verdict:
                NoVerdictReason(frame.no_verdict)
        except (TypeError, ValueError) as problem:
            raise BadFrame(f"{identity}: unreadable envelope: {problem}") from problem
        return frame


def _texts(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    try:
        return {name: value.decode() for name, value in headers}
    except UnicodeDecodeError as problem:
        raise NoIdentity(f"a header is not UTF-8: {problem}") from problem


def _identity(texts: Mapping[str, str]) -> FrameId:
    try:
        found = FrameId(texts["camera"], int(texts["session"]), int(texts["seq"]))
        captured_at = int(texts["captured_at"])
    except (KeyError, ValueError) as problem:
        raise NoIdentity(f"no usable identity in the headers: {problem!r}") from problem
    sane = (
        found.camera and 0 < found.session < _LATEST_NS and 0 <= found.seq < _LATEST_NS and 0 < captured_at < _LATEST_NS
    )
    if not sane:
        raise NoIdentity(f"no usable identity in the headers: {found}, captured at {captured_at}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInspected:
    """A frame's verdict is in the books. Times are ns UTC; `expires_at` 0 = no deadline."""

    camera: str
    session: int
    seq: int
    captured_at: int
    inspected_at: int
    station: str
    product: str
    part_id: str
    lot: str
    verdict: str
    reason: str
    detail: str
    score: float | None
    t_lo: float | None
    t_hi: float | None
    model: str
    is_late: bool
    expires_at: int = 0
    recipe_version: int = 0
    schema: int = SCHEMA

    @property
    def id(self) -> FrameId:
        """The frame's identity, by which subscribers drop duplicates."""
        return FrameId(self.camera, self.session, self.seq)

    def to_json(self) -> bytes:
        """The message's value."""
        return _json(self)

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read the message back. Raises BadFrame for anything else."""
        return cls(**_fields_of(cls, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReported:
    """The capture side's own books for one camera and session: `state` is RUNNING, LOST or ENDED, times ns UTC.

    `triggered` counts all parts the source offered, `captured` the pictures appended to the log; the next seq is
    `triggered`. What passed without a picture is in the log too, as an envelope with `no_verdict`.
    `minutes` are the minutes of capture that were counted in last, each [start in ns, triggered, captured].
    `spool_bytes` and `spool_oldest_ms` tell what waits in the camera's spool and for how long, `diverted` the parts
    that went on record without their pictures because it was full. `alarm` holds what is wrong on the camera's side,
    one line each that begins with its code: SPOOL_80, SPOOL_FULL, CLOCK_OFFSET. `host` names the machine: two sessions
    of one camera that both go on reporting are two processes that take the same parts.
    """

    camera: str
    station: str
    product: str
    session: int
    state: str
    detail: str
    triggered: int
    captured: int
    reconnects: int
    reported_at: int
    minutes: list[list[int]] = field(default_factory=list)
    spool_bytes: int = 0
    spool_oldest_ms: int = 0
    diverted: int = 0
    alarm: str = ""
    host: str = ""
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The message's value."""
        return _json(self)

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read the message back. Raises BadFrame for anything else."""
        told = cls(**_fields_of(cls, value))
        if not all(map(_is_minute, told.minutes)):
            raise BadFrame(f"not a CameraReported message: minutes {told.minutes!r:.200}")
        return told


class RouteId(NamedTuple):
    """The identity of a route: one run of a gate, and the count of its triggers."""

    gate: str
    session: int
    number: int

    def __str__(self) -> str:
        """The idempotency key of everything that is told of the part."""
        return f"{self.gate}-{self.session}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRouted:
    """A gate is done with a part; exactly one for each trigger. Times ns UTC, 0 = it never came to that.

    gate, session, number: which gate, the start of its process, its how manieth trigger. trigger_seq: the PLC's own
    number, which may come again; `encoder` the belt's position then. verdict and reason: what the gate acted on, and
    `score`, `t_lo`, `model` of the view that decided. action: what the PLC was told, "" = nothing. frames: the pictures
    that were weighed, each [camera, session, seq, captured_at]. bypass: the bypass that was active, "" = none.
    line_state, flags (NOT_QUALIFIED, BYPASS, STOP_REQUEST, FAULT, CHALLENGE_DUE) and alarms are the gate's own then,
    with commas between.
    """

    gate: str
    session: int
    number: int
    station: str
    product: str
    part_id: str
    trigger_seq: int
    lot: str
    triggered_at: int
    commanded_at: int
    routed_at: int
    deadline_ms: int
    verdict: str
    reason: str
    detail: str
    action: str
    route: str
    score: float | None = None
    t_lo: float | None = None
    model: str = ""
    frames: list[list[Any]] = field(default_factory=list)
    encoder: int = 0
    bypass: str = ""
    line_state: str = ""
    flags: str = ""
    alarms: str = ""
    schema: int = SCHEMA

    @property
    def id(self) -> RouteId:
        """By which subscribers drop duplicates."""
        return RouteId(self.gate, self.session, self.number)

    @property
    def frame_ids(self) -> list[FrameId]:
        """The identities of the pictures that were weighed."""
        return [FrameId(camera, session, seq) for camera, session, seq, _ in self.frames]

    def to_json(self) -> bytes:
        """The message's value."""
        return _json(self)

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read the message back. Raises BadFrame for anything else."""
        told = cls(**_fields_of(cls, value))
        numbers = (told.session, told.number, told.trigger_seq, told.triggered_at, told.commanded_at, told.routed_at)
        try:
            MachineVerdict(told.verdict)
            PhysicalRoute(told.route)
        except ValueError as problem:
            raise BadFrame(f"not a PartRouted message: {problem}") from problem
        if not told.gate or not all(map(_is_count, numbers)) or not all(map(_is_frame, told.frames)):
            raise BadFrame(f"not a PartRouted message: {told.gate!r:.80} {numbers} {told.frames!r:.200}")
        return told


def _is_count(number: object) -> bool:
    """A number that every database takes."""
    return type(number) is int and 0 <= number < _LATEST_NS


def _is_frame(found: object) -> bool:
    """Camera, session, seq, captured_at."""
    if not (isinstance(found, list) and len(found) == 4 and isinstance(found[0], str) and found[0]):
        return False
    return all(map(_is_count, found[1:]))


def _is_minute(counts: object) -> bool:
    """Start in ns, triggered, captured: numbers that every database takes."""
    return isinstance(counts, list) and len(counts) == 3 and all(map(_is_count, counts))


Told = FrameInspected | CameraReported | PartRouted

_KINDS: tuple[type[Any], ...] = (FrameCaptured, FrameInspected, CameraReported, PartRouted)
# By kind and field, what a value must be an instance of. Read once: every frame passes here, and `asdict` would copy
# each of its values.
_FIELDS: dict[type, dict[str, Any]] = {
    kind: {f.name: list if get_origin(f.type) is list else f.type for f in fields(kind)} for kind in _KINDS
}
_MAY_LACK: dict[type, set[str]] = {
    kind: {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
    for kind in _KINDS
}
_encoded = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _json(message: Told) -> bytes:
    return _encoded({name: getattr(message, name) for name in _FIELDS[type(message)]}).encode()


def _fields_of(kind: type[Told], value: bytes) -> dict[str, Any]:
    try:
        found = json.loads(value)
        known, may_lack = _FIELDS[kind], _MAY_LACK[kind]
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError("no object of schema 1")
        missing = [name for name in known if name not in found and name not in may_lack]
        wrong = [name for name, wanted in known.items() if name in found and not isinstance(found[name], wanted)]
        if missing or wrong:
            raise ValueError(f"missing {missing}, of another type {wrong}")
    except (ValueError, TypeError) as problem:
        raise BadFrame(f"not a {kind.__name__} message: {problem}") from problem
    return {name: found[name] for name in known if name in found}
