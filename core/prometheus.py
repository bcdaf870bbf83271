"""The hooks of core/metrics.py as figures that Prometheus reads (streaming.md §9); docs/operations.md explains each.

Labels are bounded: cameras are those of the line, verdicts and reasons those of core/verdicts.py, topics and stages our
own; whatever else a message may carry is counted as "other", so that a stranger's messages cannot fill the memory.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from core.broker.protocol import Partition
from core.health import Health
from core.messages import FrameInspected
from core.metrics import Metrics
from core.verdicts import InvalidReason, MachineVerdict, NoVerdictReason

OTHER = "other"
VERDICTS = frozenset(MachineVerdict)
REASONS = frozenset(["", *InvalidReason, *NoVerdictReason])
AGES = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 1800)  # s
STAGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)  # s
BATCHES = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256)
MOST_NAMES = 200  # kinds of alert, products, stages: more than any line has; beyond it "other"
_GAUGE = re.compile(r"[a-z][a-z0-9_]{0,60}")
_STORES = {  # words in what a wait says, and the store that it is about
    "kafka": "broker", "broker": "broker", "log": "broker", "database": "database", "postgres": "database",
    "blob": "blobs", "picture": "blobs", "s3": "blobs",
}  # fmt: skip


class PrometheusMetrics(Metrics):
    """Keeps the figures in a registry of its own. Safe to call from several threads."""

    def __init__(self, *, role: str, name: str = "", cameras: Iterable[str] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series by each counter, for nobody
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._cameras = frozenset(cameras)
        self._partitions: frozenset[Partition] = frozenset()
        self._versions: dict[str, str] = {}
        self._seen: dict[str, set[str]] = {}
        self._gauges: dict[str, Gauge] = {}
        info = Gauge("flawline_info", "Which process this is; always 1", ["version", "role", "name"], registry=registry)
        info.labels(version("flawline"), role, name).set(1)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"flawline_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"flawline_{name}", says, labels, registry=registry)

        def histogram(name: str, says: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(f"flawline_{name}", says, labels, buckets=tuple(buckets), registry=registry)

        self._captured = counter("captured_frames", "Pictures that are safe in the log or the spool", "camera")
        self._captured_bytes = counter("captured_bytes", "Bytes of these pictures", "camera")
        self._last_frame = gauge(
            "last_frame_timestamp_seconds", "When the camera's newest picture was taken, Unix time", "camera"
        )
        self._spool_bytes = gauge("spool_bytes", "Bytes that wait in the camera's spool", "camera")
        self._spool_age = gauge("spool_age_seconds", "Age of the oldest record in the camera's spool", "camera")
        self._frames = counter("frames", "Verdicts that entered the books", "camera", "verdict", "reason")
        self._age = histogram("frame_age_seconds", "From the picture to its verdict in the books", AGES, "camera")
        self._repeated = counter("repeated_frames", "Frames that came again; their verdicts were in the books already")
        self._batch = histogram("batch_messages", "Messages in one batch", BATCHES)
        self._stage = histogram("stage_seconds", "Time of one stage of a turn", STAGES, "stage")
        self._dead = counter("dead_letters", "Messages that will never work, by topic", "topic")
        self._waits = counter("waits", "Turns that were put off because a store was away", "store")
        self._lag_records = gauge("lag_records", "Records that this process has yet to read", "topic", "partition")
        self._lag_seconds = gauge("lag_seconds", "Age of the oldest record it has yet to read", "topic", "partition")
        self._alerts = counter("alerts", "Alerts raised", "kind")
        self._model = gauge(
            "model_info", "The version that judges a product in this process; always 1", "product", "version"
        )
        self._live_failures = counter("live_failures", "Times that the live cache did not answer")

    def cameras(self, names: Iterable[str]) -> None:
        """The line has these cameras from now on."""
        self._cameras = frozenset(names)

    def captured(self, camera: str, size: int) -> None:
        """Count the picture; its camera delivers."""
        label = self._camera(camera)
        self._captured.labels(label).inc()
        self._captured_bytes.labels(label).inc(size)
        self._last_frame.labels(label).set(time.time())

    def spooled(self, camera: str, size: int, seconds: float) -> None:
        """Show the spool."""
        label = self._camera(camera)
        self._spool_bytes.labels(label).set(size)
        self._spool_age.labels(label).set(seconds)

    def inspected(self, verdict: FrameInspected) -> None:
        """Count the verdict and its age; a clock that stands behind the camera's gives the age 0."""
        camera = self._camera(verdict.camera)
        said = verdict.verdict if verdict.verdict in VERDICTS else OTHER
        reason = verdict.reason if verdict.reason in REASONS else OTHER
        self._frames.labels(camera, said, reason).inc()
        self._age.labels(camera).observe(max(0.0, (verdict.inspected_at - verdict.captured_at) / 1e9))
        self._last_frame.labels(camera).set(verdict.captured_at / 1e9)

    def repeated(self, count: int) -> None:
        """Count them."""
        self._repeated.inc(count)

    def batch(self, size: int) -> None:
        """Count the batch and its messages."""
        self._batch.observe(size)

    def dead(self, topic: str) -> None:
        """Count the message."""
        self._dead.labels(self._bounded("topic", topic)).inc()

    def waited(self, why: str) -> None:
        """Count the wait by the store that its words name first."""
        found = re.search("|".join(_STORES), why.lower())
        self._waits.labels(_STORES[found[0]] if found else OTHER).inc()

    def owns(self, partitions: Collection[Partition]) -> None:
        """Drop the lag in partitions that another process has now."""
        for lost in self._partitions - frozenset(partitions):
            self._lag_records.remove(lost.topic, str(lost.number))
            self._lag_seconds.remove(lost.topic, str(lost.number))
        self._partitions &= frozenset(partitions)

    def lag(self, partition: Partition, records: int, seconds: float) -> None:
        """Show the lag."""
        self._partitions |= {partition}
        self._lag_records.labels(partition.topic, str(partition.number)).set(records)
        self._lag_seconds.labels(partition.topic, str(partition.number)).set(seconds)

    def raised(self, kind: str) -> None:
        """Count the alert."""
        self._alerts.labels(self._bounded("kind", kind)).inc()

    def model(self, product: str, version: str) -> None:
        """Show the version in place of the product's former one."""
        product = self._bounded("product", product)
        if product in self._versions:
            self._model.remove(product, self._versions[product])
        self._versions[product] = version
        self._model.labels(product, version).set(1)

    def live_failed(self, count: int = 1) -> None:
        """Count the failures."""
        self._live_failures.inc(count)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the stage, also one that ends in an error."""
        with self._stage.labels(self._bounded("stage", name)).time():
            yield

    def gauges(self, values: Mapping[str, float]) -> None:
        """Show each as flawline_NAME. Raises ValueError for a name that Prometheus would not take."""
        for name, value in values.items():
            if name not in self._gauges:
                if not _GAUGE.fullmatch(name) or len(self._gauges) >= MOST_NAMES:
                    raise ValueError(f"{name!r} is no name for a figure: lower case, digits and _, at most 61")
                self._gauges[name] = Gauge(f"flawline_{name}", "A figure of the role", registry=self._registry)
            self._gauges[name].set(value)

    def watch(self, health: Health) -> None:
        """Show whether the process does its work, and the age of its loop's last turn."""
        ok = Gauge("flawline_healthy", "1 while the process does its work, as /healthz says", registry=self._registry)
        ok.set_function(lambda: float(health.state().ok))
        age = Gauge("flawline_turn_age_seconds", "Since the loop's last turn", registry=self._registry)
        age.set_function(lambda: health.state().turn_age_seconds)

    def exposition(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._registry)

    def _camera(self, name: str) -> str:
        return name if name in self._cameras else OTHER

    def _bounded(self, label: str, value: str) -> str:
        """The value itself while the label has few of them: these come from code and settings, not from messages."""
        seen = self._seen.setdefault(label, set())
        if value not in seen and len(seen) >= MOST_NAMES:
            return OTHER
        seen.add(value)
        return value
