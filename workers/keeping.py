"""What is kept of a frame's pictures, by its verdict (streaming.md §5): the rule, the small pictures, the writing.

kind    of                                size and life
frame   all but PASS                      the bytes as they came; the evidence
sample  a share of PASS                   the bytes as they came
thumb   all but PASS                      480 px; for strips and queues
ring    PASS                              480 px, hours; what the Line page shows
heat    FAIL and REVIEW, or all scored    8-bit map, its range in the row
"""

import zlib
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from core.blobs import BlobStore, Kind, frame_key
from core.messages import FrameCaptured
from core.verdicts import MachineVerdict

Pixel = TypeVar("Pixel", np.uint8, np.float32)
SMALL = 480  # px, the longer side of a small picture
HEAT = 320  # px, the longer side of a stored heat map
SUFFIX = {"jpeg": "jpg", "png": "png"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to keep: the encoded picture, and where they exist the decoded one and the anomaly map."""

    value: bytes
    picture: NDArray[np.uint8] | None = None
    heat: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The keys under which pictures were kept, and the heat map's range."""

    picture: str | None = None
    thumb: str | None = None
    heat: str | None = None
    heat_min: float | None = None
    heat_max: float | None = None


class Keeper:
    """Writes a frame's pictures under names that follow from its identity, so that a retry overwrites its own."""

    def __init__(self, blobs: BlobStore, *, sample_share: float, all_heat: bool) -> None:
        self._blobs = blobs
        self._sample_share = sample_share
        self._all_heat = all_heat

    def keep(self, frame: FrameCaptured, verdict: MachineVerdict, evidence: Evidence) -> Kept:
        """Write what the rule keeps. Raises StoreUnavailable."""
        passed = verdict is MachineVerdict.PASS
        kept_in_full = evidence.value and (not passed or is_sampled(str(frame.id), self._sample_share))
        picture = (
            self._put(frame, Kind.SAMPLE if passed else Kind.FRAME, evidence.value, durable=not passed)
            if kept_in_full
            else None
        )
        small = None
        if evidence.picture is not None:
            small = self._put(frame, Kind.RING if passed else Kind.THUMB, small_jpeg(evidence.picture), durable=False)
        heat = self._heat(frame, verdict, evidence.heat)
        return Kept(picture, small, *heat)

    def _heat(self, frame: FrameCaptured, verdict: MachineVerdict,
              heat: NDArray[np.float32] | None) -> tuple[str | None, float | None, float | None]:  # fmt: skip
        wanted = self._all_heat or verdict in (MachineVerdict.FAIL, MachineVerdict.REVIEW)
        if heat is None or not wanted or not np.isfinite(heat).all():
            return None, None, None
        encoded, low, high = heat_png(heat)
        return self._put(frame, Kind.HEAT, encoded, durable=verdict is not MachineVerdict.PASS), low, high

    def _put(self, frame: FrameCaptured, kind: Kind, data: bytes, *, durable: bool) -> str:
        suffix = {
            Kind.FRAME: SUFFIX.get(frame.encoding, "bin"),
            Kind.SAMPLE: SUFFIX.get(frame.encoding, "bin"),
            Kind.HEAT: "png",
        }
        key = frame_key(kind, frame.id, frame.captured_at, suffix.get(kind, "jpg"))
        self._blobs.put(key, data, durable=durable)
        return key


def is_sampled(identity: str, share: float) -> bool:
    """Whether a passing part is among the `share` that is kept in full; the same answer each time it is asked."""
    return zlib.crc32(identity.encode()) < share * 2**32


def small_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of a (H, W, 3) RGB picture, its longer side at most SMALL pixels."""
    return _encoded(".jpg", cv2.cvtColor(shrunk(picture, SMALL), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def heat_png(heat: NDArray[np.float32]) -> tuple[bytes, float, float]:
    """An (H, W) map as an 8-bit PNG with the score values of its black and its white."""
    levels, low, high = eight_bit(shrunk(heat, HEAT))
    return _encoded(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 1]), low, high


def eight_bit(heat: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """An (H, W) map as 8-bit levels, with the score values of 0 and 255."""
    low, high = float(heat.min()), float(heat.max())
    levels = np.zeros_like(heat) if high <= low else (heat - low) * (255.0 / (high - low))
    return np.rint(levels).astype(np.uint8), low, high


def shrunk(picture: NDArray[Pixel], side: int) -> NDArray[Pixel]:
    """The picture with its longer side at most `side` pixels, area-averaged."""
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=picture.dtype)


def _encoded(suffix: str, pixels: cv2.typing.MatLike, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f"OpenCV could not encode a {pixels.shape} picture as {suffix}")
    return data.tobytes()
