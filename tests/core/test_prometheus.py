"""The figures: what the hooks are told is what a scraper reads, and no message can make the labels grow."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from core.broker.protocol import Partition
from core.health import Health
from core.messages import FrameInspected
from core.metrics import Metrics
from core.metrics_open import open_metrics
from core.prometheus import MOST_NAMES, PrometheusMetrics
from core.settings import MetricsSettings
from core.verdicts import MachineVerdict

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]
TAKEN_AT = 1_790_000_000_000_000_000


def figures(metrics: Metrics) -> Figures:
    """Every sample, as a scraper reads the text."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def figure(metrics: Metrics, name: str, **labels: str) -> float | None:
    return figures(metrics).get((f"flawline_{name}", tuple(sorted(labels.items()))))


def verdict(camera: str = "ring-top", said: str = "PASS", reason: str = "", age_ms: int = 120) -> FrameInspected:
    return FrameInspected(
        camera=camera, session=1, seq=1, captured_at=TAKEN_AT, inspected_at=TAKEN_AT + age_ms * 1_000_000,
        station="s", product="ring", part_id="", lot="", verdict=said, reason=reason, detail="", score=0.1,
        t_lo=0.5, t_hi=0.6, model="1", is_late=False)  # fmt: skip


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics(role="inspection", name="inspection-1", cameras=["ring-top", "ring-side"])


def tell_everything(metrics: Metrics) -> None:
    metrics.cameras(["ring-top"])
    metrics.captured("ring-top", 1000)
    metrics.spooled("ring-top", 5000, 2.5)
    metrics.inspected(verdict())
    metrics.repeated(2)
    metrics.batch(16)
    metrics.dead("frames")
    metrics.waited("the database does not answer")
    metrics.owns([Partition("frames", 1)])
    metrics.lag(Partition("frames", 1), 12, 0.4)
    metrics.raised("COUNT_RECONCILE")
    metrics.model("ring", "v3")
    metrics.live_failed()
    with metrics.stage("decode"):
        pass
    metrics.gauges({"gpu_memory_bytes": 1e9})
    metrics.watch(Health())


def test_every_figure_that_a_plant_watches_is_there(metrics: PrometheusMetrics) -> None:
    tell_everything(metrics)
    camera = {"camera": "ring-top"}
    assert figure(metrics, "captured_frames_total", **camera) == 1
    assert figure(metrics, "captured_bytes_total", **camera) == 1000
    assert figure(metrics, "spool_bytes", **camera) == 5000
    assert figure(metrics, "spool_age_seconds", **camera) == 2.5
    assert figure(metrics, "frames_total", **camera, verdict="PASS", reason="") == 1
    assert figure(metrics, "frame_age_seconds_sum", **camera) == pytest.approx(0.12)
    assert figure(metrics, "last_frame_timestamp_seconds", **camera) == TAKEN_AT / 1e9
    assert figure(metrics, "repeated_frames_total") == 2
    assert figure(metrics, "batch_messages_sum") == 16
    assert figure(metrics, "dead_letters_total", topic="frames") == 1
    assert figure(metrics, "waits_total", store="database") == 1
    assert figure(metrics, "lag_records", topic="frames", partition="1") == 12
    assert figure(metrics, "lag_seconds", topic="frames", partition="1") == 0.4
    assert figure(metrics, "alerts_total", kind="COUNT_RECONCILE") == 1
    assert figure(metrics, "model_info", product="ring", version="v3") == 1
    assert figure(metrics, "live_failures_total") == 1
    assert figure(metrics, "stage_seconds_count", stage="decode") == 1
    assert figure(metrics, "gpu_memory_bytes") == 1e9
    assert figure(metrics, "healthy") == 0
    assert figure(metrics, "turn_age_seconds") is not None
    assert figures(metrics)["process_resident_memory_bytes", ()] > 1e6


def test_promtool_finds_nothing_to_complain_of(metrics: PrometheusMetrics) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "Debian's package prometheus brings it; `make setup` installs it"
    tell_everything(metrics)
    found = subprocess.run([promtool, "check", "metrics"], input=metrics.exposition(), capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_hooks_without_a_port_keep_nothing_and_stay_silent() -> None:
    metrics = open_metrics(MetricsSettings(), role="inspection")
    tell_everything(metrics)
    assert metrics.exposition() == b""


def test_hooks_with_a_port_keep_figures() -> None:
    metrics = open_metrics(MetricsSettings(port=9101), role="capture", name="ring-top", cameras=["ring-top"])
    (info,) = (labels for name, labels in figures(metrics) if name == "flawline_info")
    assert dict(info)["role"] == "capture"
    assert dict(info)["name"] == "ring-top"


def test_two_processes_in_one_test_share_no_figure() -> None:
    one, other = PrometheusMetrics(role="books"), PrometheusMetrics(role="books")
    one.batch(3)
    assert figure(other, "batch_messages_count") == 0


def test_a_camera_that_the_line_does_not_have_is_other(metrics: PrometheusMetrics) -> None:
    metrics.inspected(verdict(camera="stranger"))
    metrics.captured("stranger", 10)
    assert figure(metrics, "frames_total", camera="other", verdict="PASS", reason="") == 1
    assert figure(metrics, "captured_frames_total", camera="other") == 1
    metrics.cameras(["stranger"])
    metrics.inspected(verdict(camera="stranger"))
    assert figure(metrics, "frames_total", camera="stranger", verdict="PASS", reason="") == 1


TEXTS = st.text(max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.integers(-(10**6), 10**6)), max_size=30))
def test_no_message_makes_a_label_of_its_own_or_a_text_that_no_scraper_reads(
    told: list[tuple[str, str, str, int]],
) -> None:
    metrics = PrometheusMetrics(role="inspection", cameras=["a"])
    for camera, said, reason, age in told:
        metrics.inspected(verdict(camera, said, reason, age))
        metrics.waited(reason)
        metrics.raised(reason)
        metrics.model(camera, said)
    families = {name: dict(labels) for name, labels in figures(metrics) if name == "flawline_frames_total"}
    assert all(labels["camera"] in {"a", "other"} for labels in families.values())
    total = sum(value for (name, _), value in figures(metrics).items() if name == "flawline_frames_total")
    assert total == len(told)


@given(st.sampled_from(MachineVerdict), st.integers(-(10**7), 10**7))
def test_a_verdict_is_counted_once_whatever_the_clocks_say(said: MachineVerdict, age_ms: int) -> None:
    metrics = PrometheusMetrics(role="inspection", cameras=["ring-top"])
    metrics.inspected(verdict(said=said, age_ms=age_ms))
    assert figure(metrics, "frames_total", camera="ring-top", verdict=said, reason="") == 1
    assert figure(metrics, "frame_age_seconds_sum", camera="ring-top") == pytest.approx(max(0, age_ms) / 1000)


def test_the_kinds_of_one_label_are_bounded(metrics: PrometheusMetrics) -> None:
    for number in range(3 * MOST_NAMES):
        metrics.dead(f"topic-{number}")
    series = {
        labels: value for (name, labels), value in figures(metrics).items() if name.endswith("dead_letters_total")
    }
    assert len(series) == MOST_NAMES + 1
    assert sum(series.values()) == 3 * MOST_NAMES


@pytest.mark.parametrize(
    ("why", "store"),
    [
        ("Kafka at kafka:9092 does not answer", "broker"),
        ("the log /data/log.sqlite is locked", "broker"),
        ("database: connection refused", "database"),
        ("blob 'frame/2026': No space left on device", "blobs"),
        ("S3 bucket: timeout", "blobs"),
        ("it rains", "other"),
    ],
)
def test_a_wait_is_counted_by_the_store_that_it_names(metrics: PrometheusMetrics, why: str, store: str) -> None:
    metrics.waited(why)
    assert figure(metrics, "waits_total", store=store) == 1


def test_the_lag_of_a_partition_that_went_to_another_process_is_gone(metrics: PrometheusMetrics) -> None:
    metrics.lag(Partition("frames", 0), 5, 1.0)
    metrics.lag(Partition("frames", 1), 7, 2.0)
    metrics.owns([Partition("frames", 1)])
    assert figure(metrics, "lag_records", topic="frames", partition="0") is None
    assert figure(metrics, "lag_seconds", topic="frames", partition="1") == 2.0
    metrics.owns([])
    metrics.owns([Partition("frames", 0)])
    metrics.lag(Partition("frames", 0), 1, 0.1)
    assert figure(metrics, "lag_records", topic="frames", partition="0") == 1


def test_a_product_shows_the_version_that_judges_it_now_and_no_former_one(metrics: PrometheusMetrics) -> None:
    metrics.model("ring", "v1")
    metrics.model("ring", "v2")
    assert figure(metrics, "model_info", product="ring", version="v1") is None
    assert figure(metrics, "model_info", product="ring", version="v2") == 1


def test_a_stage_that_ends_in_an_error_is_timed_too(metrics: PrometheusMetrics) -> None:
    def fail() -> Iterator[None]:
        with metrics.stage("books"):
            raise ValueError
        yield

    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        list(fail())
    assert figure(metrics, "stage_seconds_count", stage="books") == 1


@pytest.mark.parametrize("name", ["", "GPU", "gpu memory", "é", "1st", "a" * 62])
def test_a_figure_needs_a_name_that_a_scraper_takes(metrics: PrometheusMetrics, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a figure"):
        metrics.gauges({name: 1.0})


def test_health_is_among_the_figures(metrics: PrometheusMetrics) -> None:
    now = 100.0
    health = Health(within=10, clock=lambda: now)
    metrics.watch(health)
    health.ready()
    assert figure(metrics, "healthy") == 1
    now += 11
    assert figure(metrics, "healthy") == 0
    assert figure(metrics, "turn_age_seconds") == 11
