"""Frames in, verdicts in the books: on real pictures, a real model, a real database."""

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import update

from core import tables
from core.blobs.protocol import Item
from core.errors import BlobMissing, StoreUnavailable
from core.recipes import LimitPair, Recipe
from core.records import recipes
from core.verdicts import InvalidReason, MachineVerdict, NoVerdictReason
from model.manifest import ModelLimits
from model.runtimes import Fingerprint
from model.scorer import Scored
from tests.workers.bench import NOW, SIDE, Bench, drain, frame, picture, png
from workers.frames import Bounds
from workers.keeping import is_sampled
from workers.shelf import Qualified

ALL_PASS, ALL_REVIEW, ALL_FAIL = ModelLimits(t_lo=1e9), ModelLimits(t_lo=-1.0), ModelLimits(t_lo=-2.0, t_hi=-1.0)
GOOD = png(picture())


@pytest.mark.parametrize(("limits", "verdict"), [(ALL_PASS, "PASS"), (ALL_REVIEW, "REVIEW"), (ALL_FAIL, "FAIL")])
def test_a_frame_gets_the_verdict_of_its_score_and_limits(bench: Bench, limits: ModelLimits, verdict: str) -> None:
    model = bench.teach(limits)
    bench.send(GOOD)
    assert drain(bench.worker()) == 1
    row = bench.row()
    assert (row.verdict, row.reason, row.product, row.part_id) == (verdict, "", "ring", "ring-0")
    assert (row.t_lo, row.t_hi, row.model_id, row.recipe_version) == (limits.t_lo, limits.t_hi, model.id, 1)
    assert row.score > 0
    assert row.worker.startswith("torch")
    (told,) = bench.verdicts()
    assert (told.verdict, told.score, told.model) == (verdict, row.score, model.version)
    assert bench.counted() == 1


def test_all_that_did_not_pass_keeps_its_picture_its_heat_and_its_regions(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    bench.send(GOOD)
    drain(bench.worker())
    row = bench.row()
    assert bench.blobs.get(row.picture) == GOOD
    assert row.picture.startswith("frame/2025/11/24/")
    assert row.thumb.startswith("thumb/")
    assert bench.blobs.get(row.heat).startswith(b"\x89PNG")
    assert row.heat_max == pytest.approx(row.score, rel=1e-5)
    region = bench.regions()[0]
    assert (region.x, region.y, region.width, region.height) == (0, 0, SIDE, SIDE)  # everything is above such a limit
    assert region.peak == pytest.approx(row.score)


def test_of_a_passing_part_only_the_small_picture_is_kept(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD)
    drain(bench.worker())
    row = bench.row()
    assert (row.picture, row.heat) == (None, None)
    assert row.thumb.startswith("ring/")
    assert bench.regions() == []


def test_a_share_of_the_passing_parts_is_kept_in_full(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD)
    drain(bench.worker(bench.inspector(sample_share=1.0, all_heat=True)))
    row = bench.row()
    assert row.picture.startswith("sample/")
    assert row.heat.startswith("heat/")


def test_the_sample_is_about_as_large_as_asked_and_always_the_same() -> None:
    chosen = [is_sampled(f"top-1-{number}", 0.1) for number in range(5000)]
    assert 400 < sum(chosen) < 600
    assert chosen == [is_sampled(f"top-1-{number}", 0.1) for number in range(5000)]


def test_frames_of_several_products_are_each_judged_by_their_own_model(bench: Bench) -> None:
    bench.teach(ALL_FAIL, product="ring")
    bench.teach(ALL_PASS, product="board", seed=1)
    bench.send(GOOD, frame(0, GOOD))
    bench.send(GOOD, frame(1, GOOD, product="board"))
    bench.send(GOOD, frame(2, GOOD))
    drain(bench.worker())
    assert [row.verdict for row in bench.rows()] == ["FAIL", "PASS", "FAIL"]


def test_what_the_image_gate_refused_is_invalid_and_never_scored(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD, gate="BLUR", gate_detail="focus at 31 % of its usual value"))
    drain(bench.worker())
    row = bench.row()
    assert (row.verdict, row.reason, row.score) == ("INVALID", "BLUR", None)
    assert "31 %" in row.detail
    assert bench.dead() == []
    assert bench.blobs.get(row.picture) == GOOD


TRUNCATED = png(picture(height=200, width=200))[:-60]
BAD = {
    "empty": b"",
    "text": b"this is not a picture\n" * 10,
    "truncated": TRUNCATED,
    "too large": png(np.zeros((1100, 1000, 3), np.uint8)),
    "lone header": GOOD[:30],
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_decoded_is_invalid_and_a_dead_letter_and_its_neighbours_are_judged(
    bench: Bench, name: str
) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD))
    bench.send(BAD[name], frame(1, BAD[name]))
    bench.send(GOOD, frame(2, GOOD))
    drain(bench.worker())
    assert [row.verdict for row in bench.rows()] == ["PASS", "INVALID", "PASS"]
    bad = bench.rows()[1]
    assert bad.reason == InvalidReason.DECODE_ERROR
    assert bad.detail
    (letter,) = bench.dead()
    assert letter.value == BAD[name]
    assert [told.verdict for told in bench.verdicts()] == ["PASS", "INVALID", "PASS"]
    assert bench.counted() == 3


def test_a_picture_that_is_not_the_captured_one_is_invalid(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, png(picture(1))))
    drain(bench.worker())
    assert bench.row().verdict == "INVALID"
    assert "SHA-256" in bench.row().detail


def test_a_picture_of_another_shape_than_the_golden_ones_is_misaligned(bench: Bench) -> None:
    bench.teach()
    wide = png(picture(height=64, width=192))
    bench.send(GOOD, frame(0, GOOD))
    bench.send(wide, frame(1, wide))
    drain(bench.worker())
    assert [(row.verdict, row.reason) for row in bench.rows()] == [("PASS", ""), ("INVALID", "MISALIGNED")]


def test_an_unknown_product_is_invalid_and_a_dead_letter(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD, product="gearbox"))
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().reason) == ("INVALID", "WRONG_PRODUCT")
    assert "flawline onboard gearbox" in bench.row().detail
    assert len(bench.dead()) == 1


def test_a_product_without_an_active_model_gets_no_verdict(bench: Bench) -> None:
    with bench.database.writing() as connection:
        recipes.save(connection, Recipe(product="ring"), who="t", note="", now=bench.clock.utc())
    bench.send(GOOD)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().reason) == ("NO_VERDICT", "NOT_QUALIFIED")


@pytest.mark.parametrize(
    "changes",
    [{"captured_at": NOW + 400 * 10**9}, {"captured_at": 1_000_000_000}, {"session": NOW + 90_000 * 10**9}],
    ids=["ahead", "without a clock", "a day before its session"],
)
def test_a_frame_from_an_edge_with_a_wrong_clock_is_rejected_and_counted(bench: Bench, changes: dict[str, int]) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD, **changes))
    drain(bench.worker())
    assert bench.rows() == []
    (rejected,) = bench.rejected()
    assert "clock is wrong" in rejected.detail
    assert len(bench.dead()) == 1


def test_a_frame_older_than_rows_are_kept_is_rejected_and_counted(bench: Bench) -> None:
    bench.teach()
    bench.bounds = Bounds(max_pixels=1_000_000, keep_days=2)
    for seq, days in enumerate((1.9, 2.1)):
        captured_at = NOW - round(days * 86_400 * 10**9)
        bench.send(GOOD, frame(seq, GOOD, captured_at=captured_at, session=captured_at))
    drain(bench.worker())
    assert [row.seq for row in bench.rows()] == [0]
    (rejected,) = bench.rejected()
    assert "more than 2 days ago" in rejected.detail
    assert len(bench.dead()) == 1


def test_a_message_without_an_envelope_is_rejected_and_counted(bench: Bench) -> None:
    bench.teach()
    with bench.broker.producer() as producer:
        producer.send("frames", GOOD, partition=0)
    drain(bench.worker())
    assert len(bench.rejected()) == len(bench.dead()) == 1


def test_a_verdict_after_the_deadline_counts_for_nothing_but_its_score_is_kept(bench: Bench) -> None:
    bench.teach()
    late = frame(0, GOOD, deadline_ms=500)  # captured one second ago
    bench.send(GOOD, late)
    bench.send(GOOD, frame(1, GOOD, deadline_ms=5000))
    drain(bench.worker())
    first, second = bench.rows()
    assert (first.verdict, first.reason, first.is_late, second.verdict) == (
        "NO_VERDICT",
        NoVerdictReason.LATE,
        True,
        "PASS",
    )
    assert first.score is not None
    assert "would have been PASS" in first.detail
    assert bench.verdicts()[1].expires_at == late.captured_at // 1000 * 1000 + 500 * 10**6


def test_a_redelivered_frame_changes_nothing_and_its_stored_verdict_is_told_again(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    bench.send(GOOD)
    drain(bench.worker())
    bench.teach(ALL_PASS, seed=1)
    bench.clock.forward(60)
    bench.send(GOOD)
    bench.send(GOOD)
    drain(bench.worker())
    assert bench.row().verdict == "FAIL"
    assert bench.counted() == 1
    told = bench.verdicts()
    assert [one.verdict for one in told] == ["FAIL"] * 2
    assert told[0] == told[1]


def test_a_newer_active_model_is_taken_without_a_restart(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    newer = bench.teach(ALL_PASS, seed=1)
    bench.clock.forward(3)
    bench.send(GOOD, frame(1, GOOD))
    drain(worker)
    assert [row.verdict for row in bench.rows()] == ["FAIL", "PASS"]
    assert bench.rows()[1].model_id == newer.id


def corrupt(path: Path) -> str:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_corrupt_model_never_replaces_one_that_works(bench: Bench) -> None:
    good = bench.teach(ALL_FAIL)
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    bad = bench.folder / "bad.safetensors"
    bad.write_bytes((bench.folder / "ring-0.safetensors").read_bytes())
    bench.register(bad, corrupt(bad))
    bench.clock.forward(3)
    bench.send(GOOD, frame(1, GOOD))
    drain(worker)
    assert [(row.verdict, row.model_id) for row in bench.rows()] == [("FAIL", good.id)] * 2


def test_a_corrupt_model_alone_gives_no_verdict_and_says_why(bench: Bench) -> None:
    row = bench.teach(ALL_PASS)
    bench.blobs.put(row.blob, b"garbage")
    bench.send(GOOD)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().reason) == ("NO_VERDICT", "NOT_QUALIFIED")
    assert row.version in bench.row().detail


def test_a_model_whose_file_is_gone_gives_no_verdict(bench: Bench) -> None:
    row = bench.teach(ALL_PASS)
    bench.blobs.delete(row.blob)
    bench.send(GOOD)
    drain(bench.worker())
    assert bench.row().verdict == "NO_VERDICT"


def test_a_mended_model_is_tried_again(bench: Bench) -> None:
    row = bench.teach(ALL_PASS)
    whole = bench.blobs.get(row.blob)
    bench.blobs.delete(row.blob)
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    bench.blobs.put(row.blob, whole)
    bench.clock.forward(60)
    bench.send(GOOD, frame(1, GOOD))
    drain(worker)
    assert [row.verdict for row in bench.rows()] == ["NO_VERDICT", "PASS"]


def test_a_model_calibrated_on_another_runtime_passes_nothing(bench: Bench) -> None:
    bench.teach(ALL_PASS, fingerprint=Fingerprint("openvino", "2020.1", "cpu", "f32"))
    bench.send(GOOD)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().reason) == ("NO_VERDICT", "NOT_QUALIFIED")
    assert "calibrated on openvino 2020.1" in bench.row().detail


def test_a_quality_engineers_limits_in_the_recipe_win_over_the_models(bench: Bench) -> None:
    bench.teach(ALL_PASS)
    stricter = Recipe(product="ring", limits=LimitPair(t_lo=-2.0, t_hi=-1.0))
    with bench.database.writing() as connection:
        recipes.save(connection, stricter, who="qe", note="customer complaint", now=bench.clock.utc())
    bench.send(GOOD)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().recipe_version, bench.row().t_hi) == ("FAIL", 2, -1.0)


def test_a_product_that_is_no_longer_active_is_no_longer_passed(bench: Bench) -> None:
    row = bench.teach(ALL_PASS)
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    with bench.database.writing() as connection:
        connection.execute(update(tables.models).where(tables.models.c.id == row.id).values(state="RETIRED"))
    bench.clock.forward(3)
    bench.send(GOOD, frame(1, GOOD))
    drain(worker)
    assert [row.verdict for row in bench.rows()] == ["PASS", "NO_VERDICT"]


def test_a_database_locked_by_another_process_loses_nothing(bench: Bench) -> None:
    bench.teach()
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    other = sqlite3.connect(bench.folder / "books.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    bench.send(GOOD, frame(1, GOOD))
    worker.step(0.0)
    assert len(bench.rows()) == 1
    other.execute("ROLLBACK")
    other.close()
    assert drain(worker) == 1
    assert [row.verdict for row in bench.rows()] == ["PASS", "PASS"]
    assert bench.counted() == 2


class FullDisk:
    """The real folder, on a disk that is full until told otherwise."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.full = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def put_all(self, items: Sequence[Item]) -> None:
        if self.full:
            raise StoreUnavailable("no space left on device")
        self._real.put_all(items)  # type: ignore[attr-defined]


def test_a_full_picture_disk_loses_nothing(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    disk = FullDisk(bench.blobs)
    bench.blobs = disk  # type: ignore[assignment]
    worker = bench.worker()
    bench.send(GOOD)
    worker.step(0.0)
    assert bench.rows() == []
    disk.full = False
    assert drain(worker) == 1
    assert bench.row().verdict == "FAIL"


def test_what_was_given_up_gets_no_verdict_with_its_reason(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD)
    (message,) = bench.topic("frames")
    bench.inspector().give_up(message, "it ended its worker")
    assert (bench.row().verdict, bench.row().reason) == ("NO_VERDICT", "INTERNAL_ERROR")
    assert bench.row().detail == "it ended its worker"


def test_a_score_that_is_no_number_is_never_a_pass(bench: Bench) -> None:
    bench.teach(seed=7)  # a model of its own: it is broken here
    inspector = bench.inspector()
    inspector._shelf.refresh(at_once=True)
    found = inspector._shelf.find("ring")
    assert isinstance(found, Qualified)
    scorer = found.predictor._scorer

    def broken(images: NDArray[np.uint8]) -> Scored:
        scored = scorer(images)
        return replace(scored, scores=np.full_like(scored.scores, np.nan), maps=np.full_like(scored.maps, np.nan))

    found.predictor._scorer = broken  # type: ignore[assignment]
    bench.send(GOOD)
    drain(bench.worker(inspector))
    assert (bench.row().verdict, bench.row().reason, bench.row().score) == ("NO_VERDICT", "INTERNAL_ERROR", None)


def test_the_same_picture_always_gets_the_same_score(bench: Bench) -> None:
    bench.teach()
    for seq in range(8):
        bench.send(GOOD, frame(seq, GOOD))
    drain(bench.worker())
    assert len({row.score for row in bench.rows()}) == 1


def test_pictures_are_kept_before_the_row_that_names_them(bench: Bench) -> None:
    bench.teach(ALL_FAIL)
    bench.send(GOOD)
    drain(bench.worker())
    for key in (bench.row().picture, bench.row().thumb, bench.row().heat):
        assert bench.blobs.exists(key)
    with pytest.raises(BlobMissing):
        bench.blobs.get("frame/2025/11/24/00/top/1_1_1.png")


def test_every_verdict_of_the_machine_is_one_of_five(bench: Bench) -> None:
    assert {verdict.value for verdict in MachineVerdict} == {"PASS", "FAIL", "REVIEW", "INVALID", "NO_VERDICT"}
