"""What the simulator hands out: a picture of one part and the truth about it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WIDTH = 640
HEIGHT = 480
MARGIN = 20  # the canvas is larger than the picture, so that a turned or shifted part shows no border


class DefectKind(StrEnum):
    """What can be wrong with a part; the values are also the folder names of a written data set."""

    SCRATCH = "scratch"
    DENT = "dent"
    CONTAMINATION = "contamination"
    MISSING_FEATURE = "missing_feature"
    MISPRINT = "misprint"


class CameraFault(StrEnum):
    """What can be wrong with the camera while the part itself may be good."""

    BLUR = "blur"
    DARK = "dark"
    SATURATED = "saturated"
    FROZEN = "frozen"
    SHIFTED = "shifted"


@dataclass(frozen=True)
class Truth:
    """What is known about one part.

    severity: 0 for a good part, else above 0 (barely visible) up to 1 (gross).
    mask: (480, 640) bool, where the marred part differs visibly from the same part without the defect.
    """

    defect: DefectKind | None
    severity: float
    mask: Mask

    @property
    def label(self) -> str:
        """`good`, or the kind of the defect."""
        return "good" if self.defect is None else self.defect.value


@dataclass(frozen=True)
class SimulatedPart:
    """One photographed part.

    picture: (480, 640, 3) uint8 RGB. fault: what the camera did wrong, if anything; then the picture need not
    show what the truth says.
    """

    picture: Picture
    truth: Truth
    fault: CameraFault | None = None


@dataclass
class Surface:
    """A part as it lies in its own frame, before the camera sees it.

    colour: (520, 680, 3) float32 RGB in display values 0..255, without illumination fall-off and noise.
    alpha: (520, 680) float32, 1 on the part and 0 beside it.
    """

    colour: Floats
    alpha: Floats


@dataclass(frozen=True)
class Box:
    """A rectangle of the canvas, upper bounds excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @classmethod
    def around(cls, x: float, y: float, reach_x: float, reach_y: float | None = None) -> "Box":
        """The box of that reach on each side of a point, cut to the canvas."""
        down = reach_x if reach_y is None else reach_y
        return cls(
            max(0, int(x - reach_x)),
            max(0, int(y - down)),
            min(WIDTH + 2 * MARGIN, int(x + reach_x) + 1),
            min(HEIGHT + 2 * MARGIN, int(y + down) + 1),
        )
