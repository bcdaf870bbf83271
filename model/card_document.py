"""A model's card as one JSON document: the words of the card, and the numbers behind its drawings.

It stands beside the model in the books, so that pages which know no torch can show it, and a person can take it away.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from model.capability import CATCH, Capability, is_enough, smallest_caught
from model.card import card
from model.curves import curves_from
from model.manifest import Manifest
from model.runtime_parity import parity_told

EDITION = 1
"""Of the document's form; raised when a reader of before would misunderstand it."""


def card_document(
    manifest: Manifest, *, sha256: str | None = None, size: int | None = None, fixture_picture: str | None = None
) -> dict[str, Any]:
    """Plain JSON values. sha256, size in bytes: of the model file. fixture_picture: where a picture of the fixture is.

    edition, sha256, bytes, code_version; sections: title and rows of name and value, for people; then numbers, null
    where the file has none: data, fixture, training, curves, calibration, capability, parity, memory, runtime.
    """
    record, memory = manifest.calibration, manifest.memory
    return {
        "edition": EDITION,
        "sha256": sha256,
        "bytes": size,
        "code_version": manifest.code_version,
        "sections": [
            {"title": section.title, "rows": [list(row) for row in section.rows]}
            for section in card(manifest, sha256=sha256, size=size, drawn=False)
        ],
        "data": None if manifest.data is None else manifest.data.model_dump(mode="json"),
        "fixture": _fixture(manifest) | {"picture": fixture_picture},
        "training": _training(manifest.training),
        "curves": [curve.to_dict() for curve in curves_from(manifest.training.get("curves"))],
        "calibration": _calibration(manifest),
        "capability": _capability(manifest.measured()),
        "parity": _parity(manifest),
        "memory": None if memory is None else memory.model_dump(mode="json"),
        "runtime": None if record is None else asdict(record.fingerprint),
    }


def _fixture(manifest: Manifest) -> dict[str, Any]:
    """What brings every part to its place, and by how much it was better than the others that were tried."""
    told = manifest.training.get("fixtures")
    merit = told.get("merit") if isinstance(told, Mapping) else None
    return {
        "kind": manifest.fixture.get("kind"),
        "flat": bool(manifest.fixture.get("flat")),
        "height": manifest.height,
        "width": manifest.width,
        "merit": dict(merit) if isinstance(merit, Mapping) else {},
    }


def _training(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of the run is no curve, no calibration and no list of files."""
    known = ("budget", "schedule", "rates", "seed", "batch", "witness", "iterations", "losses", "train_seconds")
    return {name: values[name] for name in known if name in values}


def _calibration(manifest: Manifest) -> dict[str, Any] | None:
    record = manifest.calibration
    if record is None:
        return None
    told = manifest.training.get("calibration")
    rates = told if isinstance(told, Mapping) else {}
    limits = manifest.limits
    names = ("review_rate", "fail_rate", "proved_review_rate", "proved_fail_rate", "message")
    return {
        "scores": sorted(record.scores),
        "t_lo": None if limits is None else limits.t_lo,
        "t_hi": None if limits is None else limits.t_hi,
    } | {name: rates.get(name) for name in names}


def _capability(found: Capability | None) -> dict[str, Any] | None:
    """Its report, and for each kind and contrast the smallest size that is caught; null for too few or none."""
    if found is None:
        return None
    smallest = [
        {
            "kind": series[0].kind,
            "contrast": series[0].contrast,
            "enough": is_enough(series),
            "size": best.size if is_enough(series) and (best := smallest_caught(series)) else None,
        }
        for series in found.series()
    ]
    return found.report() | {"summary": found.summary, "catch": CATCH, "smallest": smallest}


def _parity(manifest: Manifest) -> dict[str, Any] | None:
    record = manifest.parity
    if record is None:
        return None
    fingerprint = manifest.calibration.fingerprint if manifest.calibration else None
    return record.model_dump(mode="json") | {"share": record.share, "told": parity_told(record, fingerprint)}
