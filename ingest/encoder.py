"""Pixels to bytes: JPEG q95 without colour subsampling by default, PNG where a model demands lossless pictures."""

from enum import StrEnum

import cv2
import numpy as np

from core.errors import BadFrame
from ingest.pictures import Picture

QUALITY = 95
SMALLER_QUALITIES = (85, 70, 50)
"""What is tried in turn for a picture that is too large for the log at QUALITY."""


class Codec(StrEnum):
    """How a picture travels; the values are the envelope's `encoding`."""

    JPEG = "jpeg"
    PNG = "png"


def encode_jpeg(picture: Picture, *, quality: int = QUALITY) -> bytes:
    """An RGB picture (H, W, 3) uint8 as JPEG 4:4:4. Raises BadFrame when it cannot be encoded."""
    factors = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, *factors])


def encode_png(picture: Picture) -> bytes:
    """An RGB picture (H, W, 3) uint8 as PNG, packed lightly: speed counts at the line. Raises BadFrame likewise."""
    return _encode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def encode(picture: Picture, codec: Codec, *, most_bytes: int) -> bytes:
    """The picture in at most `most_bytes`: a larger JPEG is packed harder. Raises BadFrame when none fits."""
    if codec is Codec.PNG:
        found = encode_png(picture)
        if len(found) <= most_bytes:
            return found
    else:
        for quality in (QUALITY, *SMALLER_QUALITIES):
            found = encode_jpeg(picture, quality=quality)
            if len(found) <= most_bytes:
                return found
    height, width = picture.shape[:2]
    raise BadFrame(
        f"{width}x{height} px are {len(found)} bytes as {codec}, the log takes {most_bytes}; "
        "use a smaller picture or raise pictures.inline_max_bytes"
    )


def _encode(suffix: str, picture: Picture, options: list[int]) -> bytes:
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR), options)
    except cv2.error as problem:
        raise BadFrame(f"a picture of shape {picture.shape} cannot be encoded: {problem.err}") from problem
    if not done:
        raise BadFrame(f"a picture of shape {picture.shape} cannot be encoded as {suffix}")
    return data.tobytes()
