"""What a PLC reads and writes: tables, handshake, watchdog; no sockets."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.verdicts import LineState
from workers.gate.andon import Sensors
from workers.gate.events import (
    REASON_CODES,
    RESULT_CODES,
    Acknowledged,
    Confirmed,
    Counters,
    Event,
    Moved,
    Outputs,
    Result,
    Triggered,
)
from workers.gate.image import (
    COILS,
    HOLDINGS,
    INPUTS,
    MIRROR,
    MOST_HELD,
    REGISTERS,
    WATCHDOG_NS,
    Coil,
    Holding,
    Image,
    Input,
    Register,
)  # fmt: skip

PASSED = Result(number=0, seq=70_000, accepts=True, code=1, percent=66, recipe_version=3)
FAILED = Result(number=1, seq=70_001, accepts=False, code=2)


class Bench:
    """An image at a hand-moved clock, with the PLC's hands on it."""

    def __init__(self) -> None:
        self.now = 10**9
        self.events: list[Event] = []
        self.image = Image(self.events.append, clock=lambda: self.now, utc=lambda: 5)
        self.image.show(Outputs(line_state=LineState.RUNNING, not_qualified=False))
        self.image.beat()

    def set(self, coil: Coil, *, on: bool) -> None:
        self.image.write_coils(coil, [on])

    def input(self, place: Input) -> bool:
        return self.image.read_inputs(place, 1)[0]

    def seq(self) -> int:
        high, low = self.image.read_registers(Register.RESULT_SEQ, 2)
        return high << 16 | low

    def acknowledge(self) -> None:
        self.set(Coil.RESULT_ACK, on=True)
        self.set(Coil.RESULT_ACK, on=False)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535), st.integers(0, 65535), st.text("AZ09-_", max_size=32))
def test_a_trigger_carries_what_stands_in_the_registers(seq: int, product: int, lot: int, code: str) -> None:
    bench = Bench()
    bench.image.write_holding(Holding.TRIGGER_SEQ, [seq >> 16, seq & 0xFFFF, 0, 0, product, lot])
    raw = code.encode().ljust(32, b"\0")
    bench.image.write_holding(Holding.BARCODE, [int.from_bytes(raw[i : i + 2], "big") for i in range(0, 32, 2)])
    bench.set(Coil.TRIGGER, on=True)
    _, event = bench.events  # the first tells of the encoder
    assert isinstance(event, Triggered)
    found = event.trigger
    assert (found.seq, found.product_code, found.code, found.at, found.utc) == (seq, product, code, bench.now, 5)
    assert found.lot == (str(lot) if lot else "")


@pytest.mark.parametrize(("address", "words"), [(2, [1, 4464]), (0, [0, 7, 1, 4464, 0, 0]), (3, [4464])])
def test_the_encoder_is_heard_with_each_write_also_while_it_stands(address: int, words: list[int]) -> None:
    bench = Bench()
    bench.image.write_holding(Holding.ENCODER, [1, 0])
    bench.now += 5
    for _ in range(2):
        bench.image.write_holding(address, words)
    assert bench.events == [Moved(65_536, bench.now - 5), *[Moved(70_000, bench.now)] * 2]
    bench.image.write_holding(Holding.PRODUCT_CODE, [1])
    assert len(bench.events) == 3
    bench.set(Coil.TRIGGER, on=True)
    event = bench.events[-1]
    assert isinstance(event, Triggered)
    assert event.trigger.encoder == 70_000


def test_a_trigger_is_an_edge_and_busy_says_that_it_was_taken(bench: Bench) -> None:
    bench.set(Coil.TRIGGER, on=True)
    bench.set(Coil.TRIGGER, on=True)  # PLCs write all their coils in each cycle
    assert len(bench.events) == 1
    assert bench.input(Input.BUSY)
    bench.set(Coil.TRIGGER, on=False)
    assert not bench.input(Input.BUSY)
    bench.set(Coil.TRIGGER, on=True)
    assert len(bench.events) == 2


def test_a_barcode_that_is_no_ascii_is_no_other_part_s(bench: Bench) -> None:
    bench.image.write_holding(Holding.BARCODE, [0xC3A4])
    bench.set(Coil.TRIGGER, on=True)
    (event,) = bench.events
    assert isinstance(event, Triggered)
    assert event.trigger.code == "\\xc3\\xa4"


def test_a_result_stands_until_it_is_acknowledged_and_the_next_follows_the_handshake(bench: Bench) -> None:
    assert bench.image.present(PASSED)
    assert bench.image.present(FAILED)
    assert (bench.seq(), bench.input(Input.RESULT_VALID), bench.input(Input.PASS)) == (70_000, True, True)
    bench.set(Coil.RESULT_ACK, on=True)
    assert bench.events == [Acknowledged(0, is_clean=True)]
    assert (bench.input(Input.RESULT_VALID), bench.input(Input.PASS)) == (False, False)
    assert bench.seq() == 70_000, "the next comes only when RESULT_ACK has fallen"
    bench.set(Coil.RESULT_ACK, on=False)
    assert (bench.seq(), bench.input(Input.RESULT_VALID), bench.input(Input.PASS)) == (70_001, True, False)
    bench.acknowledge()
    assert bench.events[1:] == [Acknowledged(1, is_clean=True)]
    bench.acknowledge()
    assert len(bench.events) == 2, "there was nothing to acknowledge"


def test_up_to_eight_results_are_held_and_a_ninth_is_refused(bench: Bench) -> None:
    results = [replace(FAILED, number=n, seq=n) for n in range(MOST_HELD + 1)]
    assert [bench.image.present(each) for each in results] == [True] * MOST_HELD + [False]
    seen = []
    while bench.input(Input.RESULT_VALID):
        seen.append(bench.seq())
        bench.acknowledge()
    assert seen == list(range(MOST_HELD))


def test_the_registers_of_a_result(bench: Bench) -> None:
    counters = Counters(triggers=1 << 20, ok=2, ng=3, trigger_errors=4, no_verdict=5, invalid=6)
    bench.image.show(Outputs(counters=counters, average_ms=70, least_ms=60, most_ms=10**6, not_qualified=False,
                             line_state=LineState.DEGRADED))  # fmt: skip
    bench.image.present(replace(PASSED, reason_code=9))
    assert bench.image.read_registers(0, REGISTERS) == [
        1, 4464, 1, 9, 66, 70, 60, 65535, 16, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 2, 3,
    ]  # fmt: skip


def test_outputs_are_mirrored_for_a_plc_that_reads_holding_registers_only(bench: Bench) -> None:
    bench.image.present(PASSED)
    word, *rest = bench.image.read_holding(MIRROR, 1 + REGISTERS)
    assert [bool(word >> place & 1) for place in range(INPUTS)] == bench.image.read_inputs(0, INPUTS)
    assert rest == bench.image.read_registers(0, REGISTERS)


def test_a_gate_whose_loop_hangs_falls_to_its_safe_state(bench: Bench) -> None:
    bench.image.present(PASSED)
    bench.now += WATCHDOG_NS + 1
    assert {place for place in Input if bench.input(place)} & {Input.READY, Input.RESULT_VALID, Input.PASS} == set()
    assert bench.input(Input.FAULT)
    assert bench.input(Input.NOT_INSPECTING)
    bench.image.beat()
    assert bench.input(Input.RESULT_VALID)


def test_a_gate_that_has_not_begun_is_in_its_safe_state_too() -> None:
    image = Image(lambda _: None)
    assert image.read_inputs(Input.FAULT, 1) == [True]
    assert image.read_inputs(Input.READY, 1) == [False]


def test_fault_and_pass_are_never_read_together_and_the_code_follows(bench: Bench) -> None:
    bench.image.present(PASSED)
    bench.image.show(Outputs(fault=True))
    assert (bench.input(Input.PASS), bench.input(Input.FAULT)) == (False, True)
    assert bench.image.read_registers(Register.RESULT_CODE, 1) == [5]


def test_a_pass_that_was_taken_back_while_it_stood_is_not_clean(bench: Bench) -> None:
    bench.image.present(PASSED)
    bench.image.show(Outputs(fault=True))
    assert not bench.input(Input.PASS)
    bench.image.show(Outputs())
    bench.acknowledge()
    assert bench.events == [Acknowledged(0, is_clean=False)]


def test_a_pass_that_is_acknowledged_during_a_fault_is_not_clean_and_a_reject_is(bench: Bench) -> None:
    bench.image.present(PASSED)
    bench.image.present(FAILED)
    bench.image.show(Outputs(fault=True))
    bench.acknowledge()
    bench.acknowledge()
    assert bench.events == [Acknowledged(0, is_clean=False), Acknowledged(1, is_clean=True)]


def test_the_heartbeat_changes_only_while_the_loop_turns(bench: Bench) -> None:
    seen = set()
    for _ in range(10):
        bench.now += 100_000_000
        bench.image.beat()
        seen.add(bench.input(Input.HEARTBEAT))
    assert seen == {True, False}
    still = set()
    for _ in range(10):
        bench.now += 100_000_000
        still.add(bench.input(Input.HEARTBEAT))
    assert len(still) == 1


def test_the_plc_is_heard_by_the_change_of_its_heartbeat(bench: Bench) -> None:
    assert bench.image.plc_silent_ns is None
    bench.set(Coil.PLC_HEARTBEAT, on=True)
    bench.now += 7
    bench.set(Coil.PLC_HEARTBEAT, on=True)
    assert bench.image.plc_silent_ns == 7
    bench.set(Coil.PLC_HEARTBEAT, on=False)
    assert bench.image.plc_silent_ns == 0


def test_the_sensor_names_the_part_that_it_saw(bench: Bench) -> None:
    bench.image.write_holding(Holding.CONFIRMED_SEQ, [1, 4464])
    bench.set(Coil.GATE_CONFIRMED, on=True)
    assert bench.events == [Confirmed(70_000)]


def test_sensors_are_coils_in_their_order(bench: Bench) -> None:
    bench.image.write_coils(Coil.BIN_FULL, [True, False, True, False, True])
    assert bench.image.sensors == Sensors(bin_full=True, low_air=True, line_running=True)
    assert bench.image.read_coils(Coil.BIN_FULL, 5) == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("method", "address", "count"),
    [
        ("read_inputs", 0, INPUTS + 1), ("read_inputs", -1, 1), ("read_coils", COILS, 1), ("read_registers", 0, 0),
        ("read_registers", REGISTERS - 1, 2), ("read_holding", HOLDINGS, 1), ("read_holding", MIRROR + REGISTERS, 2),
    ],
)  # fmt: skip
def test_what_is_not_there_cannot_be_read(bench: Bench, method: str, address: int, count: int) -> None:
    with pytest.raises(IndexError):
        getattr(bench.image, method)(address, count)


def test_what_is_not_there_cannot_be_written_and_nothing_is_written_by_half(bench: Bench) -> None:
    with pytest.raises(IndexError):
        bench.image.write_coils(COILS - 1, [True, True])
    with pytest.raises(IndexError):
        bench.image.write_holding(HOLDINGS - 1, [1, 1])
    with pytest.raises(IndexError):
        bench.image.write_holding(MIRROR, [1])
    assert bench.image.read_coils(0, COILS) == [False] * COILS
    assert bench.image.read_holding(0, HOLDINGS) == [0] * HOLDINGS


def test_the_manual_prints_every_address_and_code() -> None:
    manual = (Path(__file__).resolve().parents[3] / "docs/gate.md").read_text()
    assert [place for place in Input if f"| {place.value} {place.name} |" not in manual] == []
    assert [coil for coil in Coil if f"| {coil.value} {coil.name} |" not in manual] == []
    said = " ".join(manual.split())
    assert [name for name, code in REASON_CODES.items() if f"{code} {name}" not in said] == []
    assert [name for name, code in RESULT_CODES.items() if f"{code} {name}" not in said] == []
