"""What the books keep of the golden parts nearest to a frame: which they were, how far, and where the picture lies."""

import math
from dataclasses import asdict, dataclass
from typing import Any

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A picture of equal tiles side by side: the frame's part first, then the golden parts, the nearest first.

    picture: blob key. width, height: of one tile in px. box: of the highest region in px of a tile, None where the
    whole part is shown. distances: of the golden parts, in spreads of the features on good parts. samples: their places
    in the model's memory.
    """

    picture: str
    width: int
    height: int
    distances: tuple[float, ...]
    samples: tuple[int, ...]
    box: Box | None = None

    def document(self) -> dict[str, Any]:
        """As the row keeps it."""
        return asdict(self)


def compared_of(document: object) -> Compared | None:
    """What a row keeps, read back; None where it keeps nothing, or nothing that this version can show."""
    if not isinstance(document, dict):
        return None
    picture, box = document.get("picture"), document.get("box")
    width, height = document.get("width"), document.get("height")
    distances, samples = _numbers(document.get("distances")), _numbers(document.get("samples"))
    marked = None if box is None else _numbers(box)
    sizes = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    if not (isinstance(picture, str) and picture and sizes and distances and samples):
        return None
    if len(distances) != len(samples) or (box is not None and (marked is None or len(marked) != 4)):
        return None
    return Compared(
        picture=picture, width=int(str(width)), height=int(str(height)), distances=distances,
        samples=tuple(int(one) for one in samples),
        box=None if marked is None else (marked[0], marked[1], marked[2], marked[3]),
    )  # fmt: skip


def _numbers(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, list | tuple):
        return None
    plain = [float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)]
    return tuple(plain) if len(plain) == len(values) else None
