"""The line: which cameras look at which product, where their pictures come from, and the gates behind them.

A TOML file, read by every role.

[[camera]]
name = "ring-top"
station = "station-1"
product = "ring"
source = "simulator:ring?rate=10&defects=0.08"
deadline_ms = 5000

[[gate]]
name = "reject-1"
cameras = ["ring-top"]
distance_m = 1.2
fastest_m_s = 0.5
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import SettingsInvalid
from core.gates import NAME, Gate


class Camera(BaseModel):
    """One camera: its place, its product, its source, and the partition that keeps its frames in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=NAME, description="lower case, digits, . _ -; also a folder name of its pictures")
    station: str = Field(default="station-1", pattern=NAME)
    product: str = Field(pattern=NAME)
    source: str = Field(min_length=1, description="simulator:…, folder:…, video:…, camera:…, rtsp://…")
    partition: int = Field(default=-1, ge=-1, description="-1: its place in the file, modulo the partitions")
    deadline_ms: int = Field(default=0, ge=0, description="from capture to verdict; 0 = none")
    distance_m: float = Field(default=0, ge=0, description="from its gate's trigger to the camera, along the belt")
    lot: str = Field(default="", max_length=64)
    view: str = Field(default="", max_length=64)
    gate: bool = Field(default=True, description="check focus, light and freezing before scoring")
    part_ids: Literal["source", "counter"] = Field(
        default="source", description="counter: a picture without a part id gets the count of the camera's triggers"
    )


class Line(BaseModel):
    """All cameras and gates of a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = "line 1"
    partitions: int = Field(default=4, ge=1, le=64, description="never grown later: a camera's order hangs on it")
    camera: tuple[Camera, ...] = ()
    gate: tuple[Gate, ...] = ()

    @model_validator(mode="after")
    def _names_and_partitions_fit(self) -> Self:
        names = [camera.name for camera in self.camera]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"camera names are used twice: {', '.join(twice)}")
        if wide := [camera.name for camera in self.camera if camera.partition >= self.partitions]:
            raise ValueError(f"{', '.join(wide)}: partition must be below {self.partitions}")
        return self

    @model_validator(mode="after")
    def _gates_fit(self) -> Self:
        cameras = {camera.name: camera for camera in self.camera}
        names = [gate.name for gate in self.gate]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"gate names are used twice: {', '.join(twice)}")
        for gate in self.gate:
            if strange := [name for name in gate.cameras if name not in cameras]:
                raise ValueError(f"gate {gate.name}: the line has no camera {', '.join(strange)}")
            counting = [name for name in gate.cameras if cameras[name].part_ids == "counter"]
            beyond = [name for name in gate.cameras if cameras[name].distance_m >= gate.distance_m]
            if beyond and gate.counts_per_m:
                raise ValueError(f"gate {gate.name}: {', '.join(beyond)} must stand before it: see distance_m of both")
            if counting and not gate.capture_within_ms:
                raise ValueError(
                    f"gate {gate.name}: {', '.join(counting)} only counts its parts; one that it missed would give the "
                    "next part another's verdict, so set capture_within_ms to less than half the time between two parts"
                )
        return self

    def partition_of(self, name: str) -> int:
        """The partition of a camera's frames. Raises SettingsInvalid for a camera that the line does not have."""
        for place, camera in enumerate(self.camera):
            if camera.name == name:
                return camera.partition if camera.partition >= 0 else place % self.partitions
        raise SettingsInvalid(
            f"the line has no camera {name!r}; it has {', '.join(c.name for c in self.camera) or 'none'}"
        )

    def find(self, name: str) -> Camera:
        """The camera of that name. Raises SettingsInvalid as `partition_of`."""
        self.partition_of(name)
        return next(camera for camera in self.camera if camera.name == name)

    def find_gate(self, name: str) -> Gate:
        """The gate of that name. Raises SettingsInvalid for one that the line does not have."""
        for gate in self.gate:
            if gate.name == name:
                return gate
        raise SettingsInvalid(f"the line has no gate {name!r}; it has {', '.join(g.name for g in self.gate) or 'none'}")

    def to_toml(self) -> str:
        """As a line file; what stands at its default is left out."""
        head = [f"name = {_toml(self.name)}", f"partitions = {self.partitions}"]
        tables = [("camera", camera) for camera in self.camera] + [("gate", gate) for gate in self.gate]
        return "\n".join([*head, *(_table(name, of) for name, of in tables)]) + "\n"


def _table(name: str, of: BaseModel) -> str:
    values = of.model_dump(exclude_defaults=True).items()
    return f"\n[[{name}]]\n" + "\n".join(f"{key} = {_toml(value)}" for key, value in values)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(one)}' for key, one in value.items())} }}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_line(path: Path) -> Line:
    """The line file at `path`. Raises SettingsInvalid that says what is wrong with it and how to make one."""
    try:
        return Line.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError as problem:
        raise SettingsInvalid(
            f"no line file at {path}; `flawline demo` makes one, or write it: see docs/line.md"
        ) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, OSError) as problem:
        raise SettingsInvalid(f"line file {path}: {problem}") from problem


def line_of(
    cameras: Iterable[Camera], *, gates: Iterable[Gate] = (), name: str = "line 1", partitions: int = 4
) -> Line:
    """A line put together in code."""
    return Line(name=name, partitions=partitions, camera=tuple(cameras), gate=tuple(gates))
