"""
What a model file says of itself, as a card for people: sections of names and values, for a terminal or a page.

Only what the file says is on it. A part that is missing, or that an older version wrote otherwise, is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.architecture import ABLATIONS, Ablation, Architecture
from model.capability import FEWEST, USUALLY, Series, is_enough, smallest_caught
from model.curves import Curve, curves_from, distribution, sparkline
from model.manifest import Manifest
from model.resnet import RESNETS
from model.runtime_parity import parity_told

Row = tuple[str, str]
"""A name and its value, both in words."""

METHODS: dict[str, str] = {
    "rd": "reverse distillation",
    "rd-e": "reverse distillation with an expert",
    "rd-e+skip": "RD-E with unguided skips",
    "rd-e+gii": "RD-E with guided information injection",
}
FIXTURES: dict[str, str] = {"none": "the whole picture", "roi": "a fixed rectangle"}
TWINS: dict[str, str] = {
    "mask_redraws": "masks drawn again",
    "ellipses": "ellipses instead",
    "texture_redraws": "textures drawn again",
    "forced": "forced to be seen",
}


@dataclass(frozen=True)
class Section:
    """One part of the card; never without rows."""

    title: str
    rows: tuple[Row, ...]


def card(
    manifest: Manifest, *, sha256: str | None = None, size: int | None = None, drawn: bool = True
) -> tuple[Section, ...]:
    """The card of a model. sha256, size in bytes: of its file. drawn: with small drawings made of letters."""
    parts = {
        "network": _network(manifest),
        "pictures": _pictures(manifest),
        "training": _training(manifest.training, curves_from(manifest.training.get("curves")) if drawn else ()),
        "limits": _limits(manifest),
        "calibration": _calibration(manifest, drawn=drawn),
        "runtime parity": _parity(manifest),
        "golden memory": _memory(manifest),
        "made-up flaws": _capability(manifest),
        "figures": tuple((name, f"{value:.4g}") for name, value in manifest.metrics.items() if value is not None),
        "file": _rows(
            ("size", None if size is None else f"{size / 1e6:.1f} MB ({size:,} bytes)"),
            ("SHA-256", sha256),
            ("format", str(manifest.format)),
            ("written by flawline", manifest.code_version),
        ),
    }
    return tuple(Section(title, rows) for title, rows in parts.items() if rows)


def ablation_of(architecture: Architecture) -> str | None:
    """The name of the ablation that an architecture is; None for a combination that has none."""
    wanted = Ablation(architecture.skip, architecture.expert)
    return next((name for name, row in ABLATIONS.items() if row == wanted), None)


def _rows(*pairs: tuple[str, str | None]) -> tuple[Row, ...]:
    return tuple((name, value) for name, value in pairs if value)


def _network(manifest: Manifest) -> tuple[Row, ...]:
    architecture = manifest.built()
    name = ablation_of(architecture)
    loose = f"skip {architecture.skip}, expert {'on' if architecture.expert else 'off'}"
    features = "" if architecture.backbone in RESNETS else f", {architecture.features} features"
    return _rows(
        ("method", f"{name}: {METHODS[name]}" if name else loose),
        ("backbone", architecture.backbone + features),
        ("input", f"{manifest.width} × {manifest.height} px"),
        ("precision", manifest.precision),
        *_fixture(manifest.fixture),
        ("fixtures tried", _merits(manifest.training.get("fixtures"))),
        ("not looked at", ", ".join(_box(box) or "" for box in manifest.ignored)),
        ("smallest region", f"{manifest.minimum_area} px of the input"),
    )


def _fixture(values: Mapping[str, object]) -> tuple[Row, ...]:
    """From the plain values, so that a kind of fixture that is new here is shown by its name."""
    kind = str(values["kind"])
    words = f"{kind}: {FIXTURES[kind]}" if kind in FIXTURES else kind
    picture = values.get("picture")
    return _rows(
        ("fixture", words + (", light evened out" if values.get("flat") else "")),
        ("looks at", _box(values.get("roi"))),
        ("pictures of", f"{picture[0]} × {picture[1]} px" if isinstance(picture, list | tuple) else None),
    )


def _merits(values: object) -> str | None:
    """How often flaws stood out under each fixture that was tried, the best first."""
    return _by_name(values.get("merit"), "{:.3f}") if isinstance(values, Mapping) else None


def _box(value: object) -> str | None:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    x, y, width, height = value
    return f"{width} × {height} px at ({x}, {y})"


def _pictures(manifest: Manifest) -> tuple[Row, ...]:
    if manifest.data is None:
        return ()
    counts = [(f"for {role}", str(count)) for role, count in manifest.data.counts.items()]
    return _rows(*counts, ("digest", manifest.data.digest))


def _training(values: Mapping[str, object], curves: Sequence[Curve]) -> tuple[Row, ...]:
    textures = values.get("texture_files")
    return _rows(
        ("imported from", _text(values, "imported")),
        ("checkpoint", _text(values, "checkpoint")),
        ("its SHA-256", _text(values, "checkpoint_sha256")),
        ("budget", _text(values, "budget")),
        ("schedule", _text(values, "schedule")),
        ("iterations", _by_name(values.get("iterations"), "{:,.0f}")),
        ("batch", _text(values, "batch")),
        ("begun from", _begun(values)),
        ("turned", _why(values.get("views"))),
        ("last losses", _by_name(values.get("losses"), "{:.4g}")),
        ("training time", _in(values, "train_seconds", "{:,.1f} s")),
        *((_curve_name(curve), _curve_told(curve)) for curve in curves),
        ("seed", _text(values, "seed")),
        ("twins", _twins(values.get("twins"))),
        ("textures", f"{len(textures)} files" if isinstance(textures, list) and textures else None),
        ("witness", _text(values, "witness")),
    )


def _begun(values: Mapping[str, object]) -> str | None:
    """The model that a warm start took its weights from; None in a file from before there were any."""
    if "warm_start" not in values:
        return None
    return f"the model {_text(values, 'warm_start')}" if values["warm_start"] else "the ImageNet weights"


def _why(values: object) -> str | None:
    """The reason that is given beside a choice."""
    return _text(values, "why") if isinstance(values, Mapping) else None


def _curve_name(curve: Curve) -> str:
    return f"{curve.network}'s loss" if curve.stage == curve.network else f"{curve.network}'s loss, stage {curve.stage}"


def _curve_told(curve: Curve) -> str:
    return (
        f"{sparkline(curve.losses)} {curve.losses[0]:.4g} to {curve.losses[-1]:.4g} "
        f"in {curve.iterations[-1]:,} iterations"
    )


def _twins(values: object) -> str | None:
    """The report on the synthetic anomalies, where any were made."""
    if not isinstance(values, Mapping) or not _number(values, "twins"):
        return None
    told = [f"{_in(values, name, '{:,.0f}')} {words}" for name, words in TWINS.items() if _number(values, name)]
    return ", ".join([f"{_in(values, 'twins', '{:,.0f}')} made", *told])


def _limits(manifest: Manifest) -> tuple[Row, ...]:
    limits = manifest.limits
    if limits is None:
        return (("calibrated", "no: it gives scores, and neither PASS nor FAIL"),)
    told = manifest.training.get("calibration")
    rates = told if isinstance(told, Mapping) else {}
    fail = "no limit is proved: nothing fails without a person" if limits.t_hi is None else f"{limits.t_hi:.4f}"
    return _rows(
        ("PASS up to", f"{limits.t_lo:.4f}"),
        ("FAIL above", fail),
        ("false rejects", _rates(rates, "review_rate")),
        ("false FAILs", _rates(rates, "fail_rate")),
        ("in words", _text(rates, "message")),
    )


def _rates(values: Mapping[str, object], name: str) -> str | None:
    """What was asked, and what the held-out parts prove; no word on proof where the file has none."""
    asked, proved = _in(values, name, "{:.2%}"), f"proved_{name}"
    if asked is None or proved not in values:
        return asked and f"{asked} asked"
    return f"{asked} asked, {_in(values, proved, '{:.2%}') or 'nothing'} proved"


def _calibration(manifest: Manifest, *, drawn: bool) -> tuple[Row, ...]:
    record = manifest.calibration
    if record is None:
        return ()
    by = record.fingerprint
    scores = record.scores
    return _rows(
        ("held-out scores", f"{len(scores)}, from {min(scores):.4f} to {max(scores):.4f}" if scores else None),
        ("their distribution", distribution(scores) if drawn and len(scores) > 1 else None),
        ("holds for", f"{by.runtime} {by.version} on {by.device} in {by.precision}"),
    )


def _parity(manifest: Manifest) -> tuple[Row, ...]:
    record = manifest.parity
    by = manifest.calibration.fingerprint if manifest.calibration else None
    return () if record is None else (("beside PyTorch", parity_told(record, by)),)


def _memory(manifest: Manifest) -> tuple[Row, ...]:
    memory = manifest.memory
    if memory is None:
        return ()
    return _rows(
        ("parts", str(memory.parts)),
        ("cells", f"{memory.columns} × {memory.rows}"),
        ("share of the map", f"{memory.share:.0%}"),
        ("why", _why(manifest.training.get("weighed"))),
    )


def _capability(manifest: Manifest) -> tuple[Row, ...]:
    """For each kind and contrast the smallest size that is caught, then what came of every size."""
    found = manifest.measured()
    if found is None:
        return ()
    side = f"{found.part_side:.0f} px, the root of its area"
    told = [(f"{one[0].kind}, contrast {one[0].contrast:g}", _series(one)) for one in found.series()]
    return _rows(("tried", found.summary.rstrip(":.")), ("side of the part", side if told else None), *told)


def _series(series: Series) -> str:
    sizes = ", ".join(f"{one.measure()} {one.caught + one.refused} of {one.tried}" for one in series)
    if not is_enough(series):
        return f"fewer than {FEWEST} tried: {sizes}"
    found = smallest_caught(series)
    if found is None:
        return f"no size is caught {USUALLY}: {sizes}"
    low, high = found.interval
    return f"caught from {found.measure()} on (95 % interval {low:.0%} to {high:.0%} there): {sizes}"


def _number(values: Mapping[str, object], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _in(values: Mapping[str, object], name: str, form: str) -> str | None:
    number = _number(values, name)
    return None if number is None else form.format(number)


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _by_name(values: object, form: str) -> str | None:
    """Numbers by stage or network, those that are None left out."""
    if not isinstance(values, Mapping):
        return None
    told = [f"{name} {_in(values, name, form)}" for name in values if _number(values, name) is not None]
    return ", ".join(told) or None
