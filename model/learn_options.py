"""How to learn a product: what a person may want otherwise than it is by default."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from model.architecture import Architecture
from model.backbones import SIDE_STEP
from model.calibration import FAIL_RATE, REVIEW_RATE
from model.fixture import Box, Kind
from model.fixture_choice import FixtureAsked
from model.foreground import Kind as ForegroundKind
from model.fusion import Witness
from model.pace import Budget
from model.regions import DEFAULT_MINIMUM_AREA
from model.runtimes import Precision, RuntimeName
from model.training import Rates, Schedule
from model.views import LARGEST_TILE, SMALLEST_TILE, Turns
from model.warm_start import WarmStart


@dataclass(frozen=True)
class LearnOptions:
    """How to learn a product.

    budget: of the whole job. size: input pixels are about size². fixture, flat: how pictures are brought into place,
    and whether uneven light is taken out; by default the golden pictures decide. roi, ignored: x, y, width, height in
    raw pixels.
    review_rate, fail_rate: shares of good parts that may be sent to a person, or thrown away. textures: a folder of
    pictures for synthetic anomalies; None for procedural ones and the product's own. threads: exactly so many; None for
    as many as pay beside whatever else is running. weights: where ImageNet weights lie; None for the usual places.
    capability: whether graded made-up flaws are tried on the calibrated model. turns: how training pictures may be
    flipped and turned; auto: as good parts already look, see model.turning. tile: pixels of a side of the square tiles
    of a larger input that networks train on; 0 for whole pictures, None for 256 where the input is more than twice as
    large. Inspection always looks at the whole input. warm_start: an earlier model whose networks learn on.
    """

    architecture: Architecture = field(default_factory=Architecture)
    budget: Budget = field(default_factory=lambda: Budget(seconds=180))
    size: int = 256
    fixture: Kind | Literal["auto"] = "auto"
    flat: bool | None = None
    roi: Box | None = None
    ignored: tuple[Box, ...] = ()
    minimum_area: int = DEFAULT_MINIMUM_AREA
    batch: int = 4
    seed: int = 0
    schedule: Schedule = "staged"
    rates: Rates = "constant"
    foreground: ForegroundKind = "none"
    textures: Path | None = None
    runtime: RuntimeName = "auto"
    precision: Precision = "f32"
    witness: Witness = "both"
    review_rate: float = REVIEW_RATE
    fail_rate: float = FAIL_RATE
    threads: int | None = None
    weights: Path | None = None
    capability: bool = True
    turns: Turns | Literal["auto"] = "auto"
    tile: int | None = None
    warm_start: WarmStart | None = None

    def __post_init__(self) -> None:
        if self.foreground == "roi":
            raise ValueError("the fixture already cuts the ROI out; choose foreground none, otsu or grabcut")
        self.fixture_asked()
        if not 64 <= self.size <= 1024:
            raise ValueError(f"size {self.size}: 64 to 1024 is offered")
        if self.tile and (not SMALLEST_TILE <= self.tile <= LARGEST_TILE or self.tile % SIDE_STEP):
            raise ValueError(
                f"tiles of {self.tile} px: 0 for none, or {SMALLEST_TILE} to {LARGEST_TILE} in steps of {SIDE_STEP}"
            )

    def fixture_asked(self) -> FixtureAsked:
        """What is asked of the fixture. Raises ValueError for what does not go together."""
        return FixtureAsked(self.fixture, self.flat, self.roi, still=bool(self.ignored))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file and reports."""
        return asdict(self) | {
            "roi": list(self.roi) if self.roi else None,
            "ignored": [list(box) for box in self.ignored],
            "architecture": self.architecture.to_dict(),
            "budget": str(self.budget),
            "textures": str(self.textures) if self.textures else None,
            "weights": str(self.weights) if self.weights else None,
            "warm_start": str(self.warm_start.path) if self.warm_start else None,
        }
