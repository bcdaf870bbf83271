import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.foreground import Foregrounds, find_foreground


def disc(inside: int, outside: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    picture = np.full((64, 96, 3), outside, np.uint8)
    truth = np.zeros((64, 96), np.uint8)
    cv2.circle(truth, (50, 30), 18, 1, -1)
    picture[truth > 0] = inside
    noise = np.random.default_rng(0).integers(-8, 9, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), truth > 0


@pytest.mark.parametrize("tones", [(200, 40), (40, 200)], ids=["bright part", "dark part"])
@pytest.mark.parametrize("kind", ["otsu", "grabcut"])
def test_the_part_is_found_whether_bright_or_dark(kind: str, tones: tuple[int, int]) -> None:
    picture, truth = disc(*tones)
    found = find_foreground(picture, kind)  # type: ignore[arg-type]
    assert found is not None
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_none_is_the_whole_picture() -> None:
    assert find_foreground(disc(200, 40)[0], "none") is None


@pytest.mark.parametrize("share", [0.0, 0.005, 0.995])
def test_a_foreground_of_next_to_nothing_or_everything_counts_as_lost(share: float) -> None:
    pictures = np.zeros((2, 20, 50, 3), np.uint8)
    region = np.zeros(1000, np.bool_)
    region[: int(share * 1000)] = True
    foregrounds = Foregrounds(pictures, "roi", region.reshape(20, 50))
    assert foregrounds[0] is None
    assert foregrounds.lost == 1


def test_each_picture_is_looked_at_once() -> None:
    picture, _ = disc(200, 40)
    stack = picture[None].copy()
    foregrounds = Foregrounds(stack, "otsu")
    first = foregrounds[0]
    stack[:] = 0
    assert foregrounds[0] is first
    assert foregrounds.lost == 0


def test_what_does_not_fit_is_refused() -> None:
    pictures = np.zeros((1, 20, 50, 3), np.uint8)
    with pytest.raises(ValueError, match="unknown"):
        Foregrounds(pictures, "magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a region"):
        Foregrounds(pictures, "roi")
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        Foregrounds(pictures, "roi", np.ones((5, 5), np.bool_))
