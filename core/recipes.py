"""A recipe: how one product is looked at and judged (ML-30). Versioned in the books, immutable. Pure: no I/O."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import SettingsInvalid
from core.verdicts import Limits


class Roi(BaseModel):
    """A rectangle in raw picture pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class LimitPair(BaseModel):
    """Limits that replace those of the model file: a quality engineer's decision, never an operator's (OP-6)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    t_lo: float = Field(allow_inf_nan=False)
    t_hi: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self.limits()
        return self

    def limits(self) -> Limits:
        """As the decision rule takes them."""
        return Limits(self.t_lo, self.t_hi)


class Recipe(BaseModel):
    """What belongs to one product: fixture, pixel budget, mask, minimum region area, scale, limits, defect classes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    product: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="lower case, digits, . _ -")
    fixture: Literal["auto", "none", "stretch", "roi", "part", "axis", "template"] = Field(
        default="auto", description="how each part is brought into place; auto: the golden pictures decide"
    )
    flat_field: Literal["auto", "on", "off"] = Field(default="auto", description="whether uneven light is taken out")
    roi: Roi | None = Field(default=None, description="for fixture roi; None: around the golden parts")
    budget: int = Field(default=256, ge=64, le=1024, description="input pixels are about budget², aspect kept")
    mask: tuple[Roi, ...] = Field(default=(), description="rectangles in raw pixels that are not looked at")
    min_region_area: int = Field(default=4, ge=1, description="smaller regions are not listed; input pixels")
    millimetres_per_pixel: float | None = Field(
        default=None, gt=0, le=1000, allow_inf_nan=False, description="of the raw picture; areas are in mm² too then"
    )
    limits: LimitPair | None = Field(default=None, description="None: those of the model file")
    classes: tuple[str, ...] = Field(
        default=("Contamination", "Scratch", "Dent", "Missing feature", "Misprint"),
        max_length=9,
        description="defect classes on the review keys 1-9",
    )

    @model_validator(mode="after")
    def _roi_belongs_to_its_fixture(self) -> Self:
        if self.roi is not None and self.fixture != "roi":
            raise ValueError("a roi needs fixture 'roi'")
        return self

    def square_millimetres(self, pixels: float) -> float | None:
        """An area in raw picture pixels as mm²; None where the scale is not known."""
        return None if self.millimetres_per_pixel is None else pixels * self.millimetres_per_pixel**2

    @classmethod
    def parse(cls, text: str) -> Self:
        """A recipe from JSON. Raises SettingsInvalid that names what is wrong with it."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            raise SettingsInvalid(f"recipe: {problem}") from problem
