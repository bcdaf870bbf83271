"""The Review page: people decide what the machine failed or could not decide, by one key each."""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.errors import FlawlineError
from dashboard import cached, desk
from dashboard.components import mount
from dashboard.drawing.desk import desk_data, trouble_data
from dashboard.reviewer import reviewer

_KEY, _PLACE = "desk", "desk-place"


def show() -> None:
    """The desk; its runs touch nothing else on the page."""
    _desk()


@st.fragment
def _desk() -> None:
    place = _place()
    now = datetime.now(UTC)
    try:
        with cached.stores().writing() as connection:
            data = desk_data(desk.laid_out(connection, place, reviewer=reviewer(), now=now), place, now)
    except FlawlineError as problem:
        place.turn += 1
        data = trouble_data(problem, place)
    mount("desk")(key=_KEY, data=data, on_act_change=_acted)


def _acted() -> None:
    asked: Any = st.session_state[_KEY].get("act")
    if not isinstance(asked, dict):
        return
    place = _place()
    try:
        with cached.stores().writing() as connection:
            desk.act(connection, place, asked, reviewer=reviewer(), now=datetime.now(UTC))
    except FlawlineError as problem:
        place.note = str(problem)


def _place() -> desk.Place:
    found = st.session_state.get(_PLACE)
    if not isinstance(found, desk.Place):
        found = st.session_state[_PLACE] = desk.Place()
    return found


if __name__ == "__main__":
    show()
