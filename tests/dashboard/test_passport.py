"""What the page reads out of a model's card: all of a whole one, nothing of a strange one, and never an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.records.models import ModelRow, versions
from dashboard import passport, words
from dashboard.drawing import passport as drawing
from dashboard.loss_chart import log_ticks, loss_chart, stage_begins
from dashboard.passport import LossCurve
from tests.dashboard.cards import CAUGHT, SIZES
from tests.dashboard.seed import Plant
from tests.dashboard.test_drawing import read

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PARTS = ("sections", "curves", "capability", "fixture", "parity", "calibration")
INNER = (
    "grades",
    "smallest",
    "sentences",
    "summary",
    "merit",
    "kind",
    "told",
    "rows",
    "picture",
    "iterations",
    "losses",
)


@pytest.fixture
def rows(line: Plant) -> list[ModelRow]:
    with line.database.reading() as connection:
        return versions(connection, "ring")


@pytest.fixture
def card(rows: list[ModelRow]) -> dict[str, Any]:
    assert rows[0].card is not None
    return dict(rows[0].card)


def test_a_card_of_the_learning_side_is_read_whole(card: dict[str, Any]) -> None:
    assert {"network", "training", "pictures", "limits", "calibration", "file"} <= passport.blocks(card).keys()
    assert [curve.network for curve in passport.loss_curves(card)] == ["teacher", "student"]
    assert {(ladder.kind, ladder.contrast) for ladder in passport.ladders(card)} == CAUGHT.keys()
    best = {(ladder.kind, ladder.contrast): ladder.caught for ladder in passport.ladders(card)}
    assert best["spot", 25.0] == SIZES["spot"][-1]
    assert best["scratch", 25.0] is None
    assert best["scratch", 60.0] == SIZES["scratch"][2]
    assert passport.merits(card)[0] == ("roi", 0.9312)
    assert passport.fixture_name(card) == "roi"
    assert passport.fixture_picture(card) == "model/ring-1.fixture.png"
    assert "differs from PyTorch's" in str(passport.parity_told(card))


def test_a_card_in_words_leaves_drawings_of_letters_to_the_terminal(card: dict[str, Any]) -> None:
    assert not set(json.dumps(card["sections"], ensure_ascii=False)) & set("▁▂▃▅▆▇█")


@given(st.dictionaries(st.sampled_from(PARTS), ANY_JSON | st.dictionaries(st.sampled_from(INNER), ANY_JSON)))
def test_a_strange_card_breaks_nothing(strange: dict[str, Any]) -> None:
    of = passport.blocks(strange)
    drawing.in_words(of)
    drawing.runtime(strange, of)
    drawing.limits(["said"], of)
    drawing.fixture(strange)
    drawing.capability(passport.ladders(strange), passport.sentences(strange))
    for curve in passport.loss_curves(strange):
        assert len(curve.iterations) == len(curve.losses) > 0


def test_what_a_card_lacks_is_said_to_be_unknown() -> None:
    assert read(drawing.capability([], [])) == words.NOT_TRIED
    assert words.PARITY_UNKNOWN in read(drawing.runtime({}, {}))
    assert words.NO_FIXTURE_PICTURE in read(drawing.fixture({}))
    assert "flawline models cards" in read(drawing.no_card())


def test_the_capability_shows_every_size_and_the_smallest_caught(card: dict[str, Any]) -> None:
    html = drawing.capability(passport.ladders(card), passport.sentences(card))
    assert html.count('class="rung best"') == 4
    said = read(html)
    assert "Scratch contrast 60 grey levels 1 px 17 % 2 px 75 % 4 px 100 %" in said
    assert "Made-up flaws, 12 of each size, on 12 good parts that were not trained on." in said


def test_a_fixture_that_nobody_knows_is_called_by_its_name() -> None:
    fixture = {"kind": "<helix>", "flat": True, "merit": {"<helix>, flat field": 0.7}}
    html = drawing.fixture({"fixture": fixture})
    assert "&lt;helix&gt;, light evened out" in html
    assert "<helix>" not in html


def test_the_loss_chart_lays_the_stages_side_by_side(card: dict[str, Any]) -> None:
    curves = passport.loss_curves(card)
    assert stage_begins(curves) == {"teacher": 0.0, "student": 160.0}
    for scheme in ("light", "dark", "other"):
        said = str(loss_chart(curves, scheme).to_dict())
        assert "student begins" in said
        assert "'type': 'log'" in said
    joint = [LossCurve("joint", name, (5.0, 10.0), (0.5, low)) for name, low in (("teacher", 0.1), ("student", 0.0))]
    assert stage_begins(joint) == {"joint": 0.0}
    said = str(loss_chart(joint, "light").to_dict())
    assert "begins" not in said
    assert "'type': 'log'" not in said


@given(st.floats(1e-6, 1e3), st.floats(1, 1e6))
def test_ticks_lie_in_range_and_are_few(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert len(ticks) <= 14
    assert all(low / 1.2 <= tick <= low * ratio * 1.2 for tick in ticks)


def test_the_file_to_take_away_is_json_with_the_models_place_in_the_books(rows: list[ModelRow]) -> None:
    for row in rows:
        said = json.loads(passport.download(row))
        assert (said["product"], said["version"], said["sha256"]) == ("ring", row.version, row.sha256)
        assert said["activation_note"] == row.activation_note
        assert (said["card"] is None) == (row.card is None)
    assert passport.file_name(rows[0]) == f"ring-{rows[0].version.replace('/', '-')}-card.json"
