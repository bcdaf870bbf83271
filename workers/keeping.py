"""What is kept of a frame's pictures, by its verdict (streaming.md §5): the rule, and the small pictures.

kind    of                                size and life
frame   all but PASS                      the bytes as they came; the evidence
sample  a share of PASS                   the bytes as they came
thumb   all but PASS                      up to 640 px; for strips and queues
ring    PASS                              up to 640 px, hours; what the Line page shows
heat    FAIL and REVIEW, or all scored    8-bit map, its range in the row
golden  FAIL and REVIEW                   the part beside the golden parts nearest to it, equal tiles side by side
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.blobs.keys import Kind, frame_key
from core.blobs.protocol import Item
from core.messages import FrameCaptured
from core.records.compared import Compared
from core.verdicts import MachineVerdict
from model.neighbours import Comparison
from model.predictor import Prediction

SMALL = 640  # px, the longer side of a small picture: a tile of the wall is 456 px wide with four cameras, 663 with two
QUALITY = 75  # of a small picture; at 85 it takes a third more bytes, and no tile looks better
HEAT = 320  # px, the longer side of a stored heat map, which shows the whole picture
SUFFIX = {"jpeg": "jpg", "png": "png"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to keep: the encoded picture, and where they exist its small JPEG and what the model says of it.

    golden: the part beside the golden parts nearest to it.
    """

    value: bytes
    small: bytes | None = None
    seen: Prediction | None = None
    golden: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a frame: the keys, the heat map's range, what is told of the golden parts beside it, the small
    JPEG, and all that is to be stored.
    """

    picture: str | None = None
    thumb: str | None = None
    heat: str | None = None
    heat_min: float | None = None
    heat_max: float | None = None
    golden: Compared | None = None
    small: bytes | None = None
    items: tuple[Item, ...] = ()


class Keeper:
    """Says what is kept, under names that follow from the frame's identity, so that a retry overwrites its own."""

    def __init__(self, *, sample_share: float, all_heat: bool) -> None:
        self._sample_share = sample_share
        self._all_heat = all_heat

    def __call__(self, frame: FrameCaptured, verdict: MachineVerdict, evidence: Evidence) -> Kept:
        """Encode what the rule keeps; nothing is stored yet."""
        passed = verdict is MachineVerdict.PASS
        items: list[Item] = []

        def put(kind: Kind, data: bytes, suffix: str, *, durable: bool) -> str:
            items.append((frame_key(kind, frame.id, frame.captured_at, suffix), data, durable))
            return items[-1][0]

        picture = thumb = heat = low = high = None
        if evidence.value and (not passed or is_sampled(str(frame.id), self._sample_share)):
            suffix = SUFFIX.get(frame.encoding, "bin")
            picture = put(Kind.SAMPLE if passed else Kind.FRAME, evidence.value, suffix, durable=not passed)
        if evidence.small is not None:
            thumb = put(Kind.RING if passed else Kind.THUMB, evidence.small, "jpg", durable=False)
        found = evidence.seen
        if found is not None and found.placement is not None and self._keeps_heat(verdict, found):
            encoded, low, high = heat_png(found.placement.on_picture(found.map, HEAT))
            heat = put(Kind.HEAT, encoded, "png", durable=not passed)
        golden = None
        if evidence.golden is not None and verdict in (MachineVerdict.FAIL, MachineVerdict.REVIEW):
            # Not durable: it is for people alone, and a flush to the disk would hold up the verdict.
            golden = told_of(evidence.golden, put(Kind.GOLDEN, golden_jpeg(evidence.golden), "jpg", durable=False))
        return Kept(picture, thumb, heat, low, high, golden, evidence.small, tuple(items))

    def _keeps_heat(self, verdict: MachineVerdict, found: Prediction) -> bool:
        wanted = self._all_heat or verdict in (MachineVerdict.FAIL, MachineVerdict.REVIEW)
        return wanted and bool(np.isfinite(found.map).all())


def is_sampled(identity: str, share: float) -> bool:
    """Whether a passing part is among the `share` that is kept in full; the same answer each time it is asked."""
    return zlib.crc32(identity.encode()) < share * 2**32


def small_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of a (H, W, 3) RGB picture, halved until its longer side has at most SMALL pixels.

    An average over two by two pixels takes a twentieth of the time of one over fractions of pixels, and the line pays
    for it with every part.
    """
    while max(picture.shape[:2]) > SMALL:
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        even = picture[: max(2, height), : max(2, width)]
        picture = np.asarray(cv2.resize(even, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA))
    return _encoded(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def golden_jpeg(found: Comparison) -> bytes:
    """The tiles of a comparison side by side, as one JPEG."""
    side_by_side = np.concatenate(list(found.tiles), axis=1)
    return _encoded(".jpg", cv2.cvtColor(side_by_side, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def told_of(found: Comparison, key: str) -> Compared:
    """What the row tells of a comparison that is stored under this key."""
    _, height, width, _ = found.tiles.shape
    box = None if found.box is None else tuple(round(side, 1) for side in found.box)
    return Compared(
        picture=key, width=width, height=height, samples=found.nearest.samples, distances=found.nearest.distances,
        box=None if box is None else (box[0], box[1], box[2], box[3]),
    )  # fmt: skip


def heat_png(heat: NDArray[np.float32]) -> tuple[bytes, float, float]:
    """An (H, W) map as an 8-bit PNG with the score values of its black and its white."""
    levels, low, high = eight_bit(heat)
    return _encoded(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 1]), low, high


def eight_bit(heat: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """An (H, W) map as 8-bit levels, with the score values of 0 and 255."""
    low, high = float(heat.min()), float(heat.max())
    levels = np.zeros_like(heat) if high <= low else (heat - low) * (255.0 / (high - low))
    return np.rint(levels).astype(np.uint8), low, high


def _encoded(suffix: str, pixels: cv2.typing.MatLike, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f"OpenCV could not encode a {pixels.shape} picture as {suffix}")
    return data.tobytes()
