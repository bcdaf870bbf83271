"""The Line page: what the line does now, readable from three metres."""

from dataclasses import asdict
from datetime import UTC, datetime

import streamlit as st

from dashboard import acknowledging, cached, words
from dashboard.components import mount
from dashboard.reviewer import reviewer

_KEY, _ANSWER = "wall", "wall-answer"


def show() -> None:
    """Mount the live wall; its runs touch nothing else on the page."""
    _wall()


@st.fragment
def _wall() -> None:
    """From the first run on the wall asks our route itself, and this runs only when somebody acts."""
    answer = st.session_state.get(_ANSWER)
    mine = {"as_who": words.ACKNOWLEDGE_AS.format(who=reviewer()), "answer": answer and asdict(answer)}
    mount("wall")(key=_KEY, data=cached.live().page().document() | mine, on_act_change=_acted)


def _acted() -> None:
    message = st.session_state[_KEY].get("act")
    before = st.session_state.get(_ANSWER)
    now = datetime.now(UTC)
    st.session_state[_ANSWER] = acknowledging.act(message, before, cached.stores(), who=reviewer(), now=now)


if __name__ == "__main__":
    show()
