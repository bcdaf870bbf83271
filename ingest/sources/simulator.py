"""The line simulator as a source."""

from types import TracebackType
from typing import Self

from core.errors import SettingsInvalid
from ingest.simulator import CameraFault, Simulator
from ingest.sources.pace import Pace
from ingest.sources.source import Claim, Grabbed, SourceState


def part_id(product: str, seed: int, part: int) -> str:
    """The part's name in the books; `part_number` reads it back."""
    return f"{product}-{seed}-{part}"


def part_number(name: str) -> int:
    """The number of the simulated part in a `part_id`. Raises ValueError for another kind of name."""
    return int(name.rsplit("-", 1)[1])


class SimulatorSource:
    """Renders parts at a rate. The line waits for a slow reader, as a line does whose part sensor is blocked.

    first: number of the first part. parts: how many to make, 0 for no end. Raises SettingsInvalid for an unknown
    product or a share outside 0..1. Building the product takes about two seconds, on entering.
    """

    waits = True
    reconnects = 0
    detail = ""

    def __init__(
        self, product: str, *, seed: int = 1, rate: float = 10.0, parts: int = 0, first: int = 0,
        look: "Look | None" = None,
    ) -> None:  # fmt: skip
        self._product, self._seed = product, seed
        self._rate, self._parts = rate, parts
        self._first, self._next = first, first
        self._look = look or Look()
        self._simulator: Simulator | None = None
        self._pace = Pace(rate)

    def __enter__(self) -> Self:
        if self._simulator is None:
            self._simulator = self.simulator()
        self._pace = Pace(self._rate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def simulator(self) -> Simulator:
        """The simulator itself, which knows the truth about each part. Raises SettingsInvalid as the class says."""
        return self._simulator or self._look.simulator(self._product, self._seed)

    @property
    def state(self) -> SourceState:
        """ENDED after the last of a limited number of parts."""
        return SourceState.ENDED if self._parts and self._next >= self._first + self._parts else SourceState.OPEN

    def read(self, timeout: float) -> Grabbed | None:
        """The next part's picture, when it is due."""
        if self._simulator is None:
            raise SettingsInvalid("the simulator is read before it is opened; use it in a with statement")
        if self.state is SourceState.ENDED or not self._pace.wait(timeout):
            return None
        self._pace.passed()
        part = self._next
        self._next += 1
        name = part_id(self._product, self._seed, part)
        return Grabbed(picture=self._simulator.render(part).picture, name=name, part_id=name)

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        """A simulated part needs no note."""

    def done(self, grabbed: Grabbed) -> None:
        """A simulated part needs no note."""


class Look:
    """How often parts are defective, how many of the defects are barely visible, and what the camera does wrong."""

    def __init__(
        self,
        *,
        defects: float = 0.08,
        subtle: float = 0.10,
        fault_rate: float = 0.0,
        faults: tuple[tuple[range, CameraFault], ...] = (),
    ) -> None:
        self.defects, self.subtle = defects, subtle
        self.fault_rate, self.faults = fault_rate, faults

    def simulator(self, product: str, seed: int) -> Simulator:
        """The simulator. Raises SettingsInvalid for a product or share that nobody can mean."""
        try:
            return Simulator(
                product,
                seed=seed,
                defect_rate=self.defects,
                subtle=self.subtle,
                faults=self.faults,
                fault_rate=self.fault_rate,
            )
        except ValueError as problem:
            raise SettingsInvalid(str(problem)) from problem
