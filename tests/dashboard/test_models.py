"""What a model's card and chart say: what is proved, and nothing that the manifest does not hold."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.records.models import versions
from dashboard import words
from dashboard.calibration import Proof, proof_of, proved_rate, taught
from dashboard.charts import calibration_chart
from dashboard.drawing.modelcard import figures_row, model_card, sentences
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant
from tests.dashboard.test_drawing import read


@pytest.mark.parametrize(
    ("scores", "limit", "rate"),
    [((), 0.5, None), ((0.1,) * 99, 0.5, 0.01), ((0.1,) * 99 + (0.9,) * 100, 0.5, 101 / 200), ((0.6,), 0.5, 1.0)],
)  # fmt: skip
def test_n_good_parts_prove_what_conformal_prediction_says(
    scores: tuple[float, ...], limit: float, rate: float | None
) -> None:
    assert proved_rate(scores, limit) == (None if rate is None else pytest.approx(rate))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(-6, 6))
def test_nothing_below_one_in_n_plus_one_is_claimed(scores: list[float], limit: float) -> None:
    rate = proved_rate(tuple(scores), limit)
    assert rate is not None
    assert 1 / (len(scores) + 1) <= rate <= 1


@pytest.mark.parametrize(
    "manifest",
    [{}, {"calibration": None}, {"calibration": {"scores": "many"}, "limits": 3}, {"limits": {"t_lo": "x"}},
     {"calibration": {"scores": [True, None, "a", float("nan")]}}],
)  # fmt: skip
def test_a_strange_manifest_proves_nothing_and_breaks_nothing(manifest: dict[str, Any]) -> None:
    proof = proof_of(manifest)
    assert proof == Proof()
    assert sentences(proof) == [words.NO_CALIBRATION]
    assert taught(manifest) == {}


def test_too_few_parts_prove_no_fail_limit() -> None:
    said = " ".join(sentences(Proof((0.1, 0.2, 0.3), 0.3, None)))
    assert "at most 25.0\u2009% of good parts are held back" in said
    assert "too few to prove a fail limit" in said


def test_the_calibrations_own_words_come_first() -> None:
    manifest = {
        "calibration": {"scores": [0.1, 0.2]},
        "training": {"calibration": {"message": "2 good parts prove little; collect 97 more."}},
    }
    assert sentences(proof_of(manifest)) == ["2 good parts prove little; collect 97 more."]


def test_a_card_says_why_a_model_judges(line: Plant) -> None:
    with line.database.reading() as connection:
        active, former = versions(connection, "ring")
    said = read(model_card(active, NOON))
    for part in (active.version, "active since", "M. Engineer", "lamp was changed", "image AUROC 0.991", "180 pictures",
                 "training time 142 s", "review from 0.4600 · fail from 0.6200", active.sha256[:12],
                 "18.4 MB"):  # fmt: skip
        assert part in said
    assert "retired" in read(model_card(former, NOON + timedelta(days=1)))


def test_only_figures_that_are_numbers_are_shown() -> None:
    shown = figures_row({"image_auroc": None, "pixel_auroc": "good", "escape_rate": 0.01, "frames": 25000})
    assert shown is not None
    assert read(shown) == "escape rate 0.010 frames 25 000"
    assert figures_row({"image_auroc": None}) is None


@pytest.mark.parametrize("scheme", ["light", "dark", "other"])
@pytest.mark.parametrize("t_hi", [0.62, None])
def test_the_chart_names_its_limits(scheme: str, t_hi: float | None) -> None:
    spec = calibration_chart(Proof((0.1, 0.2, 0.2, 0.3), 0.46, t_hi), scheme).to_dict()
    said = str(spec)
    assert "review 0.4600" in said
    assert ("fail 0.6200" in said) == (t_hi is not None)
    assert sum(row["parts"] for rows in spec["datasets"].values() for row in rows if "parts" in row) == 4
