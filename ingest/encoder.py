"""Pixels to bytes: JPEG q95 without colour subsampling by default, PNG where a model demands lossless pictures."""

from enum import StrEnum

import cv2
import numpy as np

from core.errors import BadFrame
from ingest.pictures import Picture

QUALITY = 95


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


def encode(picture: Picture, codec: Codec) -> bytes:
    """The picture in its travelling form. Raises BadFrame when it cannot be encoded."""
    return encode_png(picture) if codec is Codec.PNG else encode_jpeg(picture)


def _encode(suffix: str, picture: Picture, options: list[int]) -> bytes:
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR), options)
    except cv2.error as problem:
        raise BadFrame(f"a picture of shape {picture.shape} cannot be encoded: {problem.err}") from problem
    if not done:
        raise BadFrame(f"a picture of shape {picture.shape} cannot be encoded as {suffix}")
    return data.tobytes()
