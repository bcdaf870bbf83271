"""Serves the image over Modbus TCP, from a thread of its own."""

import asyncio
import logging
import threading
from contextlib import AbstractContextManager
from typing import Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from core.errors import SettingsInvalid
from workers.gate.image import Image

START_SECONDS = 10.0
READ_COILS, READ_INPUTS, READ_HOLDING, READ_REGISTERS = 1, 2, 3, 4
WRITE_COILS = {5, 15}
READ_HOLDING_ALL = {3, 22, 23}  # masked and combined writes read first
WRITE_HOLDING = {6, 16, 22, 23}


class Served:
    """The image in the shape in which pymodbus asks for its values; the unit number does not matter."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def device_ids(self) -> list[int]:
        """One device."""
        return [1]

    async def async_getValues(  # noqa: N802 - pymodbus calls it so
        self, _device: int, code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        """What a read gets."""
        try:
            if code in READ_HOLDING_ALL:
                return self._image.read_holding(address, count)
            if code == READ_REGISTERS:
                return self._image.read_registers(address, count)
            if code == READ_INPUTS:
                return self._image.read_inputs(address, count)
            return self._image.read_coils(address, count)  # also asked for after a write of coils
        except IndexError:
            return ExcCodes.ILLEGAL_ADDRESS

    async def async_setValues(  # noqa: N802 - pymodbus calls it so
        self, _device: int, code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        """What a write does."""
        try:
            if code in WRITE_COILS:
                self._image.write_coils(address, [bool(value) for value in values])
            elif code in WRITE_HOLDING:
                self._image.write_holding(address, [int(value) for value in values])
            else:
                return ExcCodes.ILLEGAL_FUNCTION
        except IndexError:
            return ExcCodes.ILLEGAL_ADDRESS
        return None


class ModbusServer(AbstractContextManager["ModbusServer"]):
    """Listens from `with` on. Raises SettingsInvalid where it cannot."""

    def __init__(self, image: Image, address: tuple[str, int]) -> None:
        self._image, self._address = image, address
        self._started, self._problem = threading.Event(), ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ModbusTcpServer | None = None
        self._thread = threading.Thread(target=self._run, name="modbus", daemon=True)

    def __enter__(self) -> Self:
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # every hang-up of a PLC would be a line
        self._thread.start()
        self._started.wait(START_SECONDS)
        if self._server is None:
            host, port = self._address
            raise SettingsInvalid(f"nothing can listen at {host}:{port} for the PLC: {self._problem}; see gate.modbus")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._server:
            ending = self._server.shutdown()  # type: ignore[no-untyped-call]
            asyncio.run_coroutine_threadsafe(ending, self._loop)
        self._thread.join(5)

    @property
    def is_alive(self) -> bool:
        """Whether the PLC can reach the gate."""
        return self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            nothing = [SimData(0, datatype=DataType.REGISTERS)]
            server = ModbusTcpServer(SimDevice(0, simdata=nothing), address=self._address)
            server.context = Served(self._image)  # type: ignore[assignment]  # all it asks of one
            await server.serve_forever(background=True)
        except (RuntimeError, OSError) as problem:
            self._problem = str(problem)
            self._started.set()
            return
        self._loop, self._server = asyncio.get_running_loop(), server
        self._started.set()
        await server.serving
