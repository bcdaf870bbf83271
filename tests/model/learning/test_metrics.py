from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from model.metrics import au_pro, auroc, average_precision, components, f1_max, pixel_auroc, wilson_interval

FEW = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=40)  # few values: many ties


def together(good: list[float], bad: list[float]) -> tuple[list[int], list[float]]:
    return [0] * len(good) + [1] * len(bad), good + bad


@given(FEW, FEW)
def test_image_metrics_agree_with_scikit_learn(good: list[float], bad: list[float]) -> None:
    labels, scores = together(good, bad)
    precision, recall, _ = precision_recall_curve(labels, scores)
    best = max(2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True) if p + r)
    assert auroc(np.array(good), np.array(bad)) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(np.array(good), np.array(bad)) == pytest.approx(average_precision_score(labels, scores))
    assert f1_max(np.array(good), np.array(bad)) == pytest.approx(best)


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max])
def test_without_both_kinds_there_is_no_figure(metric: object) -> None:
    assert callable(metric)
    assert metric(np.array([1.0]), np.array([])) is None
    assert metric(np.array([]), np.array([1.0])) is None


def maps_and_masks(seed: int, *, count: int = 4) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
    rng = np.random.default_rng(seed)
    masks = [rng.random((12, 16)) > 0.9 for _ in range(count)]
    masks[0][:] = False  # a good picture
    maps = [np.round(rng.random((12, 16)) * 8 + 3 * mask).astype(np.float32) for mask in masks]
    return maps, masks


@given(st.integers(0, 10**6))
def test_pixel_auroc_pools_all_pixels(seed: int) -> None:
    maps, masks = maps_and_masks(seed)
    expected = roc_auc_score(np.concatenate(masks).ravel(), np.concatenate(maps).ravel())
    assert pixel_auroc(maps, masks) == pytest.approx(expected)


def brute_au_pro(maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]], limit: float) -> float:
    """AU-PRO by its definition, threshold by threshold."""
    regions = []
    for heat, mask in zip(maps, masks, strict=True):
        numbers, count = label(mask, structure=np.ones((3, 3)))
        regions += [heat[numbers == number] for number in range(1, count + 1)]
    good = np.concatenate([heat[~mask] for heat, mask in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate(maps))[::-1]:
        overlap = float(np.mean([(region >= threshold).mean() for region in regions]))
        points.append((float((good >= threshold).mean()), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.3, 1.0]))
def test_au_pro_agrees_with_its_definition(seed: int, limit: float) -> None:
    maps, masks = maps_and_masks(seed)
    if any(mask.any() for mask in masks):
        assert au_pro(maps, masks, limit) == pytest.approx(brute_au_pro(maps, masks, limit), abs=1e-9)


def test_a_perfect_map_reaches_one_and_a_random_one_half_the_limit() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((256, 256), np.bool_)
    mask[10:30, 40:60] = mask[100:200, 100:104] = mask[250, 250] = True
    assert au_pro([mask.astype(np.float32)], [mask], 0.3) == pytest.approx(1)
    masks = [rng.random((64, 64)) > 0.97 for _ in range(40)]
    noise = [rng.random((64, 64)).astype(np.float32) for _ in masks]
    assert au_pro(noise, masks, 0.3) == pytest.approx(0.15, abs=0.02)


def test_small_and_large_defects_weigh_the_same() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[0:30, 0:30] = mask[60, 60] = True
    heat = np.zeros((64, 64), np.float32)
    heat[60, 60] = 1  # only the small one is found
    assert au_pro([heat], [mask], 0.001) == pytest.approx(0.5, abs=0.01)


def test_pictures_of_several_sizes_are_pooled() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[0, 0] = True
    maps = [mask.astype(np.float32), np.zeros((5, 9), np.float32)]
    assert pixel_auroc(maps, [mask, np.zeros((5, 9), np.bool_)]) == 1
    with pytest.raises(ValueError, match=r"map 0 is \(8, 8\)"):
        pixel_auroc(maps, [np.zeros((5, 9), np.bool_), mask])


def test_without_defects_or_pictures_there_is_no_pixel_figure() -> None:
    blank = np.zeros((4, 4), np.bool_)
    assert pixel_auroc([np.zeros((4, 4))], [blank]) is None
    assert au_pro([np.zeros((4, 4))], [blank]) is None
    assert pixel_auroc([], []) is None
    with pytest.raises(ValueError, match="limit"):
        au_pro([], [], 0)


def test_defects_that_touch_at_a_corner_are_one() -> None:
    assert components(np.eye(3, dtype=np.bool_)).max() == 1


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (3, 20), (20, 20), (1, 1000)])
def test_the_interval_is_wilsons(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert wilson_interval(0, 0) is None
