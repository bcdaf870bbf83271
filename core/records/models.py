"""Which models there are, and which one judges: register, activate, go back (domain.md §5.1, UX-2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from core.errors import NotAllowed
from core.records.audit import Change, write
from core.records.products import enter, hold
from core.tables import models, rollup_minute
from core.verdicts import ModelState

_FINISHED = {ModelState.TRAINED, ModelState.VALIDATED}
_NEVER = {ModelState.DRAFT, ModelState.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A model file that was trained: its blob key, SHA-256, size in bytes, manifest, measured figures and card."""

    product: str
    blob: str
    sha256: str
    size: int
    recipe_version: int
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    note: str = ""
    state: ModelState = ModelState.TRAINED
    card: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A model as it stands in the books; `version` is YYYY-MM-DD/N, N counting the product's models of that UTC day.

    `card` is None for one that was registered before there were cards (see add_card).
    """

    id: int
    product: str
    version: str
    state: ModelState
    blob: str
    sha256: str
    size: int
    recipe_version: int
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    note: str
    created_at: datetime
    created_by: str
    activated_at: datetime | None
    activated_by: str | None
    activation_note: str | None
    card: Mapping[str, Any] | None = None


def register(connection: Connection, candidate: NewModel, *, who: str, now: datetime) -> ModelRow:
    """Enter a trained model; it judges nothing until it is activated. Raises NotAllowed for an unfinished state."""
    if candidate.state not in _FINISHED:
        raise NotAllowed(f"a new model of {candidate.product} is {candidate.state}; only TRAINED or VALIDATED register")
    enter(connection, [candidate.product], now=now)
    hold(connection, candidate.product)
    values = {name: getattr(candidate, name) for name in NewModel.__dataclass_fields__} | {
        "state": str(candidate.state),
        "manifest": dict(candidate.manifest),
        "metrics": dict(candidate.metrics),
        "card": None if candidate.card is None else dict(candidate.card),
        "version": _next_version(connection, candidate.product, now),
        "created_at": now,
        "created_by": who,
    }
    number = connection.execute(insert(models).values(values).returning(models.c.id)).scalar_one()
    row = one(connection, number)
    _audit(connection, row, "model.register", who=who, note=candidate.note, now=now)
    return row


def activate(connection: Connection, model_id: int, *, who: str, note: str, now: datetime) -> ModelRow:
    """Let a model judge its product from now on; exactly one does.

    The former one becomes RETIRED, or ROLLED_BACK when an older one that judged before comes back. A model that is
    already active stays as it is. Raises NotAllowed for an unknown, unfinished or rejected model.
    """
    wanted = one(connection, model_id)
    hold(connection, wanted.product)
    wanted = one(connection, model_id)
    if wanted.state in _NEVER:
        raise NotAllowed(f"model {wanted.product} {wanted.version} is {wanted.state}; activate another one")
    former = active(connection).get(wanted.product)
    if former is not None and former.id == wanted.id:
        return wanted
    if former is not None:
        back = wanted.activated_at is not None and wanted.id < former.id
        _state(connection, former, ModelState.ROLLED_BACK if back else ModelState.RETIRED)
    stamp = {"activated_at": now, "activated_by": who, "activation_note": note}
    connection.execute(update(models).where(models.c.id == model_id).values(state=str(ModelState.ACTIVE), **stamp))
    old = None if former is None else _named(former)
    new = _named(wanted)
    change = Change(at=now, who=who, action="model.activate", subject=wanted.product, old=old, new=new, reason=note)
    write(connection, change)
    return one(connection, model_id)


def reject(connection: Connection, model_id: int, *, who: str, note: str, now: datetime) -> ModelRow:
    """Say for good that a model may not judge. Raises NotAllowed for the active one and for an unknown one."""
    row = _not_active(connection, model_id, "rejected")
    _state(connection, row, ModelState.REJECTED)
    _audit(connection, row, "model.reject", who=who, note=note, now=now)
    return one(connection, model_id)


def remove(connection: Connection, model_id: int, *, who: str, note: str, now: datetime) -> ModelRow:
    """Delete a model that never judged, and return what it was, so that its blob can go too.

    Raises NotAllowed for the active one, and for one whose verdicts are in the books: they must stay reproducible.
    """
    row = _not_active(connection, model_id, "deleted")
    if connection.scalar(select(exists().where(rollup_minute.c.model_id == model_id))):
        raise NotAllowed(f"model {row.product} {row.version} has judged parts, so it stays; reject it instead")
    connection.execute(delete(models).where(models.c.id == model_id))
    _audit(connection, row, "model.remove", who=who, note=note, now=now)
    return row


def add_card(connection: Connection, model_id: int, card: Mapping[str, Any], *, who: str, now: datetime) -> ModelRow:
    """Give a card to a model that has none. Raises NotAllowed for one that has, because a card stays as it was made."""
    hold(connection, one(connection, model_id).product)
    row = one(connection, model_id)
    if row.card is not None:
        raise NotAllowed(f"model {row.product} {row.version} has its card already")
    connection.execute(update(models).where(models.c.id == model_id).values(card=dict(card)))
    _audit(connection, row, "model.card", who=who, note="", now=now)
    return one(connection, model_id)


def active(connection: Connection) -> dict[str, ModelRow]:
    """The active model of each product that has one."""
    found = connection.execute(select(models).where(models.c.state == str(ModelState.ACTIVE)))
    return {row.product: _model(row) for row in found}


def versions(connection: Connection, product: str) -> list[ModelRow]:
    """All models of a product, newest first."""
    found = connection.execute(select(models).where(models.c.product == product).order_by(models.c.id.desc()))
    return [_model(row) for row in found]


def one(connection: Connection, model_id: int) -> ModelRow:
    """A model by its id. Raises NotAllowed when there is none."""
    row = connection.execute(select(models).where(models.c.id == model_id)).one_or_none()
    if row is None:
        raise NotAllowed(f"there is no model {model_id}; the Models page lists those there are")
    return _model(row)


def _not_active(connection: Connection, model_id: int, done: str) -> ModelRow:
    hold(connection, one(connection, model_id).product)
    row = one(connection, model_id)
    if row.state is ModelState.ACTIVE:
        raise NotAllowed(f"model {row.product} {row.version} is active and cannot be {done}; activate another first")
    return row


def _next_version(connection: Connection, product: str, now: datetime) -> str:
    day = now.astimezone(UTC).date().isoformat()
    mine = select(models.c.version).where(models.c.product == product, models.c.version.startswith(f"{day}/"))
    used = [int(version.rpartition("/")[2]) for version in connection.scalars(mine)]  # 10 comes after 9
    return f"{day}/{max(used, default=0) + 1}"


def _state(connection: Connection, row: ModelRow, state: ModelState) -> None:
    connection.execute(update(models).where(models.c.id == row.id).values(state=str(state)))


def _audit(connection: Connection, row: ModelRow, action: str, *, who: str, note: str, now: datetime) -> None:
    change = Change(at=now, who=who, action=action, subject=row.product, new=_named(row), reason=note)
    write(connection, change)


def _named(row: ModelRow) -> dict[str, Any]:
    return {"model": row.id, "version": row.version, "sha256": row.sha256}


def _model(row: Row[Any]) -> ModelRow:
    return ModelRow(**dict(row._mapping) | {"state": ModelState(row.state)})  # noqa: SLF001 - public, documented
