"""The watch tells each group's lag as figures: a worker that is dead tells nothing any more."""

from datetime import UTC, datetime, timedelta

from core.broker.protocol import Partition
from core.messages import FRAMES
from core.prometheus import PrometheusMetrics
from tests.core.test_prometheus import figure
from tests.workers.test_watch import Rig, rig
from workers.looking import INSPECTION

__all__ = ["rig"]


def test_what_a_dead_worker_has_left_is_told_until_somebody_takes_it(rig: Rig) -> None:
    told = rig.metrics = PrometheusMetrics(role="watch")  # type: ignore[assignment]
    rig.anew()
    rig.send(FRAMES, b"1", b"2", b"3")
    rig.now = datetime.now(UTC) + timedelta(seconds=40)
    rig.watch.step()
    place = {"topic": FRAMES, "partition": "0"}
    assert figure(told, "lag_records", **place) == 3
    seconds = figure(told, "lag_seconds", **place)
    assert seconds is not None
    assert 40 <= seconds < 100
    with rig.broker.consumer(FRAMES, group=INSPECTION) as consumer:
        consumer.poll(5.0)
        consumer.commit({Partition(FRAMES, 0): 3})
    rig.watch.step()
    assert figure(told, "lag_records", **place) == 0
    assert figure(told, "lag_seconds", **place) == 0


def test_of_a_broker_that_is_away_no_old_figure_is_told(rig: Rig) -> None:
    told = rig.metrics = PrometheusMetrics(role="watch")  # type: ignore[assignment]
    rig.anew()
    rig.watch.step()
    assert figure(told, "lag_records", topic=FRAMES, partition="0") == 0
    rig.broker_away = "Kafka does not answer"
    rig.anew()
    rig.watch.step()
    assert figure(told, "lag_records", topic=FRAMES, partition="0") is None
