import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadFrame
from ingest.encoder import encode_jpeg, encode_png
from ingest.pictures import Header, decode, read_header
from ingest.simulator import Simulator

MOST = 64_000_000


def huge_png(width: int, height: int) -> bytes:
    """A valid grey PNG of any size in a few kilobytes, without drawing it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(width + 1)) for _ in range(height)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_the_header_of_each_format_gives_the_size(suffix: str) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (37, 53, 3), np.uint8)
    data = cv2.imencode(suffix, picture)[1].tobytes()
    kind = {".jpg": "jpeg"}.get(suffix, suffix[1:])
    assert read_header(data) == Header(kind, 53, 37)
    assert decode(data, max_pixels=MOST).shape == (37, 53, 3)


def test_a_png_comes_back_in_its_own_colours(ring: Simulator) -> None:
    picture = ring.render(1).picture
    assert np.array_equal(decode(encode_png(picture), max_pixels=MOST), picture)


def test_a_jpeg_of_quality_95_without_subsampling_stays_within_a_few_grey_values(ring: Simulator) -> None:
    picture = ring.render(1).picture
    data = encode_jpeg(picture)
    assert np.abs(decode(data, max_pixels=MOST).astype(int) - picture).mean() < 1.5
    assert 40_000 < len(data) < 400_000


def test_a_grey_picture_becomes_three_equal_channels() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = decode(cv2.imencode(".png", grey)[1].tobytes(), max_pixels=MOST)
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no bytes"),
        (b"dear reader, this is a text", "no picture"),
        (b"\x89PNG\r\n\x1a\n", "header"),
        (b"\xff\xd8\xff\xe0", "header"),
        (b"BM", "header"),
        (b"II*\x00\x08\x00\x00\x00", "header"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        decode(content, max_pixels=MOST)


def test_a_truncated_jpeg_is_refused_wherever_it_was_cut(jpegs: list[bytes]) -> None:
    whole = jpegs[0]
    for kept in (30, 300, len(whole) // 2, len(whole) - 2):
        with pytest.raises(BadFrame, match=r"cut short|header"):
            decode(whole[:kept], max_pixels=MOST)


def test_a_jpeg_with_bytes_after_its_end_is_still_whole(jpegs: list[bytes]) -> None:
    assert decode(jpegs[0] + bytes(64), max_pixels=MOST).shape == (480, 640, 3)


def test_a_preview_inside_a_cut_jpeg_does_not_make_it_whole(jpegs: list[bytes], ring: Simulator) -> None:
    preview = encode_jpeg(np.ascontiguousarray(ring.render(0).picture[::8, ::8]))
    exif = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    carrying = jpegs[0][:2] + exif + jpegs[0][2:]
    assert decode(carrying, max_pixels=MOST).shape == (480, 640, 3)
    with pytest.raises(BadFrame, match="cut short"):
        decode(carrying[: len(carrying) // 2], max_pixels=MOST)


def test_a_truncated_or_damaged_png_is_refused(png: bytes) -> None:
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 0xFF
    for content in (png[:-12], png[: len(png) // 2], bytes(damaged)):
        with pytest.raises(BadFrame, match="cut short or damaged"):
            decode(content, max_pixels=MOST)


def test_a_picture_of_100_megapixels_is_refused_by_its_header_and_costs_no_memory() -> None:
    content = huge_png(10_000, 10_000)
    assert read_header(content) == Header("png", 10_000, 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFrame, match=r"100 megapixels, at most 64"):
        decode(content, max_pixels=MOST)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_a_bad_frame(content: bytes) -> None:
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*", b"RIFF0000WEBP"):
        try:
            picture = decode(start + content, max_pixels=10_000)
        except BadFrame:
            continue
        assert picture.ndim == 3


def test_an_empty_picture_cannot_be_encoded() -> None:
    with pytest.raises(BadFrame, match="cannot be encoded"):
        encode_jpeg(np.zeros((0, 0, 3), np.uint8))
