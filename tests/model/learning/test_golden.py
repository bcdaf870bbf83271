from pathlib import Path

import cv2
import numpy as np
import pytest

from model.fixture import Fixture, FixtureMismatch
from model.golden import Golden, read_golden, read_more
from tests.model.learning.conftest import part, write

JPEG_AT_ITS_BEST = [
    cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip


def parts_in(folder: Path, count: int = 12) -> list[Path]:
    return [write(folder / f"{number:02}.png", part(number)) for number in range(count)]


def kinds(golden: Golden) -> dict[str, tuple[str, bool]]:
    return {finding.path.name: (finding.kind, finding.left_out) for finding in golden.findings}


def test_good_pictures_give_no_findings(tmp_path: Path) -> None:
    golden = read_golden(parts_in(tmp_path), budget=64)
    assert golden.findings == ()
    assert golden.pictures.shape == (12, 64, 64, 3)
    assert len(set(golden.groups)) == 12


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    paths = parts_in(tmp_path)
    (tmp_path / "20.png").write_bytes(b"")
    whole = write(tmp_path / "whole.png", part(21)).read_bytes()
    (tmp_path / "21.png").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "22.png", part(22, size=(64, 96)))
    write(tmp_path / "23.png", np.full((64, 64, 3), 80, np.uint8))
    more = [tmp_path / f"{number}.png" for number in range(20, 24)]
    golden = read_golden(paths * 4 + more, budget=64)
    found = {name: value for name, value in kinds(golden).items() if value[1]}
    assert found == {
        "20.png": ("unreadable", True),
        "21.png": ("unreadable", True),
        "22.png": ("odd size", True),
        "23.png": ("featureless", True),
    }
    said = {finding.path.name: str(finding) for finding in golden.findings}
    assert "0 bytes" in said["20.png"]
    assert "96x64 px where" in said["22.png"]
    assert said["22.png"].endswith("left out")


@pytest.mark.parametrize(("kind", "gain", "blur"), [("dark", 0.3, 0.0), ("bright", 1.5, 0.0), ("blurred", 1.0, 5.0)])
def test_a_picture_unlike_the_others_is_named_and_kept(tmp_path: Path, kind: str, gain: float, blur: float) -> None:
    odd = np.clip(part(50) * gain, 0, 255).astype(np.uint8)
    if blur:
        odd = np.asarray(cv2.GaussianBlur(odd, (0, 0), blur), dtype=np.uint8)
    golden = read_golden([*parts_in(tmp_path), write(tmp_path / "50.png", odd)], budget=64)
    assert kinds(golden) == {"50.png": (kind, False)}
    assert len(golden.paths) == 13


def test_a_picture_of_something_else_is_an_outlier(tmp_path: Path) -> None:
    other = part(50)
    other[:, :32] = np.clip(other[:, :32].astype(int) + 60, 0, 255).astype(np.uint8)
    other[:, 32:] = np.clip(other[:, 32:].astype(int) - 60, 0, 255).astype(np.uint8)
    golden = read_golden([*parts_in(tmp_path), write(tmp_path / "50.png", other)], budget=64)
    assert kinds(golden) == {"50.png": ("outlier", False)}


def test_the_same_shot_twice_is_one_group(tmp_path: Path) -> None:
    again = write(tmp_path / "a.png", part(3))
    encoded_again = tmp_path / "b.jpg"
    cv2.imwrite(str(encoded_again), np.ascontiguousarray(part(4)[:, :, ::-1]), JPEG_AT_ITS_BEST)
    golden = read_golden([*parts_in(tmp_path), again, encoded_again], budget=64)
    named = dict(zip((path.name for path in golden.paths), golden.groups, strict=True))
    assert named["a.png"] == named["03.png"]
    assert named["b.jpg"] == named["04.png"]
    assert len(set(golden.groups)) == 12
    assert {name for name, (kind, _) in kinds(golden).items() if kind == "duplicate"} == {"a.png", "b.jpg"}


def test_groups_given_by_the_caller_are_kept(tmp_path: Path) -> None:
    paths = parts_in(tmp_path)
    golden = read_golden(paths, budget=64, groups={path: str(number // 3) for number, path in enumerate(paths)})
    assert len(set(golden.groups)) == 4


def test_pictures_of_several_sizes_are_all_kept(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.png", part(n, size=(64 + 4 * (n % 5), 64 + 3 * (n % 4)))) for n in range(12)]
    golden = read_golden(paths, budget=64)
    assert len(golden.paths) == 12
    assert golden.fixture.picture is None


ROI = (40, 40, 40, 40)


def test_a_roi_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixtureMismatch, match="reaches outside"):
        read_golden(parts_in(tmp_path), fixture_of=lambda sizes: Fixture.for_pictures([*sizes.values()], roi=ROI))


def test_without_a_usable_picture_the_reasons_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 1 pictures can be used: a\.png: the file is empty"):
        read_golden([tmp_path / "a.png"])


def test_further_pictures_must_fit_the_fixture(tmp_path: Path) -> None:
    golden = read_golden(parts_in(tmp_path), budget=64)
    wide = write(tmp_path / "wide.png", part(40, size=(64, 96)))
    more = read_more([write(tmp_path / "40.png", part(40)), wide], golden.fixture)
    assert [path.name for path in more.paths] == ["40.png"]
    assert kinds(more) == {"wide.png": ("odd size", True)}
