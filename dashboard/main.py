"""The entry: navigation and the top bar, nothing else."""

from pathlib import Path

import streamlit as st

from dashboard import words
from dashboard.cached import live
from dashboard.components import mount, style
from dashboard.drawing.topbar import unknown_top
from dashboard.live import utc_now
from dashboard.reviewer import reviewer_chip

_VIEWS = Path(__file__).resolve().parent / "views"


def main() -> None:
    """Lay out the bar and run the page that was chosen."""
    st.set_page_config(page_title=words.BRAND, layout="wide", initial_sidebar_state="collapsed")
    pages = [
        st.Page(_VIEWS / "line.py", title=words.LINE, default=True),
        st.Page(_VIEWS / "review.py", title=words.REVIEW),
        st.Page(_VIEWS / "models.py", title=words.MODELS),
    ]
    chosen = st.navigation(pages, position="hidden")
    scheme = st.context.theme.type or "light dark"
    st.html(f"<style>{style()}\n:root {{ color-scheme: {scheme}; }}</style>")
    with st.container(key="topbar", horizontal=True, vertical_alignment="center"):
        st.html(f'<div class="fl-brand">{words.BRAND}</div>', width="content")
        for page in pages:
            with st.container(key=f"tab-{'on' if page is chosen else 'off'}-{page.title}", width="content"):
                st.page_link(page, width="content")
        mount("top")(key="top", data={"slots": live().top(), "silent": unknown_top(utc_now())})
        reviewer_chip()
    chosen.run()


if __name__ == "__main__":
    main()
