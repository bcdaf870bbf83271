import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.pictures import PictureUnreadable, decode_picture, examine_picture, find_pictures, read_mask, read_picture


def noise(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    rough = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def encoded(picture: NDArray[np.generic], kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels_back(kind: str) -> None:
    assert np.array_equal(decode_picture(encoded(noise(), kind), "part"), noise())


def test_a_jpeg_gives_the_same_pixels_as_opencv_on_the_line() -> None:
    data = encoded(noise(), "JPEG", quality=90)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert by_opencv is not None
    difference = np.abs(decode_picture(data, "part").astype(int) - by_opencv.astype(int))
    assert difference.max() <= 2


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(PictureUnreadable, match=r"a\.jpg.*0 bytes"):
        read_picture(tmp_path / "a.jpg")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureUnreadable, match="No such file"):
        read_picture(tmp_path / "a.jpg")


def test_a_text_file_that_calls_itself_png_is_refused() -> None:
    with pytest.raises(PictureUnreadable, match="not a picture in a known format"):
        decode_picture(b"station,camera\n" * 20, "list.png")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_truncated_file_is_refused_and_not_decoded_to_grey_bands(kind: str, share: float) -> None:
    data = encoded(noise(240, 320), kind)
    with pytest.raises(PictureUnreadable, match=r"damaged|cut short|known format"):
        decode_picture(data[: int(len(data) * share)], "part")


def test_a_jpeg_without_its_end_marker_is_refused() -> None:
    with pytest.raises(PictureUnreadable, match="cut short"):
        decode_picture(encoded(noise(), "JPEG")[:-2], "part")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    data = encoded(noise(), "JPEG")
    assert np.array_equal(decode_picture(data + b"\0" * 100, "part"), decode_picture(data, "part"))


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    header = b"P6 30000 30000 255\n"  # 900 megapixels announced, none delivered: decoding would say "truncated"
    with pytest.raises(PictureUnreadable, match=r"more than the 64 megapixels"):
        decode_picture(header, "part")
    with pytest.raises(PictureUnreadable, match=r"64x48 px; more than the 0\.003 megapixels"):
        decode_picture(encoded(noise()), "part", max_pixels=3_000)
    assert decode_picture(encoded(noise()), "part", max_pixels=64 * 48).shape == (48, 64, 3)


def test_grey_becomes_three_equal_channels() -> None:
    picture = decode_picture(encoded(noise()[:, :, 0]), "part")
    assert picture.shape == (48, 64, 3)
    assert np.array_equal(picture, np.repeat(noise()[:, :, :1], 3, axis=2))


def test_sixteen_bits_are_scaled_by_a_fixed_factor() -> None:
    wide = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    assert decode_picture(encoded(wide), "part")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparency_is_dropped_and_said(tmp_path: Path) -> None:
    alpha = np.dstack([noise(), np.zeros((48, 64), np.uint8)])
    (tmp_path / "a.png").write_bytes(encoded(alpha))
    picture = examine_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, noise())
    assert any("transparency" in note for note in picture.notes)


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    out = io.BytesIO()
    Image.fromarray(noise()).quantize(8).save(out, "PNG", transparency=bytes([0] * 8))
    assert decode_picture(out.getvalue(), "part").std() > 10


def test_an_exif_turn_is_ignored_and_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(encoded(noise(), "JPEG", exif=exif))
    picture = examine_picture(tmp_path / "a.jpg")
    assert picture.size == (64, 48)
    assert any("EXIF" in note for note in picture.notes)


def test_equal_pixels_have_equal_digests_whatever_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise()))
    (tmp_path / "b.bmp").write_bytes(encoded(noise(), "BMP"))
    (tmp_path / "c.png").write_bytes(encoded(noise()[::-1]))
    one, two, other = (examine_picture(tmp_path / name).digest for name in ("a.png", "b.bmp", "c.png"))
    assert one == two != other


def test_only_picture_files_are_found_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_pictures(tmp_path)] == ["a.jpg", "b.PNG"]


def test_a_mask_is_true_wherever_the_file_is_above_zero(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(encoded(np.array([[0, 1, 255]], dtype=np.uint8)))
    assert read_mask(tmp_path / "m.png").tolist() == [[False, True, True]]


def test_pixels_may_be_written_to() -> None:
    picture = decode_picture(encoded(noise()), "part")
    picture[0, 0] = 7
    assert picture.flags.c_contiguous
