"""What a model's manifest says it was taught and proved, read with care: it is a document, not a class. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Proof:
    """Scores of held-out good parts, ascending, and the limits; rates are shares of good parts that are held back.

    `review_rate` is what the scores prove of the review limit, `fail_rate` of the fail limit; None without either.
    """

    scores: tuple[float, ...] = ()
    t_lo: float | None = None
    t_hi: float | None = None
    told: str = ""  # the calibration's own words: what is proved, and what more it takes

    @property
    def review_rate(self) -> float | None:
        """At most this share of good parts goes to review or is failed."""
        return None if self.t_lo is None else proved_rate(self.scores, self.t_lo)

    @property
    def fail_rate(self) -> float | None:
        """At most this share of good parts is failed."""
        return None if self.t_hi is None else proved_rate(self.scores, self.t_hi)


def proved_rate(scores: tuple[float, ...], limit: float) -> float | None:
    """What n held-out good parts prove of a limit: (n + 1 - k) / (n + 1) with k scores up to it (rd-e.md §9)."""
    if not scores:
        return None
    kept = sum(score <= limit for score in scores)
    return (len(scores) + 1 - kept) / (len(scores) + 1)


def proof_of(manifest: Mapping[str, Any]) -> Proof:
    """Calibration and limits of a manifest; what is missing or no number is left out."""
    calibration, limits = _part(manifest, "calibration"), _part(manifest, "limits")
    found = calibration.get("scores")
    scores = tuple(sorted(s for s in map(number, found if isinstance(found, list | tuple) else ()) if s is not None))
    told = _part(_part(manifest, "training"), "calibration").get("message")
    return Proof(scores, number(limits.get("t_lo")), number(limits.get("t_hi")), told if isinstance(told, str) else "")


def taught(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a model learnt from and with, in words; only what the manifest says."""
    data, training = _part(manifest, "data"), _part(manifest, "training")
    counts = _part(data, "counts")
    said = {str(role): f"{n} pictures" for role, n in counts.items()}
    backbone = _part(manifest, "architecture").get("backbone")
    if backbone:
        said["backbone"] = str(backbone)
    seconds = number(training.get("train_seconds"))
    if seconds is not None:
        said["training time"] = f"{seconds:.0f} s"
    if data.get("digest"):
        said["data snapshot"] = str(data["digest"])[:12]
    if manifest.get("code_version"):
        said["made by"] = f"flawline {manifest['code_version']}"
    return said


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
