"""Acknowledging alerts: a person says that they have seen them, with a name and a note."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.errors import FlawlineError, NotAllowed
from core.records import alerts as records
from dashboard import alerts, cached, words
from dashboard.drawing.lists import asked_about
from dashboard.drawing.notes import trouble
from dashboard.reviewer import reviewer

_ASKED, _NOTE, _TOLD, _REFUSED = "alerts-asked", "alerts-note", "alerts-told", "alerts-refused"
_LONGEST = 200
_LARGEST = 1 << 63


def ask(message: object) -> None:
    """What the wall sent: a person wants to acknowledge alerts; the page asks for a note until it is told or left."""
    numbers: Any = message.get("alerts") if isinstance(message, dict) else None
    if isinstance(numbers, list):
        st.session_state[_ASKED] = [n for n in numbers if isinstance(n, int) and 0 < n < _LARGEST]


def dialog() -> None:
    """Ask for the note where a person wants to acknowledge something; tell once what came of the last time."""
    if told := st.session_state.pop(_TOLD, ""):
        st.toast(told)
    if asked := st.session_state.get(_ASKED):  # whatever runs the page again, the question stays
        _dialog(asked)


def _leave() -> None:
    st.session_state.pop(_ASKED, None)


@st.dialog(words.ACKNOWLEDGE, on_dismiss=_leave)
def _dialog(numbers: Sequence[int]) -> None:
    if _TOLD in st.session_state:
        st.rerun()  # of the whole page, which closes this and tells
    now = datetime.now(UTC)
    try:
        with cached.stores().reading() as connection:
            found = records.of(connection, numbers)
    except FlawlineError as problem:
        st.html(trouble(problem))
        return
    waiting = [alert for alert in found if alert.closed_at is None and alert.acknowledged_at is None]
    st.html(asked_about([shown for alert in found for shown in alerts.standing([alert], now)]))
    if refused := st.session_state.pop(_REFUSED, ""):
        st.error(refused)  # and the note is still there for another try
    if not waiting:
        st.write(words.NONE_TO_ACKNOWLEDGE)
        return
    st.write(words.ACKNOWLEDGE_ASK.format(who=reviewer()))
    st.text_input(words.ACKNOWLEDGE_NOTE, max_chars=_LONGEST, key=_NOTE)
    unseen = [alert.id for alert in waiting]
    st.button(words.ACKNOWLEDGE, type="primary", key="alerts-sure", on_click=_acknowledge, args=(unseen,))


def _acknowledge(numbers: Sequence[int]) -> None:
    """Each of them; one that was closed or seen by somebody else at this moment is told, and holds up no other."""
    note = " ".join(str(st.session_state.get(_NOTE, "")).split())
    refused = []
    try:
        with cached.stores().writing() as connection:
            for number in numbers:
                try:
                    records.acknowledge(connection, number, who=reviewer(), note=note, now=datetime.now(UTC))
                except NotAllowed as problem:
                    refused.append(str(problem))
    except FlawlineError as problem:
        refused = [str(problem)]
    if refused:
        st.session_state[_REFUSED] = words.REFUSED.format(problem="; ".join(refused))
    else:
        st.session_state[_TOLD] = words.ACKNOWLEDGED.format(who=reviewer())
        _leave()
