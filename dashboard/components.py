"""The three places where the browser itself must act: top bar, live wall, review desk (Streamlit v2 components)."""

from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Protocol, cast

import streamlit as st

from dashboard import words

ASSETS = Path(__file__).parent / "assets"


class Mount(Protocol):
    """Puts a component on the page."""

    def __call__(self, *, key: str, data: object, **callbacks: object) -> Any:
        """`data` goes to the script; `on_act_change` and the like are called with what it sends."""


@cache
def asset(name: str) -> str:
    """A text file of ours."""
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """All style sheets, for the page's head."""
    return "\n".join(asset(name) for name in ("look.css", "wall.css", "desk.css", "models.css"))


def mount(name: str) -> Mount:
    """The component `top`, `wall` or `desk`; all its HTML comes escaped from `dashboard.drawing`."""
    return _registered(f"flawline_{name}", name)


@cache
def _registered(full_name: str, name: str) -> Mount:
    script = f"{asset('morph.js')}\n{asset(f'{name}.js')}"
    html = Template(asset(f"{name}.html")).substitute(words.LABELS)
    made = st.components.v2.component(full_name, html=html, js=script, isolate_styles=False)
    return cast("Mount", made)
