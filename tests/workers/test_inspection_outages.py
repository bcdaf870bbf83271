"""An inspection whose stores go away: PostgreSQL killed and frozen, Redis gone; and who is judged first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.services.plant import Services
from core.blobs.open import open_blobs
from core.live import Glimpse, NoLive
from core.live_open import open_live
from core.metrics import Metrics
from core.prometheus import PrometheusMetrics
from core.settings import BlobSettings, LiveSettings, Settings
from model.manifest import ModelLimits
from tests.conftest import OwnServers
from tests.servers import unique
from tests.workers.bench import Bench, drain, frame, open_bench, picture, png

GOOD = png(picture())


@dataclass
class Wall(NoLive):
    """A live cache that remembers what was shown, and whether it stood in the books by then."""

    bench: Bench
    shown: list[Glimpse] = field(default_factory=list)
    early: list[Glimpse] = field(default_factory=list)
    version: int | None = None

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        there = {(row.camera, row.session, row.seq) for row in self.bench.rows()}
        self.early += [glimpse for glimpse in glimpses if tuple(glimpse.row.id) not in there]
        self.shown += glimpses

    def models_version(self) -> int | None:
        return self.version


def test_verdicts_are_shown_once_they_are_in_the_books_with_their_small_pictures(bench: Bench) -> None:
    bench.live = wall = Wall(bench)
    bench.teach()
    bench.send(GOOD, frame(0, GOOD))
    bench.send(b"no picture", frame(1, b"no picture"))
    drain(bench.worker())
    assert wall.early == []
    good, bad = wall.shown
    assert (good.row.verdict, bad.row.verdict) == ("PASS", "INVALID")
    assert good.small is not None
    assert bench.blobs.get(good.row.thumb or "") == good.small
    assert bad.small is None


def test_a_frame_that_comes_again_is_not_shown_again(bench: Bench) -> None:
    bench.live = wall = Wall(bench)
    bench.teach()
    for _ in range(2):
        bench.send(GOOD)
        drain(bench.worker())
    assert len(wall.shown) == 1


def test_a_word_of_the_cache_makes_the_worker_look_at_the_books_at_once(bench: Bench) -> None:
    bench.live = wall = Wall(bench, version=1)
    bench.teach(ModelLimits(t_lo=-2.0, t_hi=-1.0))
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    bench.teach(ModelLimits(t_lo=1e9), seed=1)
    bench.send(GOOD, frame(1, GOOD))
    drain(worker)  # the clock stands still: no time to look by itself
    wall.version = 2
    bench.send(GOOD, frame(2, GOOD))
    drain(worker)
    assert [row.verdict for row in bench.rows()] == ["FAIL", "FAIL", "PASS"]


def test_a_worker_whose_cache_is_gone_goes_on_and_counts_it(bench: Bench) -> None:
    bench.metrics = metrics = PrometheusMetrics(role="inspection", cameras=["top"])
    bench.live = open_live(Settings(live=LiveSettings(url="redis://127.0.0.1:1/0")), metrics)
    bench.teach()
    bench.send(GOOD)
    drain(bench.worker())
    assert bench.row().verdict == "PASS"
    said = metrics.exposition().decode()
    assert "flawline_live_failures_total 1.0" in said
    assert 'flawline_frames_total{camera="top",reason="",verdict="PASS"} 1.0' in said


def test_redelivered_frames_are_counted_apart(bench: Bench) -> None:
    bench.metrics = metrics = PrometheusMetrics(role="inspection", cameras=["top"])
    bench.teach()
    for _ in range(3):
        bench.send(GOOD)
        drain(bench.worker())
    said = metrics.exposition().decode()
    assert 'flawline_frames_total{camera="top",reason="",verdict="PASS"} 1.0' in said
    assert "flawline_repeated_frames_total 2.0" in said
    for stage in ("decode", "model", "maps", "pictures", "books", "tell"):
        assert f'flawline_stage_seconds_count{{stage="{stage}"}} 3.0' in said


def test_what_is_past_its_deadline_never_holds_up_what_is_not(bench: Bench) -> None:
    bench.teach()
    for seq in range(6):
        bench.send(GOOD, frame(seq, GOOD, deadline_ms=100 if seq % 2 else 60_000))  # captured a second ago
    drain(bench.worker())
    assert [verdict.seq for verdict in bench.verdicts()] == [0, 2, 4, 1, 3, 5]
    assert [row.verdict for row in bench.rows()] == ["PASS", "NO_VERDICT"] * 3
    late = [row for row in bench.rows() if row.is_late]
    assert all(row.score is not None for row in late), "still judged, as evidence"
    assert bench.counted() == 6


def test_each_frame_of_a_large_mixed_batch_ends_as_it_would_alone(bench: Bench) -> None:
    bench.teach()
    bench.teach(ModelLimits(t_lo=-2.0, t_hi=-1.0), product="board", seed=1)
    wide = png(picture(height=64, width=192))
    kinds: list[tuple[bytes, dict[str, object], str, str]] = [
        (GOOD, {}, "PASS", ""),
        (b"no picture", {"sha256": ""}, "INVALID", "DECODE_ERROR"),
        (GOOD, {"product": "board"}, "FAIL", ""),
        (wide, {}, "INVALID", "MISALIGNED"),
        (GOOD, {"gate": "BLUR"}, "INVALID", "BLUR"),
        (GOOD, {"product": "gearbox"}, "INVALID", "WRONG_PRODUCT"),
        (b"", {"no_verdict": "BROKER_DOWN"}, "NO_VERDICT", "BROKER_DOWN"),
        (GOOD, {"deadline_ms": 1}, "NO_VERDICT", "LATE"),
    ]
    for seq in range(16):
        value, changes, _, _ = kinds[seq % len(kinds)]
        bench.send(value, frame(seq, value, **changes))
    assert bench.worker().step(0.0) == 16, "all in one batch"
    assert [(row.verdict, row.reason) for row in bench.rows()] == [
        (verdict, reason) for *_, verdict, reason in kinds * 2
    ]
    assert [row.size for row in bench.rows()] == [len(value) for value, *_ in kinds * 2]
    assert sorted(int(dict(letter.headers)["seq"]) for letter in bench.dead()) == [1, 5, 9, 13]
    assert bench.counted() == 16


def test_an_s3_store_that_is_gone_is_waited_for(bench: Bench) -> None:
    bench.teach()
    worker = bench.worker()
    bench.send(GOOD, frame(0, GOOD))
    drain(worker)
    folder = bench.blobs
    away = BlobSettings(
        url="s3://flawline?endpoint=http://127.0.0.1:1", access_key="key", secret_key=SecretStr("secret")
    )
    bench.blobs = open_blobs(Settings(blobs=away))
    waiting = bench.worker()
    bench.send(GOOD, frame(1, GOOD))
    waiting.step(0.0)
    assert len(bench.rows()) == 1
    assert sum(lag.records for lag in bench.broker.lag("frames", group="inspection")) == 1
    bench.blobs = folder
    drain(bench.worker())
    assert [row.verdict for row in bench.rows()] == ["PASS"] * 2


@pytest.fixture
def postgres(own_servers: OwnServers) -> Services:
    return own_servers("postgres")


@pytest.fixture
def served(postgres: Services, tmp_path: Path) -> Iterator[Bench]:
    """A bench whose books lie on a PostgreSQL of its own."""
    with open_bench(tmp_path, postgres["postgres"].url) as bench:
        yield bench


def test_while_the_database_is_dead_nothing_is_skipped_and_nothing_committed(served: Bench, postgres: Services) -> None:
    served.teach()
    worker = served.worker()
    served.send(GOOD, frame(0, GOOD))
    drain(worker)
    postgres["postgres"].kill()
    for seq in range(1, 5):
        served.send(GOOD, frame(seq, GOOD))
    for _ in range(3):
        worker.step(0.0)
    assert sum(lag.records for lag in served.broker.lag("frames", group="inspection")) == 4
    assert served.dead() == []
    postgres["postgres"].start()
    assert drain(worker) == 4
    assert [row.verdict for row in served.rows()] == ["PASS"] * 5
    assert served.counted() == 5
    assert len(served.verdicts()) == 5


def test_a_database_that_takes_sessions_and_says_nothing_is_waited_for(served: Bench, postgres: Services) -> None:
    served.teach()
    worker = served.worker()
    served.send(GOOD, frame(0, GOOD))
    drain(worker)
    served.database.close()  # the next session is a new one
    postgres["postgres"].freeze()
    try:
        served.send(GOOD, frame(1, GOOD))
        worker.step(0.0)
        assert sum(lag.records for lag in served.broker.lag("frames", group="inspection")) == 1
    finally:
        postgres["postgres"].thaw()
    drain(worker)
    assert [row.verdict for row in served.rows()] == ["PASS"] * 2
    assert served.counted() == 2


def test_a_real_cache_shows_the_newest_verdict_of_each_camera(bench: Bench, servers: Services) -> None:
    settings = Settings(live=LiveSettings(url=servers["redis"].url), broker={"prefix": unique() + "."})
    with open_live(settings, Metrics()) as live:
        bench.live = live
        bench.teach()
        for seq in range(3):
            for camera in ("top", "side"):
                bench.send(GOOD, frame(seq, GOOD, camera=camera))
        drain(bench.worker())
        found = live.newest(["top", "side", "nowhere"])
    assert {camera: row.frame.seq for camera, row in found.items()} == {"top": 2, "side": 2}
