"""A model's card as the books hold it, read with care: it is a document, not a class. Pure.

`model.card_document` of the learning side writes it; what is missing or strange here is left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.records.models import ModelRow
from dashboard.calibration import number

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """A title with names and values in words."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LossCurve:
    """The losses of one network over one stage of the training, at some of its iterations."""

    stage: str
    network: str
    iterations: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of made-up flaws of one size, in pixels of the raw picture: how many of them did not pass."""

    size: float
    held: int
    tried: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """Flaws of one kind and contrast, the smallest first; `caught` is the smallest size that is caught, if any."""

    kind: str
    contrast: float
    sizes: tuple[Tried, ...]
    caught: float | None
    enough: bool


def blocks(card: Document) -> dict[str, Block]:
    """The card in words, by title."""
    found = [_block(one) for one in _list(card.get("sections"))]
    return {block.title: block for block in found if block is not None}


def loss_curves(card: Document) -> list[LossCurve]:
    """How the losses fell, in the order of training."""
    made = []
    for one in _list(card.get("curves")):
        if not isinstance(one, Mapping):
            continue
        at, losses = numbers(one.get("iterations")), numbers(one.get("losses"))
        if at and len(at) == len(losses):
            made.append(LossCurve(str(one.get("stage", "")), str(one.get("network", "")), at, losses))
    return made


def ladders(card: Document) -> list[Ladder]:
    """What was tried of each kind and contrast of made-up flaws."""
    told = _part(card, "capability")
    grades = [one for one in _list(told.get("grades")) if isinstance(one, Mapping)]
    made = []
    for best in _list(told.get("smallest")):
        if not isinstance(best, Mapping):
            continue
        kind, contrast = str(best.get("kind", "")), number(best.get("contrast"))
        own = [_tried(one) for one in grades if (one.get("kind"), number(one.get("contrast"))) == (kind, contrast)]
        sizes = sorted((one for one in own if one is not None), key=lambda one: one.size)
        if sizes and contrast is not None:
            made.append(Ladder(kind, contrast, tuple(sizes), number(best.get("size")), best.get("enough") is not False))
    return made


def sentences(card: Document) -> list[str]:
    """What the flaws told, in words: first what was done, then one for each kind and contrast."""
    told = _part(card, "capability")
    return [text for text in (told.get("summary"), *_list(told.get("sentences"))) if isinstance(text, str)]


def merits(card: Document) -> list[tuple[str, float]]:
    """The fixtures that were tried, best first, and the chance that a flaw stood out under each, 0 to 1."""
    told = [(str(name), number(merit)) for name, merit in _part(_part(card, "fixture"), "merit").items()]
    known = [(name, merit) for name, merit in told if merit is not None]
    return sorted(known, key=lambda one: -one[1])


def fixture_name(card: Document) -> str:
    """The fixture that was chosen, as `merits` names it; "" if the card has none."""
    fixture = _part(card, "fixture")
    kind = fixture.get("kind")
    return f"{kind}{', flat field' if fixture.get('flat') else ''}" if isinstance(kind, str) else ""


def fixture_picture(card: Document) -> str | None:
    """The key of the picture that shows the fixture."""
    key = _part(card, "fixture").get("picture")
    return key if isinstance(key, str) else None


def parity_told(card: Document) -> str | None:
    """How far the runtime is from PyTorch in float32, in words; None where nobody measured it."""
    told = _part(card, "parity").get("told")
    return told if isinstance(told, str) else None


def download(row: ModelRow) -> str:
    """What a person takes away: the card, with the model's place in the books around it."""
    said = {
        "product": row.product, "version": row.version, "state": str(row.state), "sha256": row.sha256,
        "bytes": row.size, "recipe_version": row.recipe_version,
        "created_at": row.created_at.isoformat(), "created_by": row.created_by,
        "activated_at": row.activated_at and row.activated_at.isoformat(), "activated_by": row.activated_by,
        "activation_note": row.activation_note, "note": row.note, "metrics": dict(row.metrics),
        "card": None if row.card is None else dict(row.card),
    }  # fmt: skip
    return json.dumps(said, indent=2, ensure_ascii=False, default=str)


def file_name(row: ModelRow) -> str:
    """Under which it is taken away."""
    return f"{row.product}-{row.version.replace('/', '-')}-card.json"


def numbers(values: object) -> tuple[float, ...]:
    """A list of finite numbers; empty if one of them is none."""
    found = [number(one) for one in _list(values)]
    return tuple(one for one in found if one is not None) if None not in found else ()


def _block(section: object) -> Block | None:
    if not isinstance(section, Mapping):
        return None
    pairs = [row for row in _list(section.get("rows")) if isinstance(row, list | tuple) and len(row) == 2]
    return Block(str(section.get("title", "")), tuple((str(name), str(value)) for name, value in pairs))


def _tried(grade: Document) -> Tried | None:
    size, tried = number(grade.get("size")), number(grade.get("tried"))
    caught, refused = number(grade.get("caught")), number(grade.get("refused"))
    if size is None or tried is None or caught is None or tried < 1:
        return None
    return Tried(size, int(caught + (refused or 0)), int(tried))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _part(document: Document, name: str) -> Document:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
