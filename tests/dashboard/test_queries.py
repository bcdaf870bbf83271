"""What the pages ask, on a real database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from core.messages import FrameId
from core.records import reviews
from core.records.models import versions
from core.records.reviews import Decision
from core.times import ns_of
from core.verdicts import HumanCall, MachineVerdict, ModelState
from dashboard.live import Live
from dashboard.queries import cameras, counts, frames, models, waiting
from dashboard.queries.waiting import Asked
from dashboard.stores import Kept, Stores
from tests.dashboard import seed
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant
from tests.plans import plans
from tests.servers import postgres_of

START = NOON - timedelta(hours=1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Names an empty database of each kind at each call; "" = one in the installation's folder."""
    with ExitStack() as kept:
        if request.param == "sqlite":
            yield lambda: ""
            return
        servers = request.getfixturevalue("servers")
        yield lambda: kept.enter_context(postgres_of(servers))


@pytest.fixture(scope="module")
def line(where: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """As all pages' tests have it, on each kind of database."""
    folder = tmp_path_factory.mktemp("line")
    made = seed.plant(seed.settings_in(folder, database=where()), cameras=4, now=NOON)
    yield made
    made.database.close()


@pytest.fixture
def fresh(where: Callable[[], str], tmp_path: Path) -> Iterator[Plant]:
    """Two cameras of one's own."""
    made = seed.plant(seed.settings_in(tmp_path, database=where()), cameras=2, now=NOON, parts=40)
    yield made
    made.database.close()


def verdicts_of(connection: Connection) -> dict[str, int]:
    rows = connection.execute(text("SELECT verdict, count(*) FROM inspections GROUP BY verdict"))
    return {str(verdict): int(number) for verdict, number in rows}


def test_the_cameras_of_the_line_come_in_its_order(line: Plant) -> None:
    with line.database.reading() as connection:
        assert [camera.name for camera in cameras.in_line(connection)] == list(seed.NAMES[:4])


def test_a_report_knows_how_many_pictures_wait(fresh: Plant) -> None:
    camera = fresh.cameras[0]
    fresh.counted[camera.name] += 3  # captured, not judged
    fresh.report(camera, NOON + timedelta(seconds=1), state="LOST", detail="gone")
    with fresh.database.reading() as connection:
        report = cameras.report(connection, camera.name)
        assert cameras.report(connection, "nobody") is None
    assert report is not None
    assert (report.state, report.detail, report.waiting, report.judged_to) == ("LOST", "gone", 3, 40)


def test_the_newest_frame_comes_with_its_regions_and_its_model(line: Plant) -> None:
    with line.database.reading() as connection:
        frame = frames.newest(connection, "board-side")
    assert frame is not None
    assert frame.id.seq == 79
    assert frame.captured_at == NOON
    assert frame.verdict == "FAIL"
    assert len(frame.regions) == 1


def test_bars_are_the_newest_rows_newest_first(line: Plant) -> None:
    with line.database.reading() as connection:
        bars = frames.bars(connection, "ring-top", most=70)
    assert len(bars) == 70
    assert bars[0].captured_at == NOON
    assert all(one.captured_at > other.captured_at for one, other in pairwise(bars))


def test_last_rejects_are_fails_of_the_period(line: Plant) -> None:
    with line.database.reading() as connection:
        found = frames.rejects(connection, START, most=8)
        assert not frames.rejects(connection, NOON + timedelta(seconds=1), most=8)
    assert {frame.verdict for frame in found} == {"FAIL"}
    assert [frame.captured_at for frame in found] == sorted((frame.captured_at for frame in found), reverse=True)


def test_passed_parts_before_a_reject_are_of_its_camera(line: Plant) -> None:
    with line.database.reading() as connection:
        reject = frames.rejects(connection, START, most=1)[0]
        passed = frames.passed_before(connection, reject, most=3)
    assert {(frame.id.camera, frame.verdict) for frame in passed} == {(reject.id.camera, "PASS")}
    assert all(frame.captured_at < reject.captured_at for frame in passed)


def test_counters_are_those_of_the_rows(line: Plant) -> None:
    with line.database.reading() as connection:
        found, rows = counts.since(connection, START), verdicts_of(connection)
        assert counts.failed_since(connection, START) == rows["FAIL"]
        assert counts.p99_ms(connection, START) == pytest.approx(118.0)
        assert counts.p99_ms(connection, NOON + timedelta(minutes=9)) is None
    assert (found.n, found.n_pass, found.n_fail, found.n_review, found.n_invalid) == (
        320, rows["PASS"], rows["FAIL"], rows["REVIEW"], rows.get("INVALID", 0)
    )  # fmt: skip
    assert found.judged == 320 - rows.get("INVALID", 0)


def test_a_late_part_and_one_without_verdict_are_not_judged_in_time(fresh: Plant) -> None:
    fresh.add(fresh.cameras[0], MachineVerdict.NO_VERDICT, NOON + timedelta(seconds=1))
    with fresh.database.reading() as connection:
        assert counts.since(connection, START).unjudged == 1


def test_the_queue_is_the_oldest_first_and_leaves_out_what_was_called(fresh: Plant) -> None:
    with fresh.database.writing() as connection:
        queue = waiting.waiting(connection, Asked(), reviewer="Ana", now=NOON)
        before = waiting.tally(connection)
        reviews.call(connection, queue[0].id, Decision(call=HumanCall.GOOD, seconds=2.0), reviewer="Ana", now=NOON)
        after = waiting.waiting(connection, Asked(), reviewer="Ana", now=NOON)
        assert waiting.tally(connection).to_review == before.to_review - 1 == len(after)
        assert waiting.pace(connection, "Ana", START) == (1, 2.0)
        assert waiting.pace(connection, "Ben", START) == (0, None)
    assert [frame.id for frame in after] == [frame.id for frame in queue[1:]]
    assert [frame.captured_at for frame in queue] == sorted(frame.captured_at for frame in queue)
    assert before.oldest == queue[0].captured_at


def test_invalid_pictures_are_a_filter_not_a_duty(fresh: Plant) -> None:
    fresh.add(fresh.cameras[0], MachineVerdict.INVALID, NOON + timedelta(seconds=1))
    with fresh.database.reading() as connection:
        tally = waiting.tally(connection)
        everything = waiting.waiting(connection, Asked(), reviewer="Ana", now=NOON)
        invalid = waiting.waiting(connection, Asked(("INVALID",)), reviewer="Ana", now=NOON)
    assert tally.by_verdict["INVALID"] == len(invalid) > 0
    assert {frame.verdict for frame in everything} <= {"FAIL", "REVIEW"}
    assert tally.to_review == len(everything)


def test_a_part_that_another_reviewer_holds_is_not_offered(fresh: Plant) -> None:
    with fresh.database.writing() as connection:
        first = waiting.waiting(connection, Asked(), reviewer="Ana", now=NOON)[0]
        assert reviews.claim(connection, first.id, reviewer="Ana", now=NOON)
        assert first.id not in [f.id for f in waiting.waiting(connection, Asked(), reviewer="Ben", now=NOON)]
        later = NOON + reviews.LEASE + timedelta(seconds=1)
        assert first.id in [f.id for f in waiting.waiting(connection, Asked(), reviewer="Ben", now=later)]


def test_the_way_back_leads_to_the_version_that_judged_before(line: Plant) -> None:
    with line.database.reading() as connection:
        rows = versions(connection, "ring")
        assert models.product_names(connection) == ["board", "ring", "weave"]
        assert models.active_versions(connection)["ring"] == rows[0].version
    back = models.before_active(rows)
    assert back is not None
    assert (back.version, back.state) == (rows[1].version, ModelState.RETIRED)
    assert models.before_active(rows[1:]) is None


def test_the_lowest_good_score_of_a_model_is_its_floor(line: Plant) -> None:
    with line.database.reading() as connection:
        row = versions(connection, "ring")[0]
        assert models.floor(connection, row.id) == min(row.manifest["calibration"]["scores"])
        assert models.floor(connection, 99) is None
        assert models.floor(connection, None) is None


def test_no_frame_is_found_under_a_strange_name(line: Plant) -> None:
    with line.database.reading() as connection:
        assert frames.one(connection, FrameId("ring-top'; --", 1, 2)) is None
        assert frames.one(connection, FrameId("ring-top", ns_of(line.began), 3)) is not None


@pytest.mark.parametrize("most", [1, 30, 79, 161, 1000])
def test_the_99th_percentile_is_of_the_newest_rows(line: Plant, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(counts, "NEWEST_FOR_P99", most)
    newest = text("SELECT latency_ms FROM inspections ORDER BY captured_at DESC LIMIT :most")
    with line.database.reading() as connection:
        latencies = sorted(connection.scalars(newest, {"most": most}))
        found = counts.p99_ms(connection, START)
        assert counts._newest_minutes(connection, START, most) <= NOON
    assert found == latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]


def test_the_partial_index_serves_the_queue(fresh: Plant) -> None:
    with fresh.database.reading() as connection, plans(connection) as found:
        waiting.waiting(connection, Asked(), reviewer="ann", now=NOON)
        waiting.tally(connection)
    assert "inspections_attention" in found[0].indexes
    assert "inspections_attention" in found[-1].indexes


def test_the_page_is_read_once_for_all_who_look(stores: Stores) -> None:
    live = Live(stores, clock=lambda: NOON)
    assert live.page() is live.page()


def test_the_page_holds_a_place_for_every_camera(stores: Stores) -> None:
    document = Live(stores, clock=lambda: NOON).page().document()
    slots = document["slots"]
    assert isinstance(slots, dict)
    assert [name for name in slots if name.startswith("tile:")] == [f"tile:{name}" for name in seed.NAMES[:4]]
    assert document["cameras"] == document["columns"] == 4


def test_kept_values_are_made_anew_when_they_are_too_old() -> None:
    now, made = [0.0], []
    kept = Kept(lambda: now[0])

    def make() -> int:
        made.append(now[0])
        return len(made)

    assert [kept.get("a", 2.0, make) for _ in range(3)] == [1, 1, 1]
    now[0] = 2.0
    assert kept.get("a", 2.0, make) == 2
    assert kept.get("b", 2.0, make) == 3


def test_what_is_recorded_twice_shows_once(fresh: Plant) -> None:
    with fresh.database.reading() as connection:
        before = counts.since(connection, START).n
    camera = fresh.cameras[0]
    fresh.add(camera, MachineVerdict.FAIL, NOON)
    fresh.counted[camera.name] -= 1
    fresh.add(camera, MachineVerdict.FAIL, NOON)
    with fresh.database.reading() as connection:
        assert counts.since(connection, START).n == before + 1
