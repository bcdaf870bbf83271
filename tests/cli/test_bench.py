"""`flawline bench line`: its figures, its cameras, its null model, and a short run on the real servers."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from cli import bench_commands
from cli.bench_cameras import Cameras, Photo
from cli.bench_figures import (
    STAGES,
    Phases,
    Seen,
    Snapshot,
    cpu_ms_per_frame,
    memory,
    percentiles,
    rate,
    rss_slope,
    stage_share,
)
from cli.bench_line import NULL_BATCH, Asked, Crew, run_bench
from cli.bench_null import BENCH, NullPredictor, load_null, null_model, require_bench
from cli.bench_watch import cpu_seconds
from cli.services.plant import Services
from core.broker.kafka_admin import KafkaAdmin
from core.broker.protocol import Topic
from core.errors import SettingsInvalid
from core.line import Camera, line_of
from core.messages import CAMERAS, FRAMES, VERDICTS, CameraReported, FrameCaptured
from core.settings import BrokerSettings, DatabaseSettings, Settings
from core.verdicts import Limits, MachineVerdict, decide
from model.errors import ModelFileInvalid
from model.predictor import Predictor
from tests.servers import SHARED
from tests.workers.bench import Bench, frame, open_bench, picture, png

ROOT = Path(__file__).resolve().parents[2]
GOOD = png(picture())


def seen(*, frames: int = 100, seconds: float = 10.0) -> Seen:
    stages = {"model": 4.0, "decode": 2.0}
    start = Snapshot(5.0, 50, {"worker": 1.0}, {"model": 1.0})
    return Seen(start, Snapshot(5.0 + seconds, 50 + frames, {"worker": 3.0, "kafka": 0.5}, stages), [1.0, 2.0])


def test_the_rate_counts_verdicts_over_the_phase_alone() -> None:
    assert rate(seen()) == 10.0


def test_stage_shares_are_of_all_workers_time() -> None:
    shares = stage_share(seen(), workers=2)
    assert (shares["model"], shares["decode"]) == (0.15, 0.1)
    assert list(shares) == list(STAGES)


def test_cpu_time_is_told_by_process_and_together() -> None:
    assert cpu_ms_per_frame(seen()) == {"worker": 20.0, "kafka": 5.0, "all": 25.0}


def test_percentiles_of_nothing_are_nothing() -> None:
    assert set(percentiles([]).values()) == {None}
    assert percentiles([float(ms) for ms in range(1, 101)]) == {"p50": 50.5, "p95": 95.0, "p99": 99.0, "most": 100.0}


@given(st.floats(100, 2000), st.floats(-0.01, 0.05), st.integers(8, 60))
def test_the_growth_of_memory_is_found_whatever_single_points_do(start: float, growth: float, points: int) -> None:
    rss = [(1000 * n, start + growth * 1000 * n) for n in range(points)]
    rss[points // 2] = (rss[points // 2][0], start + 500)  # a passing peak
    assert rss_slope(rss) == pytest.approx(growth * 1000, abs=0.01 + abs(growth) * 300)


def test_what_is_taken_at_the_start_and_kept_is_no_growth() -> None:
    rss = [(n, 600.0 if n < 20 else 700.0) for n in range(100)]
    assert rss_slope(rss) == 0.0
    assert memory(rss) == {"rss_start_mb": 600.0, "rss_end_mb": 700.0, "rss_mb_per_1000_frames": 0.0}


@given(st.integers(100, 100_000), st.integers(1, 256), st.integers(1, 16))
def test_every_frame_belongs_to_one_phase_and_each_phase_has_some(frames: int, batch: int, workers: int) -> None:
    phases = Phases.of(frames, batch=batch, workers=workers)
    assert phases.warm + phases.full + phases.paced == frames
    assert min(phases.warm, phases.full, phases.paced) > 0


def test_the_null_model_gets_a_worker_on_each_core_and_a_network_one_that_uses_them_all() -> None:
    assert Crew.of("null") == Crew(os.cpu_count() or 1, NULL_BATCH)
    assert Crew.of("default") == Crew(1, 16)
    assert Crew.of("null", workers=3, batch=8) == Crew.of("default", workers=3, batch=8) == Crew(3, 8)


def test_the_null_model_passes_every_picture_of_its_size(tmp_path: Path) -> None:
    path = tmp_path / "null"
    path.write_bytes(null_model(640, 480))
    predictor = load_null(path, sha256_of(path))
    assert isinstance(predictor, NullPredictor)
    assert predictor.is_calibrated
    limits = predictor.manifest.limits
    assert limits
    found = predictor.inspect([picture(height=480, width=640)] * 3)
    assert [decide(one.score, Limits(limits.t_lo, limits.t_hi)) for one in found] == [MachineVerdict.PASS] * 3
    with pytest.raises(ValueError, match="640"):
        predictor.inspect([picture(height=100, width=100)])


def sha256_of(path: Path) -> str:
    return Photo.of(path.read_bytes(), 1, 1).sha256


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"width": "x", "height": 1}'])
def test_another_file_is_no_null_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ModelFileInvalid):
        load_null(path, sha256_of(path))


def test_a_null_model_that_is_not_the_registered_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "null"
    path.write_bytes(null_model(640, 480))
    with pytest.raises(ModelFileInvalid, match="SHA-256"):
        load_null(path, "0" * 64)


def test_a_worker_of_a_line_never_takes_a_null_model(bench: Bench) -> None:
    path = bench.folder / "null"
    path.write_bytes(null_model(64, 64))
    with pytest.raises(ModelFileInvalid):
        Predictor.load(path, runtime="torch", sha256=sha256_of(path))
    bench.register(path, sha256_of(path))
    bench.send(GOOD, frame(0, GOOD))
    bench.worker().step(0.0)
    assert (bench.row().verdict, bench.row().reason) == ("NO_VERDICT", "NOT_QUALIFIED")


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg2://flawline@127.0.0.1/flawline", "sqlite:////path/flawline.sqlite"]
)
def test_the_worker_of_a_bench_refuses_the_books_of_a_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="flawline bench line"):
        require_bench(Settings(database=DatabaseSettings(url=url)))
    require_bench(Settings(database=DatabaseSettings(url=f"postgresql+psycopg2://flawline@127.0.0.1/{BENCH}1")))
    monkeypatch.setenv("FLAWLINE_DATABASE__URL", url)
    with pytest.raises(SettingsInvalid):
        bench_commands.worker()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        bench.broker.apply([Topic(CAMERAS, 1)])
        yield bench


def test_the_cameras_send_in_turn_at_the_pace_of_the_line_and_meet_every_verdict(bench: Bench) -> None:
    bench.teach()
    bench.clock.ns = time.time_ns()
    names = [f"camera-{number}" for number in range(3)]
    line = line_of([Camera(name=name, product="ring", source="simulator:ring") for name in names], partitions=2)
    photos = [Photo.of(png(picture(seed)), 64, 64) for seed in range(4)]
    cameras = Cameras(line, photos, bench.broker.producer(), bench.broker.consumer(VERDICTS, group="bench"))
    worker, waiting = bench.worker(), [0]

    def tend() -> None:
        bench.clock.ns = time.time_ns()
        waiting.append(sum(lag.records for lag in bench.broker.lag(FRAMES, group="inspection")))
        worker.step(0.0)

    cameras.full_speed(20, window=6, tend=tend)
    assert max(waiting) <= 6
    assert len(cameras.take_latencies()) == 20
    begun = time.monotonic()
    cameras.paced(10, rate=50.0, tend=tend)
    assert time.monotonic() - begun >= 9 / 50
    latencies = cameras.take_latencies()
    assert len(latencies) == 10
    assert min(latencies) > 0
    cameras.finish()
    assert (cameras.told, cameras.repeated, dict(cameras.verdicts)) == (30, 0, {"PASS": 30})
    frames = [FrameCaptured.of(message.headers) for message in bench.topic(FRAMES)]
    assert {(one.camera, one.seq) for one in frames} == {(name, seq) for name in names for seq in range(10)}
    reports = [CameraReported.from_json(message.value) for message in bench.topic(CAMERAS)]
    assert {one.camera: one.triggered for one in reports if one.state == "ENDED"} == dict.fromkeys(names, 10)


def test_the_cpu_time_of_a_process_counts_its_ended_children() -> None:
    before = cpu_seconds(os.getpid())
    sum(number * number for number in range(2_000_000))
    assert cpu_seconds(os.getpid()) > before


@pytest.mark.slow
def test_a_short_run_on_the_real_servers_balances_and_leaves_nothing_behind(servers: Services) -> None:
    before = left_of_benches(servers)
    result = run_bench(Asked(frames=400, cameras=4, model="null", crew=Crew(1, 16), services=SHARED))
    assert (result["frames"], result["lost"], result["duplicates"], result["restarts"]) == (400, 0, 0, 0)
    assert result["verdicts"] == {"PASS": 400}
    assert result["frames_per_second"] > 0
    assert result["network_frames_per_second"] is result["ratio_to_network"] is None
    latency = result["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert all(0 < share < 1.5 for name, share in result["stage_share"].items() if name not in ("model", "maps"))
    assert set(result["cpu_ms_per_frame"]) == {"inspection-1", "books", "kafka", "postgres", "cameras", "all"}
    json.dumps(result)
    documented = set(re.findall(r"`(\w+)`", documentation()))
    assert set(result) <= documented, "every key is described"
    assert left_of_benches(servers) <= before


def left_of_benches(servers: Services) -> set[str]:
    """Databases and topics of benches."""
    engine = create_engine(servers["postgres"].url)
    with engine.connect() as connection:
        names = connection.scalars(text(f"SELECT datname FROM pg_database WHERE datname LIKE '{BENCH}%'"))
        left = {f"database {name}" for name in names}
    engine.dispose()
    admin = KafkaAdmin(BrokerSettings(url=servers["kafka"].url, prefix=BENCH))
    left |= {f"topic {name}" for name in admin.names()}
    admin.close()
    return left


def documentation() -> str:
    said = (ROOT / "docs/commands.md").read_text()
    found = re.search(r"^### flawline bench line$\n(.*?)(?=^### |\Z)", said, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]
