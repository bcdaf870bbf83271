"""What a PLC sees and writes over Modbus (domain.md §10.2): the four tables, the result handshake, the watchdog.

No sockets in here. The PLC's side calls from one thread, the gate's loop from another; every method takes the lock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeVar

from core.verdicts import LineState
from workers.gate.andon import Sensors
from workers.gate.events import (
    LINE_STATES,
    RESULT_CODES,
    Acknowledged,
    Confirmed,
    Event,
    Moved,
    Outputs,
    Result,
    Triggered,
)
from workers.gate.parts import Trigger

T = TypeVar("T")

MOST_HELD = 8
WATCHDOG_NS = 500_000_000
FLIP_NS = 250_000_000
MIRROR = 100
"""Holding registers from here on repeat the outputs: discrete inputs as bits of one word, then the input registers."""
NO_VERDICT = RESULT_CODES[max(RESULT_CODES, key=RESULT_CODES.__getitem__)]


class Input(IntEnum):
    """Discrete inputs: the PLC reads."""

    READY = 0
    BUSY = 1
    RESULT_VALID = 2
    PASS = 3
    FAULT = 4
    HEARTBEAT = 5
    NOT_INSPECTING = 6
    NOT_QUALIFIED = 7
    BYPASS = 8
    STOP_REQUEST = 9
    CHALLENGE_DUE = 10


class Coil(IntEnum):
    """Coils: the PLC writes."""

    TRIGGER = 0
    RESULT_ACK = 1
    PLC_HEARTBEAT = 2
    GATE_CONFIRMED = 3
    BIN_FULL = 4
    BIN_OPEN = 5
    LOW_AIR = 6
    KEY_SWITCH = 7
    LINE_RUNNING = 8


class Holding(IntEnum):
    """Holding registers: the PLC writes. Numbers of 32 bits take two, high word first."""

    TRIGGER_SEQ = 0
    ENCODER = 2
    PRODUCT_CODE = 4
    LOT = 5
    CONFIRMED_SEQ = 6
    BARCODE = 8  # 16 registers of two ASCII characters, filled up with zeros


class Register(IntEnum):
    """Input registers: the PLC reads."""

    RESULT_SEQ = 0
    RESULT_CODE = 2
    REASON_CODE = 3
    SCORE_PERCENT = 4
    MS_AVERAGE = 5
    MS_LEAST = 6
    MS_MOST = 7
    TRIGGERS = 8
    OK = 10
    NG = 12
    TRIGGER_ERRORS = 14
    NO_VERDICT = 16
    INVALID = 18
    LINE_STATE = 20
    RECIPE_VERSION = 21


INPUTS, COILS, HOLDINGS, REGISTERS = len(Input), len(Coil), 24, 22
BARCODE_WORDS = HOLDINGS - Holding.BARCODE


class Image:
    """The registers of one gate. Raises IndexError for what is not there.

    tell: gets an event at once, from the PLC's thread. The PLC acknowledges a result by raising RESULT_ACK and lowers
    it when RESULT_VALID has fallen; only then comes the next. While the gate's loop hangs, or after a fault, there is
    no PASS to be read.
    """

    def __init__(
        self, tell: Callable[[Event], None], *, clock: Callable[[], int] = time.monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self._tell, self._clock, self._utc = tell, clock, utc
        self._lock = threading.Lock()
        self._coils = [False] * COILS
        self._holding = [0] * HOLDINGS
        self._outputs = Outputs()
        self._held: deque[Result] = deque()
        self._is_presented = False  # the first of those held
        self._is_clean = True
        self._last: Result | None = None  # stays readable after its acknowledgement
        self._beat_at: int | None = None
        self._flipped_at, self._heartbeat = 0, False
        self._plc_beat_at: int | None = None

    # --- the gate's side -------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The gate's loop turns; without this for half a second everything falls to its safe state (MI-7)."""
        with self._lock:
            self._beat_at = self._clock()
            if self._beat_at - self._flipped_at >= FLIP_NS:
                self._flipped_at, self._heartbeat = self._beat_at, not self._heartbeat

    def show(self, outputs: Outputs) -> None:
        """Put the gate's state where the PLC reads it."""
        with self._lock:
            self._outputs = outputs

    def present(self, result: Result) -> bool:
        """Hold a result for the PLC; False when it has not taken the last eight."""
        with self._lock:
            if len(self._held) >= MOST_HELD:
                return False
            self._held.append(result)
            self._advance()
            return True

    @property
    def sensors(self) -> Sensors:
        """What the PLC says of the gate's surroundings."""
        with self._lock:
            bits = [bool(self._coils[place]) for place in range(Coil.BIN_FULL, COILS)]
        return Sensors(*bits)

    @property
    def plc_silent_ns(self) -> int | None:
        """How long the PLC's heartbeat has not changed; None = it never did."""
        with self._lock:
            return None if self._plc_beat_at is None else self._clock() - self._plc_beat_at

    # --- the PLC's side --------------------------------------------------------------------------------------------

    def read_inputs(self, address: int, count: int) -> list[bool]:
        """Discrete inputs."""
        with self._lock:
            return _part(self._inputs(), address, count)

    def read_coils(self, address: int, count: int) -> list[bool]:
        """What the PLC wrote."""
        with self._lock:
            return _part(self._coils, address, count)

    def read_registers(self, address: int, count: int) -> list[int]:
        """Input registers."""
        with self._lock:
            return _part(self._registers(), address, count)

    def read_holding(self, address: int, count: int) -> list[int]:
        """What the PLC wrote, and from MIRROR on the outputs."""
        with self._lock:
            if address < MIRROR:
                return _part(self._holding, address, count)
            word = sum(bit << place for place, bit in enumerate(self._inputs()))
            return _part([word, *self._registers()], address - MIRROR, count)

    def write_coils(self, address: int, bits: Sequence[bool]) -> None:
        """Take bits; what they set off happens in the order of the coils."""
        with self._lock:
            before = list(self._coils)
            _check(self._coils, address, len(bits))
            self._coils[address : address + len(bits)] = map(bool, bits)
            if self._coils[Coil.PLC_HEARTBEAT] != before[Coil.PLC_HEARTBEAT] or self._plc_beat_at is None:
                self._plc_beat_at = self._clock()
            rose = {coil for coil in Coil if self._coils[coil] and not before[coil]}
            if Coil.TRIGGER in rose:
                self._tell(Triggered(self._trigger()))
            if Coil.RESULT_ACK in rose:
                self._take_acknowledgement()
            if Coil.GATE_CONFIRMED in rose:
                self._tell(Confirmed(self._number(Holding.CONFIRMED_SEQ)))
            self._advance()

    def write_holding(self, address: int, words: Sequence[int]) -> None:
        """Take registers; but for the encoder's they mean something only when a coil rises after them."""
        with self._lock:
            _check(self._holding, address, len(words))
            self._holding[address : address + len(words)] = words
            if address <= Holding.ENCODER + 1 and address + len(words) > Holding.ENCODER:
                self._tell(Moved(self._number(Holding.ENCODER), self._clock()))

    # --- inside, with the lock taken -------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Show the next result when the handshake of the last one is over; the registers are right before the bit."""
        if not self._is_presented and self._held and not self._coils[Coil.RESULT_ACK]:
            self._last = self._held[0]
            self._is_presented, self._is_clean = True, True

    def _take_acknowledgement(self) -> None:
        if self._is_presented:
            result = self._held.popleft()
            self._is_presented = False
            self._tell(Acknowledged(result.number, self._is_clean and not (result.accepts and self._is_unsafe())))

    def _is_hung(self) -> bool:
        return self._beat_at is None or self._clock() - self._beat_at > WATCHDOG_NS

    def _is_unsafe(self) -> bool:
        return self._is_hung() or self._outputs.fault

    def _inputs(self) -> list[bool]:
        outputs, hung, unsafe = self._outputs, self._is_hung(), self._is_unsafe()
        passes = self._is_presented and self._last is not None and self._last.accepts
        if passes and unsafe:
            self._is_clean = False  # the PLC may have read the PASS before, or will not
        bits = {
            Input.READY: not hung,
            Input.BUSY: self._coils[Coil.TRIGGER],
            Input.RESULT_VALID: self._is_presented and not hung,
            Input.PASS: passes and not unsafe,
            Input.FAULT: unsafe,
            Input.HEARTBEAT: self._heartbeat,
            Input.NOT_INSPECTING: hung or outputs.line_state is LineState.NOT_INSPECTING,
            Input.NOT_QUALIFIED: outputs.not_qualified,
            Input.BYPASS: outputs.bypass,
            Input.STOP_REQUEST: outputs.stop_request,
            Input.CHALLENGE_DUE: outputs.challenge_due,
        }
        return [bits[place] for place in Input]

    def _registers(self) -> list[int]:
        last, outputs, counters = self._last, self._outputs, self._outputs.counters
        code = last.code if last else 0
        if last and last.accepts and self._is_unsafe():
            code = NO_VERDICT
        words = [*_words(last.seq if last else 0), code, last.reason_code if last else 0, last.percent if last else 0]
        words += [min(ms, 0xFFFF) for ms in (outputs.average_ms, outputs.least_ms, outputs.most_ms)]
        for count in (
            counters.triggers, counters.ok, counters.ng, counters.trigger_errors, counters.no_verdict, counters.invalid,
        ):  # fmt: skip
            words += _words(count)
        return [*words, LINE_STATES[outputs.line_state], (last.recipe_version if last else 0) & 0xFFFF]

    def _trigger(self) -> Trigger:
        words = self._holding[Holding.BARCODE :]
        code = b"".join(word.to_bytes(2, "big") for word in words).rstrip(b"\0 ").decode("ascii", "backslashreplace")
        return Trigger(
            seq=self._number(Holding.TRIGGER_SEQ), at=self._clock(), utc=self._utc(), code=code,
            product_code=self._holding[Holding.PRODUCT_CODE], lot=str(self._holding[Holding.LOT] or ""),
            encoder=self._number(Holding.ENCODER),
        )  # fmt: skip

    def _number(self, place: Holding) -> int:
        return self._holding[place] << 16 | self._holding[place + 1]


def _words(number: int) -> list[int]:
    """32 bits, high word first."""
    return [number >> 16 & 0xFFFF, number & 0xFFFF]


def _check(table: Sequence[object], address: int, count: int) -> None:
    if address < 0 or count < 1 or address + count > len(table):
        raise IndexError(f"{count} at {address} of {len(table)}")


def _part(table: Sequence[T], address: int, count: int) -> list[T]:
    _check(table, address, count)
    return list(table[address : address + count])
