"""The parts of one capture process, put together: seat, broker, spool, source, and the loop itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from cli import parts
from core.broker.protocol import Broker, Producer
from core.broker.spool import SpooledProducer, SpoolRules
from core.broker.spool_file import Spool
from core.errors import SettingsInvalid, StoreUnavailable
from core.line import Line
from core.messages import CAMERAS, FRAMES
from core.metrics import Metrics
from core.settings import Settings
from core.stop import Stop
from ingest.capture import Capture
from ingest.outlet import Outlet
from ingest.seat import CameraSeat
from ingest.sources import open_source
from workers.signs import Signs

LOCAL_BYTES = 64 << 20  # a picture that the local log takes while the picture store is away


def capture_camera(settings: Settings, line: Line, name: str, *, stop: Stop, signs: Signs | None = None) -> bool:
    """Take a camera's pictures until asked to stop or the source ends; whether it ended, and all of it is forwarded.

    Raises NotAllowed when another process takes this camera's pictures, SettingsInvalid when the broker lacks its
    topics.
    """
    camera, partition = line.find(name), line.partition_of(name)
    signs = signs or Signs()
    with ExitStack() as stack:
        seat = stack.enter_context(CameraSeat(seats(settings), name))
        broker = stack.enter_context(parts.broker(settings))
        check_topics(broker, name, partition)
        producer = stack.enter_context(camera_producer(settings, broker, line, name, metrics=signs.metrics))
        source = stack.enter_context(open_source(camera.source, notes=settings.data / "taken", owner=name))
        outlet = Outlet(
            partition=partition,
            max_pixels=settings.pictures.max_pixels,
            inline=min(settings.inline_bytes, most_inline(settings)),
            most_inline=most_inline(settings),
            blobs=parts.blobs(settings),
            session=seat.next_session(),
            owing=seat,
        )
        capture = Capture(camera, source, producer, outlet, stop=stop, metrics=signs.metrics)
        signs.ready()
        capture.run(partial(_tell, signs))
        return capture.ended and _settled(producer, stop, signs)


def _tell(signs: Signs, waits_for: str) -> None:
    if waits_for:
        signs.waits_for(waits_for)
    else:
        signs.turned(0)


def _settled(producer: Producer, stop: Stop, signs: Signs) -> bool:
    """Wait until nothing is left in the spool; False when asked to stop before."""
    while isinstance(producer, SpooledProducer) and not producer.settled(0.5):
        if stop.asked:
            return False
        signs.waits_for("the broker: the source has ended, and its last pictures are still in the spool")
    return True


@contextmanager
def camera_producer(
    settings: Settings, broker: Broker, line: Line, camera: str, *, metrics: Metrics | None = None
) -> Iterator[Producer]:
    """What a camera's pictures go into: the local log itself, or Kafka with the camera's spool in front of it."""
    if not settings.on_kafka:
        with broker.producer() as plain:
            yield plain
        return
    topics = {topic.name: topic.partitions for topic in parts.topics(settings, line)}
    rules = SpoolRules(send_seconds=settings.broker.send_seconds, divert=settings.broker.spool_full == "divert")
    spool = Spool(spool_path(settings, camera), most_bytes=settings.broker.spool_bytes)
    with SpooledProducer(broker.producer, spool, topics, rules=rules, metrics=metrics) as spooled:
        yield spooled


def seats(settings: Settings) -> Path:
    """Where the files lie by which a camera has one capture process."""
    return settings.data / "cameras"


def spool_path(settings: Settings, camera: str) -> Path:
    """A camera's spool."""
    return settings.spool_folder / f"{camera}.sqlite"


def most_inline(settings: Settings) -> int:
    """The largest picture that the log can take at all, with room for its envelope."""
    if not settings.on_kafka:
        return LOCAL_BYTES
    from core.broker.kafka_producer import MOST_RECORD_BYTES  # only where it is used

    return MOST_RECORD_BYTES - (64 << 10)


def check_topics(broker: Broker, camera: str, partition: int) -> None:
    """Raise SettingsInvalid when the broker says that it has no place for the camera's frames.

    A broker that is away is no reason not to start: the frames wait in the spool, and so they do for a topic that goes
    missing later.
    """
    for topic, number in ((FRAMES, partition), (CAMERAS, 0)):
        try:
            with suppress(StoreUnavailable):
                there = {lag.partition.number for lag in broker.lag(topic, group="inspection")}
                if number not in there:
                    raise ValueError(
                        f"topic {topic} has partitions 0 to {len(there) - 1}, camera {camera} belongs in {number}: the "
                        "line file does not fit the broker's topics, whose partitions never change"
                    )
        except ValueError as problem:
            raise SettingsInvalid(f"{problem}; `flawline topics apply` makes the topics of a line") from problem
