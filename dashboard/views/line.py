"""The Line page: what the line does now, readable from three metres."""

import streamlit as st

from dashboard import acknowledging
from dashboard.cached import live
from dashboard.components import mount

_KEY = "wall"


def show() -> None:
    """Mount the live wall; from then on it asks our route itself, and this script runs only when somebody acts."""
    mount("wall")(key=_KEY, data=live().page().document(), on_act_change=_acted)
    acknowledging.dialog()


def _acted() -> None:
    acknowledging.ask(st.session_state[_KEY].get("act"))


if __name__ == "__main__":
    show()
