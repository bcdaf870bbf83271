"""What a worker says of itself, and how it notices that it stands still."""

import logging
from dataclasses import dataclass, field

import pytest

from core.broker.memory import MemoryBroker
from core.broker.protocol import Lag, Partition, Topic
from core.errors import FlawlineError, StoreUnavailable
from core.health import Health
from core.live import Beat, NoLive
from core.messages import DEAD_LETTERS, FRAMES
from core.metrics import Metrics
from core.prometheus import PrometheusMetrics
from core.stop import Stop
from workers.behind import LOOK_EVERY, STALLED_AFTER, Behind
from workers.runtime import Pace, Watch, Worker
from workers.signs import Signs
from workers.steps import Dead, Done, Wait

ZERO, ONE = Partition(FRAMES, 0), Partition(FRAMES, 1)
QUICK = Pace(poll=0.0, batch=8, sleep=lambda _: None)


@dataclass
class Hall(NoLive):
    """A live cache that remembers the beats."""

    heard: list[Beat] = field(default_factory=list)

    def beat(self, beat: Beat) -> None:
        self.heard.append(beat)


@dataclass
class Books:
    """A broker's own books on a group, as a test sets them. Everything else a broker does is not asked here."""

    lags: list[Lag] = field(default_factory=list)
    away: bool = False

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        assert (topic, group) == (FRAMES, "inspection")
        if self.away:
            raise StoreUnavailable("Kafka does not answer")
        return self.lags


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def behind(books: Books, clock: Clock, metrics: Metrics | None = None) -> Behind:
    return Behind(books, FRAMES, "inspection", metrics or Metrics(), clock=clock)  # type: ignore[arg-type]


def figure(metrics: PrometheusMetrics, start: str) -> float | None:
    """The value of the first figure whose line begins so."""
    lines = metrics.exposition().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(start)), None)


def run(outcome: Done | Dead | Wait, signs: Signs) -> None:
    """One turn of a worker with one message."""
    with MemoryBroker() as broker:
        broker.apply([Topic(FRAMES, 1), Topic(DEAD_LETTERS[FRAMES], 1)])
        with broker.producer() as producer:
            producer.send(FRAMES, b"x", partition=0)

        class Step:
            def __call__(self, messages: object) -> list[Done | Dead | Wait]:
                return [outcome]

            def give_up(self, message: object, detail: str) -> Dead:
                return Dead(detail)

        consumer = broker.consumer(FRAMES, group="inspection", member="one")
        Worker(consumer, broker.producer(), Step(), stop=Stop(), watch=Watch(signs=signs), pace=QUICK).step()


def test_a_turn_that_is_done_is_healthy_counted_and_timed() -> None:
    metrics, health = PrometheusMetrics(role="inspection"), Health()
    signs = Signs("inspection", "one", metrics=metrics, health=health)
    assert health.state().status == "starting"
    signs.ready()
    run(Done(), signs)
    assert health.state().ok
    assert figure(metrics, "flawline_batch_messages_count") == 1
    for stage in ("poll", "commit"):
        assert figure(metrics, f'flawline_stage_seconds_count{{stage="{stage}"}}') == 1


def test_a_turn_that_waits_says_for_what_and_counts_the_wait() -> None:
    metrics, health = PrometheusMetrics(role="inspection"), Health()
    signs = Signs("inspection", "one", metrics=metrics, health=health)
    signs.ready()
    run(Wait("the database does not answer"), signs)
    state = health.state()
    assert (state.status, state.why) == ("waiting", "the database does not answer")
    assert figure(metrics, 'flawline_waits_total{store="database"}') == 1


def test_a_dead_letter_is_counted_by_its_topic() -> None:
    metrics = PrometheusMetrics(role="inspection")
    run(Dead("no picture"), Signs("inspection", "one", metrics=metrics))
    assert figure(metrics, f'flawline_dead_letters_total{{topic="{FRAMES}"}}') == 1


def test_it_beats_now_and_then_and_not_with_every_turn() -> None:
    hall = Hall()
    signs = Signs("inspection", "left", live=hall, clock=lambda: 5)
    signs.ready()
    for _ in range(100):
        signs.turned(0)
    assert hall.heard == [Beat("inspection", "left", 5, 5)]


def test_the_lag_is_told_of_the_own_partitions_only() -> None:
    metrics, clock = PrometheusMetrics(role="inspection"), Clock()
    watch = behind(Books([Lag(ZERO, 3, 10, since=1), Lag(ONE, 5, 9, since=1)]), clock, metrics)
    clock.now = LOOK_EVERY
    watch.look({ZERO})
    assert figure(metrics, 'flawline_lag_records{partition="0"') == 7
    assert (figure(metrics, 'flawline_lag_seconds{partition="0"') or 0) > 1e9
    assert figure(metrics, 'flawline_lag_records{partition="1"') is None


def test_the_lag_in_a_partition_that_went_to_another_is_no_longer_told() -> None:
    metrics, clock = PrometheusMetrics(role="inspection"), Clock()
    watch = behind(Books([Lag(ZERO, 3, 10), Lag(ONE, 5, 9)]), clock, metrics)
    clock.now = LOOK_EVERY
    watch.look({ZERO, ONE})
    clock.now = 2 * LOOK_EVERY
    watch.look({ONE})
    assert figure(metrics, 'flawline_lag_records{partition="0"') is None
    assert figure(metrics, 'flawline_lag_records{partition="1"') == 4


def test_the_broker_is_asked_every_few_seconds_only() -> None:
    books, clock = Books(away=True), Clock()
    watch = behind(books, clock)
    books.away = False
    books.lags = [Lag(ZERO, 0, 1)]
    for step in range(1000):
        clock.now = step * (LOOK_EVERY / 1000)
        watch.look({ZERO})  # always before it is time: never asked


def test_a_partition_that_stands_still_ends_the_process_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    books, clock = Books([Lag(ZERO, 3, 10)]), Clock()
    watch = behind(books, clock)
    while clock.now < STALLED_AFTER:
        clock.now += LOOK_EVERY
        watch.look({ZERO})
    clock.now += LOOK_EVERY
    with caplog.at_level(logging.CRITICAL), pytest.raises(FlawlineError, match="frames/0: 7 records wait"):
        watch.look({ZERO})
    assert "standing still" in caplog.text


def test_progress_a_quiet_line_and_anothers_partition_are_no_standstill() -> None:
    books, clock = Books(), Clock()
    watch = behind(books, clock)
    for step in range(100):
        clock.now += LOOK_EVERY
        books.lags = [Lag(ZERO, step, step + 50), Lag(ONE, 5, 9), Lag(Partition(FRAMES, 2), 7, 7)]
        watch.look({ZERO, Partition(FRAMES, 2)})


def test_who_waits_for_a_store_stands_still_on_purpose() -> None:
    books, clock = Books([Lag(ZERO, 3, 10)]), Clock()
    watch = behind(books, clock)
    for _ in range(100):
        clock.now += LOOK_EVERY
        watch.look({ZERO})
        watch.waits()


def test_a_broker_that_is_away_tells_no_lag_and_ends_nothing() -> None:
    books, clock = Books([Lag(ZERO, 3, 10)]), Clock()
    watch = behind(books, clock)
    for step in range(100):
        clock.now += LOOK_EVERY
        books.away = step % 5 == 0
        watch.look({ZERO})
