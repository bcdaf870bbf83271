"""The Models page: what each product is judged by, what proves it, and the way forward and back."""

from datetime import UTC, datetime

import streamlit as st

from core.errors import FlawlineError
from core.records import models as records
from core.records.models import ModelRow
from core.verdicts import ModelState
from dashboard import cached, passport_pane, words
from dashboard.drawing.modelcard import model_card
from dashboard.drawing.notes import note, trouble
from dashboard.queries.models import before_active, product_names
from dashboard.reviewer import reviewer

_TOLD = "models-told"
_FINAL = (ModelState.DRAFT, ModelState.REJECTED)


def show() -> None:
    """The products' versions, newest first; the active one says why it is."""
    try:
        with cached.stores().reading() as connection:
            names = product_names(connection)
            rows = {name: records.versions(connection, name) for name in names}
    except FlawlineError as problem:
        st.html(trouble(problem))
        return
    named = [name for name in names if rows[name]]
    if not named:
        st.html(note(words.MODELS_EMPTY, words.MODELS_EMPTY_DO))
        return
    product = named[0]
    if len(named) > 1:
        product = st.segmented_control(words.PRODUCT, named, default=named[0], label_visibility="collapsed") or named[0]
    if told := st.session_state.pop(_TOLD, ""):
        st.toast(told)
    _product(product, rows[product])


def _product(product: str, rows: list[ModelRow]) -> None:
    with st.container(key="models-page"):
        cards, passport = st.columns([1, 2.4], gap="small")
    with cards:
        for row in sorted(rows, key=lambda one: one.state is not ModelState.ACTIVE):
            with st.container(key=f"model-card-{row.id}"):
                st.html(model_card(row, datetime.now(UTC)))
                _actions(product, row, rows)
    with passport:
        _passport(rows)


def _actions(product: str, row: ModelRow, rows: list[ModelRow]) -> None:
    if row.state is ModelState.ACTIVE:
        back = before_active(rows)
        if back is not None:
            label = words.ROLL_BACK.format(version=back.version)
            st.button(label, key=f"back-{row.id}", on_click=_roll_back, args=(back, row))
    elif row.state not in _FINAL:
        active = next((one for one in rows if one.state is ModelState.ACTIVE), None)
        with st.popover(words.ACTIVATE, key=f"activate-{row.id}", width="content"):
            _ask(product, row, active)


def _roll_back(back: ModelRow, from_: ModelRow) -> None:
    _activate(back, words.ROLLED_BACK.format(version=from_.version))


def _ask(product: str, row: ModelRow, active: ModelRow | None) -> None:
    if active is None:
        st.write(words.ACTIVATE_FIRST.format(product=product, version=row.version))
    else:
        st.write(words.ACTIVATE_ASK.format(product=product, version=row.version, active=active.version))
    key = f"why-{row.id}"
    st.text_input(words.ACTIVATE_NOTE, max_chars=200, key=key)
    st.button(words.ACTIVATE_SURE, type="primary", key=f"sure-{row.id}", on_click=_sure, args=(row, key))
    if st.session_state.pop(f"{key}-needed", False):
        st.warning(words.NOTE_NEEDED)


def _sure(row: ModelRow, key: str) -> None:
    why = str(st.session_state.get(key, "")).strip()
    if why:
        _activate(row, why)
    else:
        st.session_state[f"{key}-needed"] = True


def _activate(row: ModelRow, why: str) -> None:
    try:
        with cached.stores().writing() as connection:
            records.activate(connection, row.id, who=reviewer(), note=why, now=datetime.now(UTC))
    except FlawlineError as problem:
        st.session_state[_TOLD] = words.REFUSED.format(problem=problem)
        return
    cached.stores().live.models_changed()
    st.session_state[_TOLD] = words.ACTIVATED.format(version=row.version, product=row.product)


def _passport(rows: list[ModelRow]) -> None:
    ordered = sorted(rows, key=lambda one: one.state is not ModelState.ACTIVE)
    by_version = {row.version: row for row in ordered}
    version = ordered[0].version
    with st.container(key="passport-head", horizontal=True, vertical_alignment="center"):
        if len(by_version) > 1:
            chosen = st.segmented_control(
                words.VERSION, list(by_version), default=version, label_visibility="collapsed",
                key=f"of-{rows[0].product}",
            )  # fmt: skip
            version = chosen or version
        passport_pane.download(by_version[version])
    passport_pane.show_passport(by_version[version])


if __name__ == "__main__":
    show()
