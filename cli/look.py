"""`flawline inspect`: pictures judged by a model file, without any books."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from cli import parts
from cli.console import escape, out, progress, write_json
from cli.warm_start import active_model
from core.errors import ModelUnusable, SettingsInvalid
from core.records import recipes
from core.settings import Settings, read_settings
from core.verdicts import InvalidReason, Limits, MachineVerdict, NoVerdictReason, decide
from dashboard.heat import overlay
from model.errors import ModelError
from model.fixture import FixtureMismatch
from model.neighbours import Comparison
from model.pictures import PictureUnreadable, find_pictures, read_picture
from model.predictor import Prediction, Predictor
from workers.comparing import OnInput, comparison_of
from workers.keeping import eight_bit, golden_jpeg

Picture = NDArray[np.uint8]

BOX = ((255, 255, 255), (30, 30, 30))  # a light and a dark edge, so that a box shows on any part


@dataclass(frozen=True, slots=True)
class Seen:
    """One path and what became of it."""

    path: Path
    verdict: MachineVerdict
    reason: str = ""
    detail: str = ""
    picture: Picture | None = None
    prediction: Prediction | None = None
    golden: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where results go, and the scale of the raw pictures in mm per pixel, None where it is not known."""

    json_file: Path | None = None
    overlays: Path | None = None
    scale: float | None = None


def find_model(model: Path | None, product: str | None) -> tuple[Path, float | None]:
    """The model file that is meant, and the scale of its recipe: the file itself, or the active one of a product.

    Raises SettingsInvalid.
    """
    if (model is None) == (product is None):
        raise SettingsInvalid("name a model file by --model, or a product by --product")
    if model is not None:
        return model, None
    settings = read_settings()
    path = active_model(settings, str(product))
    if path is None:
        raise SettingsInvalid(f"{product!r} has no active model; `flawline models list` shows those there are")
    with parts.database(settings) as database, database.reading() as connection:
        recipe = recipes.newest(connection, str(product))
    return path, recipe[1].millimetres_per_pixel if recipe else None


def inspect_paths(paths: Sequence[Path], model: Path, wanted: Wanted) -> int:
    """Judge the pictures; 0 when all pass, else 1. Raises ModelUnusable for a file that cannot judge here."""
    settings = read_settings()
    files = list(_files(paths))
    predictor, limits = _open(model, settings)
    seen = []
    with progress(quiet=len(files) < 2) as report:
        for number, path in enumerate(files, start=1):
            one = _look(predictor, limits, path, settings.pictures.max_pixels)
            seen.append(one)
            if wanted.overlays and one.picture is not None and one.prediction is not None:
                _write_overlay(wanted.overlays / f"{path.stem}_overlay.png", one.picture, one.prediction, limits)
            if wanted.overlays and one.golden is not None:
                (wanted.overlays / f"{path.stem}_golden.jpg").write_bytes(golden_jpeg(one.golden))
            report("inspecting", number, len(files), {})
    if wanted.json_file:
        told = [_values(one, limits, wanted.scale) for one in seen]
        write_json({"model": str(model), "pictures": told}, wanted.json_file)
    if str(wanted.json_file) != "-":
        _print(seen, limits)
    return 0 if all(one.verdict is MachineVerdict.PASS for one in seen) else 1


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from find_pictures(path)
        elif path.exists():
            yield path
        else:
            raise SettingsInvalid(f"{path}: no such file or folder")


def _open(model: Path, settings: Settings) -> tuple[Predictor, Limits]:
    try:
        predictor = Predictor.load(model, runtime=settings.worker.runtime, threads=settings.worker.threads or None)
    except ModelError as problem:
        raise ModelUnusable(str(problem)) from problem
    found = predictor.manifest.limits
    if found is None:
        raise ModelUnusable(f"{model} is not calibrated: it has no limits; import it again with --pictures")
    if not predictor.is_calibrated:
        raise ModelUnusable(f"{model} is not calibrated for this machine's runtime; train it again here")
    return predictor, Limits(found.t_lo, found.t_hi)


def _look(predictor: Predictor, limits: Limits, path: Path, max_pixels: int) -> Seen:
    try:
        picture = read_picture(path, max_pixels=max_pixels)
        placement = predictor.fixture.place(picture)
        laid = predictor.fixture.lay(picture, placement)
        seen = predictor.look(laid[None])
        (on_input,) = predictor.conclude(seen)
    except PictureUnreadable as problem:
        return Seen(path, MachineVerdict.INVALID, InvalidReason.DECODE_ERROR, str(problem))
    except FixtureMismatch as problem:
        return Seen(path, MachineVerdict.INVALID, InvalidReason.MISALIGNED, f"{path}: {problem}")
    verdict = decide(on_input.score, limits)
    reason = NoVerdictReason.INTERNAL_ERROR if verdict is MachineVerdict.NO_VERDICT else ""
    shown = verdict in (MachineVerdict.FAIL, MachineVerdict.REVIEW)
    golden = comparison_of(OnInput(predictor, seen, 0, laid, on_input)) if shown else None
    return Seen(path, verdict, reason, picture=picture, prediction=on_input.on_picture(placement), golden=golden)


def _values(one: Seen, limits: Limits, scale: float | None) -> dict[str, object]:
    seen = one.prediction
    regions = [
        {
            "bounding_box": [r.x, r.y, r.width, r.height], "area": r.area,
            "area_mm2": None if scale is None else r.area * scale**2, "peak": r.peak, "mean": r.mean,
        }
        for r in (seen.regions if seen else ())
    ]  # fmt: skip
    near = one.golden.nearest if one.golden else None
    golden = [
        {"sample": sample, "distance": distance}
        for sample, distance in (zip(near.samples, near.distances, strict=True) if near else ())
    ]
    score = seen.score if seen and math.isfinite(seen.score) else None
    return {
        "path": str(one.path), "verdict": one.verdict, "reason": one.reason, "detail": one.detail, "score": score,
        "limits": {"t_lo": limits.t_lo, "t_hi": limits.t_hi}, "regions": regions,
        "golden": golden,
    }  # fmt: skip


def _print(seen: Sequence[Seen], limits: Limits) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("verdict", "left"),
        ("score", "right"),
        ("% of limit", "right"),
        ("regions", "right"),
        ("picture", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for one in seen:
        if one.prediction is None:
            table.add_row(one.verdict, "–", "–", "–", escape(one.detail))
            continue
        score = one.prediction.score
        share = f"{100 * score / limits.t_lo:.0f}" if limits.t_lo > 0 and math.isfinite(score) else "–"
        table.add_row(one.verdict, f"{score:.4f}", share, str(len(one.prediction.regions)), escape(str(one.path)))
    out.print(table)
    counts = {verdict: sum(one.verdict is verdict for one in seen) for verdict in MachineVerdict}
    out.print(f"{len(seen)} pictures: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n))
    high = "none is proved, so nothing fails without a person" if limits.t_hi is None else f"{limits.t_hi:.4f}"
    out.print(f"review from {limits.t_lo:.4f}, fail from {high}")


def _write_overlay(target: Path, picture: Picture, prediction: Prediction, limits: Limits) -> None:
    """The raw picture with its heat as the pages show it, and a box round each region."""
    height, width = picture.shape[:2]
    assert prediction.placement is not None  # as Predictor.inspect gives it
    stored, low, high = eight_bit(prediction.placement.on_picture(prediction.map, max(width, height)))
    painted = cv2.resize(overlay(stored, (low, high), limits), (width, height), interpolation=cv2.INTER_LINEAR)
    strength = painted[..., 3:].astype(np.float32) / 255
    marked = (picture * (1 - strength) + painted[..., :3] * strength).astype(np.uint8)
    thick = max(1, round(max(width, height) / 400))
    for region in prediction.regions:
        corners = (region.x - 2, region.y - 2), (region.x + region.width + 1, region.y + region.height + 1)
        for colour, extra in zip(BOX, (2, 0), strict=True):
            cv2.rectangle(marked, *corners, colour, thick + extra)
    target.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", cv2.cvtColor(marked, cv2.COLOR_RGB2BGR))
    if not done:
        raise SettingsInvalid(f"{target}: OpenCV could not encode the overlay")
    target.write_bytes(data.tobytes())
