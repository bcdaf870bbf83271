"""A model version as a card: what it is worth, what proves it, who made it judge."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.records.models import ModelRow
from core.verdicts import ModelState
from dashboard import figures, words
from dashboard.calibration import Proof, number, proof_of, taught
from dashboard.markup import Html, div, join, span, tag

_METRICS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1_max": "image F1",
    "pixel_auroc": "pixel AUROC",
    "au_pro": "AU-PRO",
    "ms_per_frame": "ms a frame",
}
_ELSEWHERE = frozenset({"train_seconds"})  # told with the training
_MOST_METRICS = 8


def model_card(row: ModelRow, now: datetime) -> Html:
    """Version and state, figures, limits, origin, and for the active one why it is."""
    active = row.state is ModelState.ACTIVE
    state = span("chip on" if active else "chip", words.STATES_MODEL.get(str(row.state), str(row.state)))
    head = div("ends", div("line", tag("b", row.version, class_="version"), state), span("muted", made(row, now)))
    proof = proof_of(row.manifest)
    return div(
        "fl model active" if active else "fl model", head, why(row, now), figures_row(row.metrics), _facts(row, proof),
    )  # fmt: skip


def made(row: ModelRow, now: datetime) -> str:
    """Who made it and when."""
    return f"{figures.day_and_time(row.created_at, now)} · {row.created_by}"


def why(row: ModelRow, now: datetime) -> Html | None:
    """Why this version judges, or once did."""
    if row.activated_at is None:
        return None
    when = figures.day_and_time(row.activated_at, now)
    said = f"active since {when}" if row.state is ModelState.ACTIVE else f"was made active {when}"
    by = f" by {row.activated_by}" if row.activated_by else ""
    note = f" · “{row.activation_note}”" if row.activation_note else ""
    return div("muted why", f"{said}{by}{note}")


def figures_row(metrics: Mapping[str, Any]) -> Html | None:
    """The measured figures that are numbers, the usual ones first."""
    known = [(label, number(metrics.get(name))) for name, label in _METRICS.items()]
    others = [
        (str(name).replace("_", " "), number(value))
        for name, value in metrics.items()
        if name not in _METRICS.keys() | _ELSEWHERE
    ]
    shown = [(label, value) for label, value in known + others if value is not None][:_MOST_METRICS]
    if not shown:
        return None
    return div("metrics", *(div("", div("label", label), div("metric", _metric(value))) for label, value in shown))


def _metric(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else figures.count(round(value))


def sentences(proof: Proof) -> list[str]:
    """What the calibration proves, in plain words."""
    if not proof.scores:
        return [words.NO_CALIBRATION]
    if proof.told:
        return [proof.told]
    n = figures.count(len(proof.scores))
    if proof.t_lo is None or proof.review_rate is None:
        return [f"{n} good parts were held out; no limit was derived from them."]
    said = [f"{n} good parts held out prove that at most {_share(proof.review_rate)} of good parts are held back."]
    if proof.fail_rate is None:
        said.append("They are too few to prove a fail limit: all above the review limit is shown to a person.")
    else:
        said.append(f"At most {_share(proof.fail_rate)} of good parts are failed outright.")
    return said


def _share(rate: float) -> str:
    return figures.percent(rate, digits=2 if rate < 0.1 else 1)


def _facts(row: ModelRow, proof: Proof) -> Html:
    t_hi = f" · fail from {figures.score(proof.t_hi)}" if proof.t_hi is not None else ""
    facts = {"limits": f"review from {figures.score(proof.t_lo)}{t_hi}"} if proof.t_lo is not None else {}
    facts |= taught(row.manifest)
    facts |= {"recipe": str(row.recipe_version), "file": f"{row.size / 1e6:.1f} MB · {row.sha256[:12]}"}
    if row.note:
        facts["note"] = row.note
    return join(tag("dl", *(div("", tag("dt", name), tag("dd", value)) for name, value in facts.items())))
