"""The golden parts beside a part that did not pass: stored with it, and never in the way of its verdict."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.errors import BlobMissing, StoreUnavailable
from core.recipes import Recipe
from core.records import recipes
from core.records.compared import Compared, compared_of
from core.verdicts import MachineVerdict, NoVerdictReason
from model.manifest import ModelLimits
from model.neighbours import MOST, TILE, GoldenPictures
from tests.workers.bench import SIDE, Bench, drain, frame, picture, png
from workers.comparing import SECONDS, Comparing

ALL_PASS, ALL_REVIEW, ALL_FAIL = ModelLimits(t_lo=1e9), ModelLimits(t_lo=-1e3), ModelLimits(t_lo=-1e4, t_hi=-1e3)
GOLDEN = np.stack([picture(seed) for seed in range(5)])
PART = png(picture(2))


def told(bench: Bench) -> Compared | None:
    return compared_of(bench.row().golden)


@pytest.mark.parametrize(("limits", "verdict"), [(ALL_REVIEW, "REVIEW"), (ALL_FAIL, "FAIL")])
def test_a_part_that_did_not_pass_has_the_nearest_golden_parts_beside_it(
    bench: Bench, limits: ModelLimits, verdict: str
) -> None:
    bench.teach(limits, golden=GOLDEN)
    bench.send(PART)
    drain(bench.worker())
    assert bench.row().verdict == verdict
    found = told(bench)
    assert found is not None
    assert found.picture.startswith("golden/2025/11/24/")
    assert len(found.samples) == len(set(found.samples)) == MOST
    assert list(found.distances) == sorted(found.distances)
    assert found.distances[0] < 0.01  # it is one of the golden parts itself
    jpeg = np.frombuffer(bench.blobs.get(found.picture), np.uint8)
    tiles = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)
    assert tiles is not None
    assert tiles.shape == (TILE, (1 + MOST) * TILE, 3)
    assert (found.width, found.height) == (TILE, TILE)
    itself, nearest = tiles[:, :TILE].astype(int), tiles[:, TILE : 2 * TILE].astype(int)
    assert np.abs(itself - nearest).mean() < 6


def test_a_part_that_passed_has_none(bench: Bench) -> None:
    bench.teach(ALL_PASS, golden=GOLDEN)
    bench.send(PART)
    drain(bench.worker(bench.inspector(sample_share=1.0, all_heat=True)))
    assert bench.row().verdict == "PASS"
    assert bench.row().golden is None


def test_a_model_without_golden_parts_judges_as_ever(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    bench.send(PART)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().golden) == ("FAIL", None)


@pytest.mark.parametrize("limits", [ALL_REVIEW, ALL_FAIL])
def test_the_score_and_the_verdict_are_those_of_a_model_without_pictures(
    bench: Bench, limits: ModelLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.teach(limits, golden=GOLDEN)
    bench.send(PART)
    drain(bench.worker())
    monkeypatch.setattr("workers.comparing.comparison_of", lambda _: None)
    bench.send(PART, frame(1, PART))
    drain(bench.worker())
    shown, plain = bench.rows()
    assert (shown.verdict, shown.score) == (plain.verdict, plain.score)
    assert shown.golden is not None
    assert plain.golden is None


@pytest.mark.parametrize("problem", [ValueError("no picture"), RuntimeError("shapes"), IndexError(9), cv2.error("x")])
def test_whatever_is_wrong_with_the_golden_pictures_the_verdict_and_the_evidence_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: GoldenPictures, _number: int) -> None:
        raise problem

    monkeypatch.setattr(GoldenPictures, "picture", broken)
    bench.teach(ALL_FAIL, golden=GOLDEN)
    bench.send(PART)
    assert drain(bench.worker()) == 1
    row = bench.row()
    assert (row.verdict, row.reason, row.golden) == ("FAIL", "", None)
    assert bench.blobs.get(row.picture) == PART
    assert row.heat is not None
    assert bench.dead() == []
    assert "no golden parts are shown" in caplog.text


def test_a_store_that_is_full_loses_nothing_and_the_pictures_come_with_the_next_try(bench: Bench) -> None:
    bench.teach(ALL_FAIL, golden=GOLDEN)
    bench.send(PART)
    inspector = bench.inspector()
    put_all = bench.blobs.put_all
    tries: list[int] = []

    def full_at_first(items: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StoreUnavailable("disk full")
        put_all(items)  # type: ignore[arg-type]

    bench.blobs.put_all = full_at_first  # type: ignore[method-assign]
    drain(bench.worker(inspector))
    bench.clock.forward(60)
    drain(bench.worker(inspector))
    assert len(bench.rows()) == bench.counted() == 1
    found = told(bench)
    assert found is not None
    assert bench.blobs.exists(found.picture)


def test_a_late_part_has_no_verdict_and_no_golden_parts(bench: Bench) -> None:
    bench.teach(ALL_FAIL, golden=GOLDEN)
    bench.send(PART, frame(value=PART, deadline_ms=10))
    drain(bench.worker())
    row = bench.row()
    assert (row.verdict, row.reason, row.golden) == ("NO_VERDICT", NoVerdictReason.LATE, None)
    with pytest.raises(BlobMissing):
        bench.blobs.get(row.picture.replace("frame/", "golden/").replace(".png", ".jpg"))


def test_a_redelivered_part_keeps_its_first_row(bench: Bench) -> None:
    bench.teach(ALL_FAIL, golden=GOLDEN)
    for _ in range(2):
        bench.send(PART)
    drain(bench.worker())
    assert len(bench.rows()) == bench.counted() == 1
    assert told(bench) is not None


def test_where_many_fail_at_once_the_rest_go_without_and_are_judged_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(np.arange(0, 100, SECONDS))  # each look at the clock is SECONDS later than the one before
    monkeypatch.setattr("workers.pipeline.Comparing", lambda: Comparing(clock=lambda: float(next(ticks))))
    bench.teach(ALL_FAIL, golden=GOLDEN)
    for seq in range(4):
        bench.send(PART, frame(seq, PART))
    drain(bench.worker())
    rows = bench.rows()
    assert [row.verdict for row in rows] == ["FAIL"] * 4
    assert [row.golden is not None for row in rows] == [True, False, False, False]


def test_the_area_is_in_square_millimetres_where_the_recipe_has_a_scale(bench: Bench) -> None:
    bench.teach(ALL_FAIL, golden=GOLDEN)
    bench.send(PART)
    drain(bench.worker())
    with bench.database.writing() as connection:
        recipe = Recipe(product="ring", millimetres_per_pixel=0.5)
        recipes.save(connection, recipe, who="test", note="", now=bench.clock.utc())
    bench.clock.forward(5)
    later = frame(1, PART)
    bench.send(PART, replace(later, captured_at=later.captured_at + 5 * 10**9))
    drain(bench.worker())
    before, after = bench.regions()
    assert before.area_mm2 is None
    assert before.area == after.area == SIDE * SIDE
    assert after.area_mm2 == pytest.approx(SIDE * SIDE * 0.25)
    assert {MachineVerdict(row.verdict) for row in bench.rows()} == {MachineVerdict.FAIL}
