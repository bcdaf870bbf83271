"""The real Modbus server and the simulated PLC against each other."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.constants import ExcCodes

from cli.services.service import free_ports
from core.errors import SettingsInvalid, StoreUnavailable
from tests.workers.gate.listeners import until
from workers.gate.events import Acknowledged, Event, Moved, Outputs, Result, Triggered
from workers.gate.image import MIRROR, REGISTERS, Coil, Image, Input
from workers.gate.modbus import ModbusServer
from workers.gate.simulated_plc import SimulatedPlc

HOST = "127.0.0.1"


class Served:
    """An image behind a real server."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.image = Image(self.events.append)
        self.image.show(Outputs(not_qualified=False))
        self.image.beat()
        self.address = (HOST, free_ports(1))


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    with ModbusServer(served.image, served.address):
        yield served


def scan_until(plc: SimulatedPlc, holds: Callable[[], object], what: str) -> None:
    """Let the PLC cycle until something holds."""

    def cycle() -> object:
        plc.scan()
        return holds()

    until(cycle, what)


@contextmanager
def client_of(served: Served) -> Iterator[ModbusTcpClient]:
    client = ModbusTcpClient(HOST, port=served.address[1], retries=0)
    assert client.connect()  # type: ignore[no-untyped-call]
    yield client
    client.close()  # type: ignore[no-untyped-call]


def test_a_part_by_its_number_and_barcode_over_the_wire_and_its_result_back(served: Served) -> None:
    with SimulatedPlc(served.address) as plc:
        plc.move(99_000)
        served.events.clear()
        part = plc.trigger(70_000, code="PCB-0815", product_code=2, lot=4)
        moved, event = served.events
        assert isinstance(moved, Moved)
        assert moved.count == 99_000
        assert isinstance(event, Triggered)
        found = event.trigger
        assert (found.seq, found.code, found.product_code, found.lot) == (70_000, "PCB-0815", 2, "4")
        assert found.encoder == 99_000
        served.image.present(Result(number=0, seq=70_000, accepts=True, code=1, reason_code=0, percent=50))
        scan_until(plc, lambda: part.answer, "the result")
        assert part.answer is not None
        assert (part.answer.passes, part.answer.code, part.answer.percent) == (True, 1, 50)
        assert served.events[2:] == [Acknowledged(0, is_clean=True)]
        served.image.beat()
        plc.scan()
        assert plc.at_gate(part)


def test_every_table_can_be_read_with_the_function_codes_of_any_plc(served: Served) -> None:
    with client_of(served) as client:
        assert client.read_discrete_inputs(Input.READY, count=1).bits[0]
        assert client.write_coil(Coil.BIN_FULL, True).isError() is False
        assert client.read_coils(0, count=9).bits[Coil.BIN_FULL]
        assert served.image.sensors.bin_full
        assert client.write_register(4, 7).isError() is False
        assert client.write_registers(0, [1, 2]).isError() is False
        assert client.read_holding_registers(0, count=5).registers == [1, 2, 0, 0, 7]
        assert len(client.read_input_registers(0, count=REGISTERS).registers) == REGISTERS
        assert len(client.read_holding_registers(MIRROR, count=1 + REGISTERS).registers) == 1 + REGISTERS
        assert client.mask_write_register(address=4, and_mask=0, or_mask=9).isError() is False
        assert client.read_holding_registers(4, count=1).registers == [9]


def test_what_is_not_there_is_an_illegal_address(served: Served) -> None:
    with client_of(served) as client:
        for answer in (
            client.read_discrete_inputs(10, count=2), client.read_coils(9, count=1), client.write_coil(9, True),
            client.read_input_registers(22, count=1), client.read_holding_registers(24, count=1),
            client.write_register(MIRROR, 1),
        ):  # fmt: skip
            assert answer.isError()
            assert answer.exception_code == ExcCodes.ILLEGAL_ADDRESS


def test_two_clients_see_the_same_registers(served: Served) -> None:
    with client_of(served) as one, client_of(served) as two:
        one.write_register(4, 5)
        assert two.read_holding_registers(4, count=1).registers == [5]


def test_noise_on_the_port_ends_nothing(served: Served) -> None:
    with socket.create_connection(served.address) as noise:
        noise.sendall(b"GET / HTTP/1.1\r\n\r\n" * 20)
    with client_of(served) as client:
        assert client.read_discrete_inputs(Input.READY, count=1).bits[0]


def test_a_plc_rejects_by_itself_when_the_gate_s_heartbeat_stands_still(served: Served) -> None:
    now = [0.0]
    with SimulatedPlc(served.address, clock=lambda: now[0]) as plc:
        plc.scan()
        part = plc.trigger(1)
        served.image.present(Result(number=0, seq=1, accepts=True, code=1))
        plc.scan()
        assert part.answer is not None
        now[0] = 1.5
        assert not plc.at_gate(part)


def test_a_plc_takes_no_result_for_a_part_that_has_gone(served: Served) -> None:
    with SimulatedPlc(served.address) as plc:
        part = plc.trigger(1)
        plc.scan()
        assert not plc.at_gate(part)
        served.image.present(Result(number=0, seq=1, accepts=True, code=1))
        scan_until(plc, lambda: len(served.events) == 3, "the acknowledgement")
        assert part.answer is None
        assert part.accepted is False


def test_a_taken_port_is_refused_with_a_word(served: Served) -> None:
    with pytest.raises(SettingsInvalid, match=rf"{HOST}:{served.address[1]}.*gate\.modbus"):
        ModbusServer(served.image, served.address).__enter__()


def test_a_gate_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="worker gate"):
        SimulatedPlc((HOST, free_ports(1))).__enter__()


def test_a_gate_that_goes_away_is_unavailable() -> None:
    served = Served()
    server = ModbusServer(served.image, served.address)
    server.__enter__()
    with SimulatedPlc(served.address) as plc:
        plc.scan()
        server.__exit__(None, None, None)
        assert not server.is_alive
        with pytest.raises(StoreUnavailable, match="does not answer"):
            scan_until(plc, lambda: False, "the end")
