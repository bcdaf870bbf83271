"""Encoded pictures: what their headers say, and decoding that refuses what is damaged or too large."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import BadFrame

Picture = NDArray[np.uint8]
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SIZED = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # JPEG start-of-frame markers
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length


@dataclass(frozen=True)
class Header:
    """What a picture's first bytes say. kind: jpeg, png, bmp, tiff or webp."""

    kind: str
    width: int
    height: int


def read_header(encoded: bytes) -> Header:
    """Kind and size without decoding. Raises BadFrame for zero bytes and for what is no picture."""
    if not encoded:
        raise BadFrame("the picture has no bytes; check the camera or the program that wrote the file")
    for starts, read in _READERS:
        if encoded.startswith(starts):
            try:
                header = read(encoded)
            except (struct.error, IndexError, KeyError) as problem:
                raise BadFrame(f"the picture ends inside its header, after {len(encoded)} bytes") from problem
            if header.width <= 0 or header.height <= 0:
                raise BadFrame(f"the {header.kind} header says {header.width}x{header.height} px")
            return header
    raise BadFrame(f"no picture: it starts with {encoded[:8]!r}; JPEG, PNG, BMP, TIFF and WebP are understood")


def decode(encoded: bytes, *, max_pixels: int) -> Picture:
    """The picture as (H, W, 3) uint8 RGB.

    Raises BadFrame when it is no picture, is cut short, cannot be decoded, or has more than `max_pixels`; the last is
    known from the header, so that a huge picture costs no memory.
    """
    header = read_header(encoded)
    if header.width * header.height > max_pixels:
        millions = header.width * header.height / 1e6
        raise BadFrame(
            f"{header.width}x{header.height} px are {millions:.0f} megapixels, at most {max_pixels / 1e6:.0f} are "
            "decoded; use a smaller picture or raise pictures.max_pixels"
        )
    if header.kind == "jpeg" and not _jpeg_is_whole(encoded):
        raise BadFrame(f"the JPEG is cut short: {len(encoded)} bytes without an end mark")
    if header.kind == "png" and not _png_is_whole(encoded):
        raise BadFrame(f"the PNG is cut short or damaged: {len(encoded)} bytes, a part's checksum does not fit")
    try:
        found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as problem:
        raise BadFrame(f"the {header.kind} cannot be decoded: {problem.err}") from problem
    if found is None or found.size == 0:
        raise BadFrame(f"the {header.kind} of {len(encoded)} bytes cannot be decoded")
    return np.asarray(found, np.uint8)


def _png(encoded: bytes) -> Header:
    width, height = struct.unpack(">II", encoded[16:24])
    return Header("png", width, height)


def _jpeg(encoded: bytes) -> Header:
    at = 2
    while True:
        at, marker = _next_marker(encoded, at)
        if marker in _SIZED:
            height, width = struct.unpack(">HH", encoded[at + 3 : at + 7])
            return Header("jpeg", width, height)
        at = _after_segment(encoded, at, marker)


def _next_marker(encoded: bytes, at: int) -> tuple[int, int]:
    """The next marker from `at` on, and where its segment begins."""
    while encoded[at] != 0xFF:
        at += 1
    while encoded[at] == 0xFF:
        at += 1
    return at + 1, encoded[at]


def _after_segment(encoded: bytes, at: int, marker: int) -> int:
    if marker in _BARE:
        return at
    (length,) = struct.unpack(">H", encoded[at : at + 2])
    return at + int(length)


def _jpeg_is_whole(encoded: bytes) -> bool:
    """Whether the end mark follows the picture's data; the one of a preview inside the header does not count."""
    at = 2
    try:
        while True:
            at, marker = _next_marker(encoded, at)
            if marker == 0xDA:
                return encoded.find(b"\xff\xd9", at) >= 0
            at = _after_segment(encoded, at, marker)
    except (struct.error, IndexError):
        return False


def _png_is_whole(encoded: bytes) -> bool:
    """Whether all chunks up to the last are there with the right checksums."""
    at = len(PNG)
    while at + 12 <= len(encoded):
        (length,) = struct.unpack(">I", encoded[at : at + 4])
        end = at + 12 + length
        if end > len(encoded):
            return False
        (checksum,) = struct.unpack(">I", encoded[end - 4 : end])
        if zlib.crc32(encoded[at + 4 : end - 4]) != checksum:
            return False
        if encoded[at + 4 : at + 8] == b"IEND":
            return True
        at = end
    return False


def _bmp(encoded: bytes) -> Header:
    width, height = struct.unpack("<ii", encoded[18:26])
    return Header("bmp", width, abs(height))


def _tiff(encoded: bytes) -> Header:
    order = "<" if encoded[:2] == b"II" else ">"
    (at,) = struct.unpack(order + "I", encoded[4:8])
    (count,) = struct.unpack(order + "H", encoded[at : at + 2])
    sizes: dict[int, int] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack(order + "HH", encoded[entry : entry + 4])
        if tag in (256, 257):
            form = "H" if kind == 3 else "I"
            (sizes[tag],) = struct.unpack(order + form, encoded[entry + 8 : entry + 8 + (2 if kind == 3 else 4)])
    return Header("tiff", sizes[256], sizes[257])


def _webp(encoded: bytes) -> Header:
    form = encoded[12:16]
    if form == b"VP8 ":
        width, height = struct.unpack("<HH", encoded[26:30])
        return Header("webp", width & 0x3FFF, height & 0x3FFF)
    if form == b"VP8L":
        (bits,) = struct.unpack("<I", encoded[21:25])
        return Header("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width = int.from_bytes(encoded[24:27], "little") + 1
    height = int.from_bytes(encoded[27:30], "little") + 1
    return Header("webp", width, height)


_READERS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (JPEG, _jpeg), (PNG, _png), (b"BM", _bmp), (b"II*\x00", _tiff), (b"MM\x00*", _tiff), (b"RIFF", _webp),
)  # fmt: skip
