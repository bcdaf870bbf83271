"""What a model file says about itself: enough to rebuild the network and to judge what it is worth."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from model.architecture import Architecture
from model.backbones import check_size
from model.capability import Capability
from model.fixture import Box, Fixture
from model.normalisation import IMAGENET, Normalisation, Triple
from model.regions import DEFAULT_MINIMUM_AREA
from model.runtimes import Fingerprint, Precision

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """Strict and immutable: a value of another kind is an error, and so is a name nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSnapshot(Part):
    """Which pictures a model has learnt from.

    digest: SHA-256 over them. counts: pictures by role, such as train and calibration.
    """

    digest: str
    counts: dict[str, int] = {}


class ModelLimits(Part):
    """PASS up to t_lo, REVIEW up to t_hi, FAIL above; t_hi is None where the calibration cannot prove one."""

    t_lo: Finite
    t_hi: Finite | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.t_hi is not None and self.t_hi < self.t_lo:
            raise ValueError(f"t_hi = {self.t_hi} lies below t_lo = {self.t_lo}")
        return self


class CalibrationRecord(Part):
    """Raw scores of held-out normals, on the runtime that they hold for."""

    scores: tuple[Finite, ...]
    fingerprint: Fingerprint


class WideRecord(Part):
    """The memory of neighbourhoods in a model file: middle and spread of its map and of single cells on good parts."""

    middle: Finite
    spread: Finite = Field(gt=0)
    cell_middle: Finite
    cell_spread: Finite = Field(gt=0)


class MemoryRecord(Part):
    """The golden memory in a model file: how many parts, the cells of its grid, and how its map is fused.

    middle and spread: of the student's and of the memory's map on good parts; share: of the memory in the map. wide: of
    the same parts; None for small inputs and in older files.
    """

    parts: int = Field(ge=1)
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    student_middle: Finite
    student_spread: Finite = Field(gt=0)
    golden_middle: Finite
    golden_spread: Finite = Field(gt=0)
    share: Finite = Field(ge=0, le=1)
    wide: WideRecord | None = None


class ParityRecord(Part):
    """How far the runtime that inspects is from PyTorch in float32.

    pictures: of held-out good parts that were compared; 0 where the runtime is that PyTorch itself. largest: difference
    of two values of a raw map. spread: standard deviation of the held-out scores, which gives it a unit; 0 for none.
    """

    pictures: int = Field(ge=0)
    largest: Finite = Field(ge=0)
    spread: Finite = Field(ge=0)

    @property
    def share(self) -> float | None:
        """The difference in units of the spread; None where there is none."""
        return self.largest / self.spread if self.spread else None


class Manifest(Part):
    """The words in a model file's head.

    architecture: as Architecture.to_dict gives it. height, width: of the input. fixture: as Fixture.to_dict gives it.
    ignored: rectangles x, y, width, height in raw pixels that are not looked at. minimum_area: of a listed region, in
    input pixels. precision: what it was calibrated in and is run in. training: settings, report and curves of the run.
    capability: as Capability.to_dict gives it; None where no made-up flaws were tried on the model.
    """

    format: Literal[1] = 1
    architecture: dict[str, str | bool]
    height: int
    width: int
    mean: Triple = IMAGENET.mean
    std: Triple = IMAGENET.std
    fixture: dict[str, JsonValue]
    ignored: tuple[Box, ...] = ()
    minimum_area: int = Field(default=DEFAULT_MINIMUM_AREA, ge=1)
    precision: Precision = "f32"
    training: dict[str, JsonValue] = {}
    data: DataSnapshot | None = None
    memory: MemoryRecord | None = None
    calibration: CalibrationRecord | None = None
    parity: ParityRecord | None = None
    limits: ModelLimits | None = None
    metrics: dict[str, Finite | None] = {}
    capability: dict[str, JsonValue] | None = None
    code_version: str = ""

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, value: dict[str, str | bool]) -> dict[str, str | bool]:
        Architecture.from_dict(value)
        return value

    @field_validator("capability")
    @classmethod
    def _true_capability(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if value is not None:
            Capability.from_dict(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_size(self.height, self.width)
        fixture = self.fitted()
        if (fixture.height, fixture.width) != (self.height, self.width):
            raise ValueError(
                f"the fixture makes {fixture.height}x{fixture.width} px, the network takes {self.height}x{self.width}"
            )
        if self.ignored and fixture.pose is not None:
            raise ValueError(f"rectangles are ignored, but fixture {fixture.kind} finds another place in each picture")
        if self.ignored and fixture.picture is None:
            raise ValueError("rectangles are ignored, but the pictures' size is not fixed, so they have no fixed place")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.height, self.width

    @property
    def normalisation(self) -> Normalisation:
        """How camera values become the network's input."""
        return Normalisation(self.mean, self.std)

    def built(self) -> Architecture:
        """The architecture as its own class."""
        return Architecture.from_dict(self.architecture)

    def fitted(self) -> Fixture:
        """The fixture as its own class."""
        values: dict[str, Any] = dict(self.fixture)
        try:
            return Fixture.from_dict(values)
        except (KeyError, TypeError, IndexError) as problem:
            raise ValueError(f"the fixture of kind {values.get('kind')!r} is not one: {problem!r}") from problem

    def measured(self) -> Capability | None:
        """The capability as its own class."""
        return None if self.capability is None else Capability.from_dict(self.capability)

    def calibrated_for(self, fingerprint: Fingerprint) -> bool:
        """Whether limits and scores were taken on this runtime; otherwise neither PASS nor FAIL may be said."""
        return self.limits is not None and self.calibration is not None and self.calibration.fingerprint == fingerprint
