"""
What a model is worth on a test folder: image and pixel metrics, and how it does at its own limits (rd-e.md, section 8).

Labels are the folders' names. Metrics that choose a threshold by the labels and rates at the calibrated limits are
kept apart. Pixel metrics are at the size of the network's input; defective pictures without a mask stay out of them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.datasets import LabelledPicture, open_dataset
from model.fixture import FixtureMismatch
from model.metrics import PRO_LIMITS, au_pro, auroc, average_precision, components, f1_max, pixel_auroc, wilson_interval
from model.pictures import PictureUnreadable, read_mask, read_picture
from model.placement import Placement
from model.predictor import Predictor
from model.runtimes import RuntimeName

HALF = 0.5  # an input pixel is defective when at least half of its area is
MOST_MEGAPIXELS = 64  # of maps kept at full width; more are kept in half precision


@dataclass(frozen=True)
class Evaluation:
    """What was measured; None where the folder does not allow it.

    image_*, pixel_auroc, au_pro (up to a false-positive rate of 0.3), au_pro_005 (0.05): threshold-free, 0 to 1; f1_max
    takes its threshold from the labels. false_reject_*: good test parts above the PASS limit, with counts and the 95 %
    interval; fail_*: above the FAIL limit; missed: defective parts at or below the PASS limit. unusable: test pictures
    that could not be judged, with the reason. capability: what came of made-up flaws (Capability.report), None where
    the model file does not say. ms_per_frame: fixture, network and map of one picture at a time, median.
    """

    image_auroc: float | None
    image_ap: float | None
    image_f1_max: float | None
    pixel_auroc: float | None
    au_pro: float | None
    au_pro_005: float | None
    false_reject_rate: float | None
    false_reject_interval: tuple[float, float] | None
    false_reject_asked: float | None
    false_reject_proved: float | None
    false_rejects: int
    good_fails: int
    missed: int
    miss_rate: float | None
    miss_interval: tuple[float, float] | None
    good: int
    defective: int
    with_mask: int
    auroc_by_kind: Mapping[str, float | None]
    vanished_defects: int
    unusable: Mapping[str, str]
    capability: Mapping[str, Any] | None
    train_seconds: float | None
    ms_per_frame: float | None
    settings: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Judged:
    """One test picture: its label, score, and map and mask of the input pixels that show the picture."""

    picture: LabelledPicture
    score: float
    heat: NDArray[np.floating]
    mask: NDArray[np.bool_] | None
    vanished: int
    seconds: float


def evaluate(
    model: Path | Predictor,
    data: Path,
    *,
    runtime: RuntimeName = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Test a model on `data`/test.

    progress: called with (pictures done, in all). Without test pictures all that needs them is None. Raises ValueError
    for an uncalibrated model, or when none of the test pictures can be judged; ModelFileInvalid, RuntimeUnavailable and
    DatasetEmpty as their makers do.
    """
    predictor = model if isinstance(model, Predictor) else Predictor.load(model, runtime=runtime, threads=threads)
    if predictor.manifest.limits is None:
        raise ValueError("this model has no limits; calibrate it before it is evaluated")
    tests = open_dataset(data).test
    judged: list[_Judged] = []
    unusable: dict[str, str] = {}
    for number, picture in enumerate(tests, start=1):
        try:
            judged.append(_judge(predictor, picture, half=_is_large(len(tests), predictor)))
        except (PictureUnreadable, FixtureMismatch) as problem:
            unusable[str(picture.path.relative_to(data))] = str(problem)
        progress(number, len(tests))
    if tests and not judged:
        raise ValueError(f"{data}: no picture under test/ can be judged; give test/good and test/<kind of defect>")
    return _summed_up(judged, unusable, predictor)


def mask_on_input(mask: NDArray[np.bool_], placement: Placement) -> tuple[NDArray[np.bool_], int]:
    """A raw mask on the network's input: area-averaged, at least one half; what is mirrored there is never defective.

    A defect that would vanish keeps its best-covered pixel; one that lies where nobody looks is left out. Returns
    (height, width) bool and how many defects that saved.
    """
    width, height = placement.size
    x, y, inner_width, inner_height = placement.inner
    laid = np.zeros((height, width), np.bool_)
    inside = laid[y : y + inner_height, x : x + inner_width]  # a view
    number = components(mask)
    vanished = 0
    for defect in range(1, int(number.max(initial=0)) + 1):
        # In floats: 8 bits would lose the smallest ones.
        covered = placement.lay((number == defect).astype(np.float32))[y : y + inner_height, x : x + inner_width]
        if not covered.any():
            continue
        chosen = covered >= HALF
        if not chosen.any():
            vanished += 1
            chosen = covered == covered.max()
        inside |= chosen
    return laid, vanished


def _judge(predictor: Predictor, picture: LabelledPicture, *, half: bool) -> _Judged:
    raw = read_picture(picture.path)
    begun = time.perf_counter()
    placement = predictor.fixture.place(raw)
    (prediction,) = predictor(predictor.fixture.lay(raw, placement)[None])
    seconds = time.perf_counter() - begun
    x, y, width, height = placement.inner  # what is mirrored around it is no test pixel
    window = slice(y, y + height), slice(x, x + width)
    mask, vanished = _truth(picture, placement)
    heat: NDArray[np.floating] = prediction.map[window].astype(np.float16) if half else prediction.map[window]
    return _Judged(picture, prediction.score, heat, None if mask is None else mask[window], vanished, seconds)


def _truth(picture: LabelledPicture, placement: Placement) -> tuple[NDArray[np.bool_] | None, int]:
    if picture.is_good:
        return np.zeros((placement.size[1], placement.size[0]), np.bool_), 0
    if picture.mask is None:
        return None, 0
    mask = read_mask(picture.mask)
    if (mask.shape[1], mask.shape[0]) != placement.picture:
        reason = f"is {mask.shape[1]}x{mask.shape[0]} px, its picture {placement.picture[0]}x{placement.picture[1]}"
        raise PictureUnreadable(str(picture.mask), reason)
    return mask_on_input(mask, placement)


def _is_large(count: int, predictor: Predictor) -> bool:
    return count * predictor.size[0] * predictor.size[1] > MOST_MEGAPIXELS * 1e6


def _summed_up(judged: list[_Judged], unusable: Mapping[str, str], predictor: Predictor) -> Evaluation:
    limits = predictor.manifest.limits
    assert limits is not None
    good = np.array([one.score for one in judged if one.picture.is_good])
    bad = np.array([one.score for one in judged if not one.picture.is_good])
    kinds = sorted({one.picture.kind for one in judged if not one.picture.is_good})
    by_kind = {kind: auroc(good, np.array([one.score for one in judged if one.picture.kind == kind])) for kind in kinds}
    pairs = [(one.heat, one.mask) for one in judged if one.mask is not None]
    maps, masks = [heat for heat, _ in pairs], [mask for _, mask in pairs]
    rejects, missed = int((good > limits.t_lo).sum()), int((bad <= limits.t_lo).sum())
    training, capability = predictor.manifest.training, predictor.manifest.measured()
    rates: Any = training.get("calibration") or {}
    return Evaluation(
        image_auroc=auroc(good, bad),
        image_ap=average_precision(good, bad),
        image_f1_max=f1_max(good, bad),
        pixel_auroc=pixel_auroc(maps, masks),
        au_pro=au_pro(maps, masks, PRO_LIMITS[0]),
        au_pro_005=au_pro(maps, masks, PRO_LIMITS[1]),
        false_reject_rate=rejects / good.size if good.size else None,
        false_reject_interval=wilson_interval(rejects, good.size),
        false_reject_asked=_number(rates.get("review_rate")),
        false_reject_proved=_number(rates.get("proved_review_rate")),
        false_rejects=rejects,
        good_fails=int((good > limits.t_hi).sum()) if limits.t_hi is not None else 0,
        missed=missed,
        miss_rate=missed / bad.size if bad.size else None,
        miss_interval=wilson_interval(missed, bad.size),
        good=good.size,
        defective=bad.size,
        with_mask=sum(one.mask is not None and not one.picture.is_good for one in judged),
        auroc_by_kind=by_kind,
        vanished_defects=sum(one.vanished for one in judged),
        unusable=unusable,
        capability=capability.report() if capability else None,
        train_seconds=_number(training.get("train_seconds")),
        ms_per_frame=float(np.median([one.seconds for one in judged])) * 1000 if judged else None,
        settings=_settings(predictor),
    )


def _settings(predictor: Predictor) -> dict[str, Any]:
    """What a figure is worth nothing without: how it was trained, at which size, on which runtime."""
    manifest = predictor.manifest
    left_out = {"texture_files", "losses", "twins"}
    return {
        **{name: value for name, value in manifest.training.items() if name not in left_out},
        "height": manifest.height,
        "width": manifest.width,
        "data": manifest.data.model_dump() if manifest.data else None,
        "runtime": asdict(predictor.fingerprint),
        "code_version": manifest.code_version,
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
