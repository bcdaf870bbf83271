"""A PLC and its belt for tests and trials: triggers parts, reads results, acts on them, and can do each of it wrong.

It does what docs/gate.md asks of a PLC: it rejects every part for which it holds no PASS when the part is at the gate.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from core.errors import StoreUnavailable
from workers.gate.image import COILS, INPUTS, REGISTERS, Coil, Holding, Input, Register
from workers.gate.simulated_belt import SimulatedBelt, Trouble

BEAT_SECONDS = 0.1
GATE_SILENT_SECONDS = 1.0
SCAN_SECONDS = 0.005


class Mishap(StrEnum):
    """What a PLC or a line can do wrong."""

    SKIP = "skip"  # the part passes and its trigger is lost
    DOUBLE = "double"  # its trigger comes twice
    STRAY = "stray"  # its number is garbled
    NO_ACK = "no-ack"  # results are not acknowledged from here on
    SILENT = "silent"  # the heartbeat stands still from here on
    NO_CONFIRM = "no-confirm"  # the sensor does not see it
    BIN_FULL = "bin-full"  # from here on
    RESTART = "restart"  # the counter begins again at 1
    STAND = "stand"  # the belt stands for two seconds
    REVERSE = "reverse"  # it runs back for half a second
    ENCODER_RESET = "encoder-reset"  # its encoder begins again at 0
    ENCODER_DEAD = "encoder-dead"  # its encoder counts no more, from here on


_OF_BELT = {Mishap.STAND: Trouble.STAND, Mishap.REVERSE: Trouble.REVERSE, Mishap.ENCODER_RESET: Trouble.RESET,
            Mishap.ENCODER_DEAD: Trouble.DEAD}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What the PLC read for a part, `after` seconds from its trigger."""

    passes: bool
    code: int
    reason_code: int
    percent: int
    after: float


@dataclass(slots=True)
class Travelling:
    """A part on the belt. `answer` None: nothing was read for it."""

    seq: int
    triggered_at: float
    code: str = ""
    answer: Answer | None = None
    accepted: bool | None = None  # None: not at the gate yet
    way: float = 0.0  # the belt's at its trigger


class SimulatedPlc(AbstractContextManager["SimulatedPlc"]):
    """One Modbus client in one thread; `scan` is its cycle. Raises StoreUnavailable when the gate does not answer."""

    def __init__(self, address: tuple[str, int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = ModbusTcpClient(address[0], port=address[1], timeout=2, retries=0)
        self._where = f"{address[0]}:{address[1]}"
        self._clock = clock
        self._coils = [False] * COILS
        self._coils[Coil.LINE_RUNNING] = True
        self._beat_at = self._gate_beat_at = 0.0
        self._gate_beat: bool | None = None
        self.inputs = dict.fromkeys(Input, False)
        self.registers = [0] * REGISTERS
        self._encoder = 0
        self.acknowledges = self.beats = True
        self.parts: dict[int, Travelling] = {}

    def __enter__(self) -> Self:
        if not self._client.connect():  # type: ignore[no-untyped-call]
            raise StoreUnavailable(f"no gate answers at {self._where}; start `flawline worker gate NAME` first")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    @property
    def runs(self) -> bool:
        """Whether it says that the line runs."""
        return self._coils[Coil.LINE_RUNNING]

    def set(self, coil: Coil, *, on: bool) -> None:
        """Set an input of the gate; it is written at once."""
        self._coils[coil] = on
        self._write_coils()

    def move(self, count: int) -> None:
        """The belt's encoder stands there."""
        self._encoder = count
        self._write(Holding.ENCODER, _words(count))

    def trigger(self, seq: int, *, code: str = "", product_code: int = 0, lot: int = 0) -> Travelling:
        """Announce a part where the belt was last: its registers first, then the coil, which is lowered again."""
        words = [*_words(seq), *_words(self._encoder), product_code, lot]
        self._write(Holding.TRIGGER_SEQ, words)
        barcode = code.encode("ascii").ljust(32, b"\0")
        self._write(Holding.BARCODE, [int.from_bytes(barcode[i : i + 2], "big") for i in range(0, 32, 2)])
        self.set(Coil.TRIGGER, on=True)
        part = Travelling(seq, self._clock(), code)
        self.parts[seq] = part
        self.set(Coil.TRIGGER, on=False)
        return part

    def confirm(self, seq: int) -> None:
        """The sensor saw this part leave the line."""
        self._write(Holding.CONFIRMED_SEQ, _words(seq))
        self.set(Coil.GATE_CONFIRMED, on=True)
        self.set(Coil.GATE_CONFIRMED, on=False)

    def scan(self) -> None:
        """One cycle: heartbeat, inputs, and a step of the result handshake."""
        now = self._clock()
        if self.beats and now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self.set(Coil.PLC_HEARTBEAT, on=not self._coils[Coil.PLC_HEARTBEAT])
        bits = self._ask(lambda: self._client.read_discrete_inputs(0, count=INPUTS)).bits
        self.inputs = {place: bool(bits[place]) for place in Input}
        if self.inputs[Input.HEARTBEAT] != self._gate_beat:
            self._gate_beat, self._gate_beat_at = self.inputs[Input.HEARTBEAT], now
        if self.inputs[Input.RESULT_VALID] and not self._coils[Coil.RESULT_ACK]:
            self._take_result(now)
        elif not self.inputs[Input.RESULT_VALID] and self._coils[Coil.RESULT_ACK]:
            self.set(Coil.RESULT_ACK, on=False)

    def read_registers(self) -> list[int]:
        """The input registers, now."""
        self.registers = list(self._ask(lambda: self._client.read_input_registers(0, count=REGISTERS)).registers)
        return self.registers

    def read_holding(self, address: int, count: int) -> list[int]:
        """Holding registers, now."""
        return list(self._ask(lambda: self._client.read_holding_registers(address, count=count)).registers)

    def at_gate(self, part: Travelling) -> bool:
        """The part has reached the gate: let it by only with its PASS, and only while the gate is well (INV-2)."""
        is_alive = self._clock() - self._gate_beat_at < GATE_SILENT_SECONDS
        part.accepted = part.answer is not None and part.answer.passes and is_alive
        return part.accepted

    def _take_result(self, now: float) -> None:
        words = self.read_registers()
        seq = words[Register.RESULT_SEQ] << 16 | words[Register.RESULT_SEQ + 1]
        part = self.parts.get(seq)
        if part and part.accepted is None:  # a result for a part that is gone is stale (INV-17)
            passes = self.inputs[Input.PASS] and not self.inputs[Input.FAULT]
            code, reason, percent = (
                words[place] for place in (Register.RESULT_CODE, Register.REASON_CODE, Register.SCORE_PERCENT)
            )
            part.answer = Answer(passes, code, reason, percent, now - part.triggered_at)
        if self.acknowledges:
            self.set(Coil.RESULT_ACK, on=True)

    def _write(self, address: int, words: list[int]) -> None:
        self._ask(lambda: self._client.write_registers(address, words))

    def _write_coils(self) -> None:
        self._ask(lambda: self._client.write_coils(0, self._coils))

    def _ask(self, request: Callable[[], ModbusPDU]) -> ModbusPDU:
        try:
            answer = request()
        except (ModbusException, OSError) as problem:
            raise StoreUnavailable(f"the gate at {self._where} does not answer: {problem}") from problem
        if answer.isError():
            raise StoreUnavailable(f"the gate at {self._where} refuses: {answer}")
        return answer


@dataclass(slots=True)
class Belt:
    """What became of the parts of a trial."""

    parts: list[Travelling] = field(default_factory=list)
    skipped: int = 0
    stops: int = 0  # scans in which the gate asked for a stop

    def counts(self) -> dict[str, int]:
        """For people and programs."""
        return {
            "parts": len(self.parts) + self.skipped,
            "triggered": len(self.parts),
            "accepted": sum(part.accepted is True for part in self.parts),
            "rejected": sum(part.accepted is False for part in self.parts) + self.skipped,
            "without_result": sum(part.answer is None for part in self.parts) + self.skipped,
            "stop_requests": self.stops,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Parts on a belt: how many, how fast, how long to the gate, and what goes wrong at which part, from 0.

    Rate and travel hold while the belt runs. counts_per_s: of its encoder then; 0 = it has none.
    """

    parts: int
    rate: float
    travel: float
    first: int = 1
    product_code: int = 0
    counts_per_s: float = 0
    has_sensor: bool = False
    mishaps: Mapping[int, Iterable[Mishap]] = field(default_factory=dict)


def run_belt(plc: SimulatedPlc, trial: Trial, on_trigger: Callable[[Travelling], None] = lambda _: None) -> Belt:
    """Run a trial to its end, in real time; on_trigger: called with each part that was announced."""
    belt, way = Belt(), SimulatedBelt(trial.counts_per_s, time.monotonic())
    seq, number = trial.first, 0
    silent: set[int] = set()  # seqs that the sensor does not see
    moving: list[Travelling] = []
    while number < trial.parts or moving:
        _move(plc, trial, way)
        if number < trial.parts and way.way >= number / trial.rate:
            mishaps = set(trial.mishaps.get(number, ()))
            seq = 1 if Mishap.RESTART in mishaps else seq
            _begin(plc, way, mishaps)
            if Mishap.SKIP in mishaps:
                belt.skipped += 1
            else:
                part = _announce(plc, trial, seq, mishaps)
                part.way = way.way
                silent |= {part.seq} if Mishap.NO_CONFIRM in mishaps else set()
                belt.parts.append(part)
                moving.append(part)
                on_trigger(part)
            seq, number = seq + 1, number + 1
        plc.scan()
        belt.stops += plc.inputs[Input.STOP_REQUEST]
        while moving and way.way >= moving[0].way + trial.travel:
            part = moving.pop(0)
            if not plc.at_gate(part) and trial.has_sensor and part.seq not in silent:
                plc.confirm(part.seq)
        time.sleep(SCAN_SECONDS)
    return belt


def _move(plc: SimulatedPlc, trial: Trial, way: SimulatedBelt) -> None:
    way.go(time.monotonic())
    if trial.counts_per_s:
        plc.move(way.count)
    if plc.runs != way.runs:
        plc.set(Coil.LINE_RUNNING, on=way.runs)


def _announce(plc: SimulatedPlc, trial: Trial, seq: int, mishaps: set[Mishap]) -> Travelling:
    told = (seq ^ 0x4000_0000) if Mishap.STRAY in mishaps else seq
    for _ in range(1 + (Mishap.DOUBLE in mishaps)):
        part = plc.trigger(told, product_code=trial.product_code)
    return part


def _begin(plc: SimulatedPlc, way: SimulatedBelt, mishaps: set[Mishap]) -> None:
    """What goes wrong from here on."""
    plc.acknowledges = plc.acknowledges and Mishap.NO_ACK not in mishaps
    plc.beats = plc.beats and Mishap.SILENT not in mishaps
    if Mishap.BIN_FULL in mishaps:
        plc.set(Coil.BIN_FULL, on=True)
    for mishap in mishaps & _OF_BELT.keys():
        way.suffer(_OF_BELT[mishap])


def _words(number: int) -> list[int]:
    return [number >> 16 & 0xFFFF, number & 0xFFFF]
