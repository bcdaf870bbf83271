"""A gate's loop at a hand-moved clock, with the hands of a PLC on its registers; no sockets, no threads."""

from collections.abc import Callable
from pathlib import Path

from core.gate_messages import GateOrdered, GateStands, read
from core.gates import Gate
from core.messages import FrameInspected, PartRouted
from workers.gate.events import Heard, Listening
from workers.gate.image import Coil, Holding, Image, Input, Register
from workers.gate.journal import BOOKS, Journal
from workers.gate.process import Around, GateLoop, Inbox
from workers.gate.report import Report

MS = 1_000_000
START = 1_700_000_000 * 10**9


class Plant:
    """One gate from its journal to its registers. `wall` may jump; `now` never does."""

    def __init__(self, path: Path, *, qualified: bool = True, dead: Callable[[], list[str]] = list[str],
                 cameras_m: dict[str, float] | None = None, **gate: object) -> None:  # fmt: skip
        by_time = {} if "counts_per_m" in gate else {"deadline_ms": 1000}
        self.gate = Gate.model_validate({"name": "g", "cameras": ["top"], **by_time, **gate})
        self.now, self.wall = 10**9, START
        self.journal = Journal(path, busy_seconds=0.01)
        self.journal.targets([BOOKS])
        self.inbox = Inbox()
        self.shown: list[Report] = []
        self.image = Image(self.inbox.put, clock=lambda: self.now, utc=lambda: self.wall)
        around = Around(monotonic=lambda: self.now, utc=lambda: self.wall, show=self.shown.append, dead=dead,
                        cameras_m=cameras_m or {})  # fmt: skip
        self.loop = GateLoop(self.gate, self.image, self.journal, self.inbox, around=around)
        self.frame = 0
        self._beat = False
        self.beats = True
        self.encoder, self.speed = 0, 0.0  # counts, and counts a millisecond; told in each cycle
        self.tells_place = bool(self.gate.counts_per_m)
        self.inbox.put(Listening(""))
        self.write(Coil.LINE_RUNNING, on=True)
        self.pass_time(1)
        if qualified:
            self.order("qualify")

    def order(self, kind: str, **more: object) -> None:
        self.journal.order({"kind": kind, "who": "lead", "why": "test", **more})
        self.pass_time(250)

    def write(self, coil: Coil, *, on: bool) -> None:
        self.image.write_coils(coil, [on])

    def pass_time(self, ms: int) -> None:
        """Turn every 20 ms, with the PLC's heart beating."""
        end = self.now + ms * MS
        while self.now < end:
            self.now = min(end, self.now + 20 * MS)
            self.wall += 20 * MS
            if self.beats:
                self._beat = not self._beat
                self.write(Coil.PLC_HEARTBEAT, on=self._beat)
            self.encoder += int(20 * self.speed)
            if self.tells_place:
                self.image.write_holding(Holding.ENCODER, [self.encoder >> 16, self.encoder & 0xFFFF])
            self.loop.turn(0)

    def trigger(self, seq: int, *, product_code: int = 0) -> None:
        place = [self.encoder >> 16, self.encoder & 0xFFFF]
        self.image.write_holding(Holding.TRIGGER_SEQ, [seq >> 16, seq & 0xFFFF, *place, product_code])
        self.write(Coil.TRIGGER, on=True)
        self.write(Coil.TRIGGER, on=False)
        self.loop.turn(0)

    def hear(self, message: FrameInspected, *, stale: bool = False) -> None:
        self.inbox.put(Heard(message, stale))
        self.loop.turn(0)

    def on(self, place: Input) -> bool:
        return self.image.read_inputs(place, 1)[0]

    def results(self, *, acknowledge: bool = True) -> dict[int, bool]:
        """By trigger number, whether PASS was read; with the handshake."""
        found: dict[int, bool] = {}
        while self.on(Input.RESULT_VALID):
            high, low = self.image.read_registers(Register.RESULT_SEQ, 2)
            found[high << 16 | low] = self.on(Input.PASS)
            if not acknowledge:
                break
            self.write(Coil.RESULT_ACK, on=True)
            self.write(Coil.RESULT_ACK, on=False)
        self.loop.turn(0)
        return found

    def routes(self) -> list[PartRouted]:
        """What the books are told, in order."""
        entries = self.journal.waiting(BOOKS, most=10_000)
        return [PartRouted.from_json(entry.body) for entry in entries if entry.kind == "route"]

    def words(self) -> list[GateOrdered | GateStands]:
        """What else the books are told, in order."""
        entries = self.journal.waiting(BOOKS, most=10_000)
        found = [read(entry.body) for entry in entries if entry.kind in {"order", "state"}]
        return [word for word in found if not isinstance(word, PartRouted)]

    def orders(self) -> list[GateOrdered]:
        return [word for word in self.words() if isinstance(word, GateOrdered)]

    def states(self) -> list[GateStands]:
        return [word for word in self.words() if isinstance(word, GateStands)]

    def route_of(self, seq: int) -> str:
        return next(f"{part.route} {part.reason}".strip() for part in self.routes() if part.trigger_seq == seq)

    def alarms(self) -> dict[str, str]:
        self.pass_time(250)
        return dict(self.shown[-1].alarms)

    def stops(self) -> set[str]:
        self.pass_time(250)
        return set(self.shown[-1].stop)
