"""Teaching a product: pictures in, a model file registered in the books, and activated if so asked."""

import getpass
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import cv2
from pydantic import ValidationError

from cli import parts
from cli.asked import Asked
from cli.console import Report, err, escape, out, progress, write_json
from cli.warm_start import named_start, product_start
from core.blobs.keys import fixture_key
from core.errors import ModelUnusable, SettingsInvalid
from core.live_open import open_live
from core.recipes import Recipe, Roi
from core.records import models, recipes
from core.records.models import ModelRow, NewModel
from core.settings import Settings, read_settings
from core.stop import Stop, stop_on_signals
from model.architecture import named
from model.card_document import card_document
from model.datasets import DatasetUnusable, open_dataset
from model.errors import ModelError
from model.evaluation import Evaluation
from model.fixture import KINDS, FixtureMismatch, Kind
from model.fixture_picture import fixture_sheet
from model.fusion import Witness
from model.golden import Finding
from model.learning import LearnOptions, Learnt, learn
from model.manifest import Manifest
from model.pace import Budget
from model.runtimes import Precision
from model.split import LearningImpossible
from model.steps import TrainingDiverged
from model.training import TrainingCancelled
from model.trial import learn_and_test
from model.views import TURNS, Turns

INTERRUPTED = 130
FIXTURES = ("auto", *KINDS)
FLAT_FIELD: Mapping[str, bool | None] = {"auto": None, "on": True, "off": False}


def options_of(asked: Asked, settings: Settings) -> LearnOptions:
    """For the engine. Raises SettingsInvalid for what nobody can mean."""
    try:
        return LearnOptions(
            architecture=named(asked.ablation, backbone=asked.backbone),
            budget=Budget.parse(asked.budget),
            size=asked.size,
            fixture=cast("Kind", _one_of("fixture", asked.fixture, FIXTURES)),
            flat=FLAT_FIELD[_one_of("flat field", asked.flat_field, FLAT_FIELD)],
            roi=box_of(asked.roi) if asked.roi else None,
            ignored=tuple(box_of(text) for text in asked.ignore or ()),
            seed=asked.seed,
            witness=cast("Witness", _one_of("witness", asked.witness, get_args(Witness))),
            precision=cast("Precision", _one_of("precision", asked.precision, get_args(Precision))),
            textures=asked.textures,
            runtime=settings.worker.runtime,
            review_rate=asked.review_rate,
            fail_rate=asked.fail_rate,
            threads=settings.worker.threads or None,
            weights=settings.weights,
            turns=cast("Turns", _one_of("turns", asked.turns, ("auto", *TURNS))),
            tile=asked.tile,
            warm_start=named_start(asked.warm_start),
        )
    except ValueError as problem:
        raise SettingsInvalid(str(problem)) from problem


def recipe_of(asked: Asked, product: str) -> Recipe:
    """The recipe that goes with the model. Raises SettingsInvalid."""
    roi = _roi(asked.roi) if asked.roi else None
    mask = tuple(_roi(text) for text in asked.ignore or ())
    try:
        return Recipe.model_validate({
            "product": product, "fixture": "roi" if roi else asked.fixture, "flat_field": asked.flat_field, "roi": roi,
            "mask": mask, "budget": asked.size, "millimetres_per_pixel": asked.mm_per_pixel})  # fmt: skip
    except ValidationError as problem:
        raise SettingsInvalid(f"product {product!r}: {problem.errors()[0]['msg']}") from problem


def box_of(text: str) -> tuple[int, int, int, int]:
    """X,Y,WIDTH,HEIGHT as numbers. Raises SettingsInvalid."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as problem:
        raise SettingsInvalid(f"{text!r} is no rectangle: write X,Y,WIDTH,HEIGHT in picture pixels") from problem
    return x, y, width, height


def _one_of(what: str, text: str, known: Iterable[str]) -> str:
    if text not in known:
        raise SettingsInvalid(f"no {what} {text!r}; choose one of {', '.join(known)}")
    return text


def _roi(text: str) -> Roi:
    try:
        return Roi(**dict(zip(("x", "y", "width", "height"), box_of(text), strict=True)))
    except ValidationError as problem:
        raise SettingsInvalid(f"rectangle {text!r}: {problem.errors()[0]['msg']}") from problem


@contextmanager
def plain_refusals() -> Iterator[None]:
    """What the engine refuses, as our own errors: one sentence, no traceback."""
    try:
        yield
    except ModelError as problem:
        raise ModelUnusable(str(problem)) from problem
    except (LearningImpossible, DatasetUnusable, FixtureMismatch, TrainingDiverged) as problem:
        raise SettingsInvalid(str(problem)) from problem


def teach(product: str, folder: Path, asked: Asked, *, activate: bool, fresh: bool, json_file: Path | None) -> int:
    """Learn, register, and activate if so asked; print what was found. Returns the exit code."""
    settings = read_settings()
    stop = Stop()
    stop_on_signals(stop)
    recipe = recipe_of(asked, product)
    parts.prepare(settings)
    if fresh:
        _checkpoint(settings, product).unlink(missing_ok=True)
    try:
        with progress() as tell:
            learnt = learn_product(settings, product, folder, asked, stop=stop, tell=tell)
    except TrainingCancelled:
        err.print("cancelled; nothing changed in the books. The same command goes on where this one stopped")
        return INTERRUPTED
    shown = write_sheet(folder, learnt.manifest, _target(settings, product).with_suffix(".fixture.png"))
    row = enter(settings, recipe, learnt, activate=activate, shown=shown)
    write_json({**_values(row, learnt, asked.mm_per_pixel), "fixture_picture": str(shown)}, json_file)
    if str(json_file) != "-":
        _print(row, learnt, shown, activated=activate, mm_per_pixel=asked.mm_per_pixel)
    return 0


def learn_product(
    settings: Settings, product: str, pictures: Path, asked: Asked, *, stop: Stop, tell: Report
) -> Learnt:
    """Train and calibrate into the data folder. Raises TrainingCancelled, and FlawlineError for what is refused."""
    options = replace(options_of(asked, settings), warm_start=product_start(asked.warm_start, settings, product))
    with plain_refusals():
        return learn(pictures, _target(settings, product), options=options, progress=tell, cancelled=lambda: stop.asked)


def enter(settings: Settings, recipe: Recipe, learnt: Learnt, *, activate: bool, shown: Path | None = None) -> ModelRow:
    """Put a learnt model into the store and, with its card, into the books. shown: the picture of its fixture."""
    data = learnt.path.read_bytes()
    blob = f"model/{recipe.product}/{learnt.sha256}.safetensors"
    parts.blobs(settings).put(blob, data)
    picture = fixture_key(blob) if shown else None
    if shown and picture:
        parts.blobs(settings).put(picture, shown.read_bytes())
    card = card_document(learnt.manifest, sha256=learnt.sha256, size=len(data), fixture_picture=picture)
    who, now = getpass.getuser(), parts.now()
    with parts.database(settings) as database, database.writing() as connection:
        recipe = _as_before(recipe, recipes.newest(connection, recipe.product))
        version = recipes.save(connection, recipe, who=who, note="onboarding", now=now)
        new = NewModel(
            product=recipe.product, blob=blob, sha256=learnt.sha256, size=len(data), recipe_version=version,
            manifest=learnt.manifest.model_dump(mode="json"), metrics={"train_seconds": round(learnt.seconds, 1)},
            note=f"learnt from {learnt.counts['train']} good parts", card=card)  # fmt: skip
        row = models.register(connection, new, who=who, now=now)
        if activate:
            row = models.activate(connection, row.id, who=who, note="onboarding", now=now)
    with open_live(settings) as live:
        live.models_changed()
    learnt.path.unlink()
    return row


def _as_before(recipe: Recipe, former: tuple[int, Recipe] | None) -> Recipe:
    """Learning anew moves no camera and asks for none of this: what was set before stays, but for a scale given now."""
    if former is None:
        return recipe
    kept = {name: getattr(former[1], name) for name in ("min_region_area", "classes", "millimetres_per_pixel")}
    if recipe.millimetres_per_pixel is not None:
        del kept["millimetres_per_pixel"]
    return recipe.model_copy(update=kept)


def evaluate_data(data: Path, asked: Asked, *, keep: Path | None, json_file: Path | None) -> int:
    """Learn from a data set, test on it, report. Returns the exit code."""
    settings = read_settings()
    stop = Stop()
    stop_on_signals(stop)
    with TemporaryDirectory() as scratch, plain_refusals():
        target = keep or Path(scratch) / "model.safetensors"
        try:
            with progress() as tell:
                options = options_of(asked, settings)
                learnt, found = learn_and_test(
                    data, target, options=options, progress=tell, cancelled=lambda: stop.asked)  # fmt: skip
        except TrainingCancelled:
            err.print("cancelled" if keep else "cancelled; nothing was kept")
            return INTERRUPTED
    write_json(found.to_dict(), json_file)
    if str(json_file) != "-":
        print_findings(learnt.findings)
        out.print(escape(fixture_told(learnt.manifest)), soft_wrap=True)
        if keep:
            out.print(f"See {escape(str(write_sheet(data, learnt.manifest, keep.with_suffix('.fixture.png'))))}")
        _print_evaluation(found)
        _print_capability(learnt.manifest, asked.mm_per_pixel)
    return 0


def _target(settings: Settings, product: str) -> Path:
    return settings.data / "training" / f"{product}.safetensors"


def _checkpoint(settings: Settings, product: str) -> Path:
    target = _target(settings, product)
    return target.with_name(target.name + ".checkpoint")


def _values(row: ModelRow, learnt: Learnt, mm_per_pixel: float | None) -> Mapping[str, Any]:
    calibration = learnt.calibration
    return {
        "product": row.product, "model": row.id, "version": row.version, "state": row.state, "sha256": row.sha256,
        "pictures": dict(learnt.counts), "train_seconds": round(learnt.seconds, 1),
        "limits": {"t_lo": calibration.pass_limit, "t_hi": calibration.fail_limit},
        "false_reject_rate_asked": calibration.review_rate, "false_reject_rate_proved": calibration.proved_review_rate,
        "warm_start": learnt.manifest.training.get("warm_start"),
        "message": calibration.message, "fixtures": learnt.manifest.training.get("fixtures"),
        "capability": found.report(mm_per_pixel) if (found := learnt.manifest.measured()) else None,
        "findings": [{"path": str(f.path), "kind": f.kind, "message": f.message, "left_out": f.left_out}
                     for f in learnt.findings],
    }  # fmt: skip


def write_sheet(folder: Path, manifest: Manifest, target: Path) -> Path:
    """A picture of golden parts in the model's fixture, for a person to check. Returns where it is."""
    sheet = fixture_sheet(open_dataset(folder).train, manifest.fitted())
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise SettingsInvalid(f"{target}: OpenCV could not encode the picture of the fixture")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data.tobytes())
    return target


def fixture_told(manifest: Manifest) -> str:
    """What the fixture is, and by how much it was better than the others that were tried."""
    found: Any = manifest.training.get("fixtures") or {}
    merits = ", ".join(f"{name} {merit:.3f}" for name, merit in (found.get("merit") or {}).items())
    tried = f" Made-up flaws stood out: {merits}." if merits else ""
    return f"Fixture: {found.get('chosen', manifest.fitted().kind)}, {manifest.width}x{manifest.height} px.{tried}"


def _print(row: ModelRow, learnt: Learnt, shown: Path, *, activated: bool, mm_per_pixel: float | None) -> None:
    print_findings(learnt.findings)
    out.print(f"{escape(fixture_told(learnt.manifest))} See {escape(str(shown))}", soft_wrap=True)
    counts = learnt.counts
    out.print(
        f"[bold]{escape(row.product)}[/]: model {row.version} learnt from {counts['train']} good parts, calibrated on "
        f"{counts['calibration']} others, in {learnt.seconds:.0f} s", soft_wrap=True)  # fmt: skip
    if begun := learnt.manifest.training.get("warm_start"):
        out.print(f"Its networks began from those of model file {str(begun)[:12]}…, not fresh", soft_wrap=True)
    out.print(escape(learnt.calibration.message), soft_wrap=True)
    _print_capability(learnt.manifest, mm_per_pixel)
    if activated:
        out.print("It is active. Next: name a camera for it in the line file and run `flawline up`.", soft_wrap=True)
    else:
        out.print(f"It is a candidate; `flawline models activate {row.id} --note …` lets it judge.", soft_wrap=True)


def print_findings(findings: Sequence[Finding]) -> None:
    """What was noticed about the pictures, a line for each."""
    for finding in findings:
        mark = "[bold red]left out[/]" if finding.left_out else "[yellow]look at[/]"
        out.print(f"{mark} {escape(str(finding))}", soft_wrap=True)


def _print_capability(manifest: Manifest, mm_per_pixel: float | None) -> None:
    """What made-up flaws told, where any were tried."""
    found = manifest.measured()
    if found is None:
        return
    for line in (found.summary, *(f"  {sentence}" for sentence in found.sentences(mm_per_pixel))):
        out.print(escape(line), soft_wrap=True)


def _print_evaluation(found: Evaluation) -> None:
    rows = [
        ("image AUROC", found.image_auroc), ("image AP", found.image_ap), ("image F1-max", found.image_f1_max),
        ("pixel AUROC", found.pixel_auroc), ("AU-PRO (0.3)", found.au_pro),
        ("false-reject rate", found.false_reject_rate),
        ("miss rate", found.miss_rate), ("ms per frame", found.ms_per_frame), ("training, s", found.train_seconds),
    ]  # fmt: skip
    for name, value in rows:
        out.print(f"{name:<18} {'–' if value is None else f'{value:.4f}'}")
    if found.false_reject_interval:
        low, high = found.false_reject_interval
        out.print(f"{found.false_rejects} of {found.good} good parts rejected, 95 % interval {low:.1%} to {high:.1%}")
    for name, why in found.unusable.items():
        out.print(f"[yellow]not tested[/] {escape(name)}: {escape(why)}", soft_wrap=True)
