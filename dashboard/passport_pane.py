"""The model card on the Models page: what one version learnt from, how, what it proves and what it catches."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from core.records.models import ModelRow
from dashboard import passport, words
from dashboard.calibration import Proof, proof_of
from dashboard.charts import calibration_chart
from dashboard.drawing import passport as drawing
from dashboard.drawing.modelcard import sentences
from dashboard.loss_chart import loss_chart
from dashboard.markup import div


def show_passport(row: ModelRow) -> None:
    """The drawings of the card side by side where there is room, then all of it in words."""
    card = row.card or {}
    of = passport.blocks(card)
    with st.container(key="passgrid"):
        left, right = st.columns(2, gap="small")
    with left, _card("scores", words.HISTOGRAM):
        _scores(proof_of(row.manifest), of)
    if row.card is None:
        with right, _card("none", words.CARD):
            st.html(drawing.no_card())
        return
    with right, _card("training", words.LEARNT):
        _losses(passport.loss_curves(card))
    with left, _card("capability", words.CATCHES):
        st.html(drawing.capability(passport.ladders(card), passport.sentences(card)))
    with right, _card("fixture", words.LOOKS_AT):
        st.html(drawing.fixture(card))
    with right, _card("runtime", words.RUNS):
        st.html(drawing.runtime(card, of))
    with _card("words", words.IN_WORDS):
        st.html(drawing.in_words(of))


def download(row: ModelRow) -> None:
    """The card as a file, with the model's place in the books."""
    st.download_button(
        words.TAKE_CARD, passport.download(row), passport.file_name(row), "application/json", key=f"take-{row.id}",
        on_click="ignore",
    )  # fmt: skip


@contextmanager
def _card(name: str, title: str) -> Iterator[None]:
    with st.container(key=f"passport-{name}"):
        st.html(div("fl", div("fl-title", title)))
        yield


def _scores(proof: Proof, of: Mapping[str, passport.Block]) -> None:
    if not proof.scores:
        st.html(div("fl fl-sub", words.NO_CALIBRATION))
        return
    st.altair_chart(calibration_chart(proof, _scheme()), theme=None, width="stretch")
    st.html(drawing.limits(sentences(proof), of))


def _losses(curves: list[passport.LossCurve]) -> None:
    if not curves:
        st.html(div("fl fl-sub", words.NO_CURVES))
        return
    st.altair_chart(loss_chart(curves, _scheme()), theme=None, width="stretch")
    st.html(div("fl label", words.LOSS_MEANS))


def _scheme() -> str:
    return st.context.theme.type or "light"
