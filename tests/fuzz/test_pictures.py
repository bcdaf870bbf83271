"""Ten thousand damaged pictures: each decodes to a picture or says in a sentence why not; none is anything else."""

import io
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.blobs.file import FileBlobs
from core.broker.protocol import Message, Partition
from core.messages import FRAMES, FrameCaptured
from model.pictures import PictureUnreadable, decode_picture
from tests.fuzz.mutation import CASES, damaged
from workers.frames import Bounds, take

NONE = FileBlobs(Path("no-such-folder"))  # no picture lies there
NOW = 1_795_000_000 * 10**9
MOST_PIXELS = 1_000_000


def encoded(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


GOOD = [
    encoded("JPEG"), encoded("JPEG", mode="L"), encoded("JPEG", progressive=True), encoded("PNG"),
    encoded("PNG", mode="P"), encoded("PNG", mode="I;16"), encoded("BMP"), encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw"), encoded("WEBP"), encoded("WEBP", lossless=True), encoded("PPM"),
]  # fmt: skip


def test_the_undamaged_ones_decode() -> None:
    for data in GOOD:
        assert decode_picture(data, "good", max_pixels=MOST_PIXELS).shape == (30, 40, 3)


@pytest.mark.slow
def test_a_damaged_picture_is_a_picture_or_a_sentence() -> None:
    ends: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks about odd tags
        for data in damaged(GOOD):
            try:
                pixels = decode_picture(data, "damaged", max_pixels=MOST_PIXELS)
            except PictureUnreadable as problem:
                assert str(problem).startswith("damaged: ")  # noqa: PT017 - it may also decode
                ends["refused"] += 1
            else:
                assert pixels.dtype == np.uint8
                assert pixels.ndim == 3
                assert pixels.shape[2] == 3
                assert 0 < pixels.shape[0] * pixels.shape[1] <= MOST_PIXELS
                ends["decoded"] += 1
    assert sum(ends.values()) == CASES
    assert min(ends.values()) > CASES // 20  # the damage is neither fatal nor harmless throughout


@pytest.mark.slow
def test_a_frame_with_a_damaged_picture_has_a_picture_or_a_problem() -> None:
    envelope = FrameCaptured(station="s", camera="c", session=1, seq=0, captured_at=NOW, product="p").headers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for offset, data in enumerate(damaged(GOOD, 2000, seed=7)):
            message = Message(Partition(FRAMES, 0), offset, "c", data, envelope, NOW)
            taken = take(message, blobs=NONE, bounds=Bounds(MOST_PIXELS), now=lambda: NOW)
            assert (taken.picture is None) == (taken.problem is not None)
            assert taken.is_dead == (taken.problem is not None)
