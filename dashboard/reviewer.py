"""Who sits at this screen: the name that is written beside a decision."""

import streamlit as st

from dashboard import cached, words

_KEY = "reviewer"
_LONGEST = 40


def reviewer() -> str:
    """The name of this session's reviewer; the settings' one until somebody says otherwise."""
    return str(st.session_state.get(_KEY) or cached.settings().dashboard.reviewer)


def reviewer_chip() -> None:
    """The name at the right end of the bar, and a place to change it."""
    with st.popover(reviewer(), width="content", key="who"):
        st.text_input(words.WHO, value=reviewer(), max_chars=_LONGEST, key="who-name", on_change=_renamed)


def _renamed() -> None:
    name = " ".join(str(st.session_state.get("who-name", "")).split())
    st.session_state[_KEY] = name or cached.settings().dashboard.reviewer
