"""The log of a plant: Apache Kafka through kafka-python, behind the same protocol as the log of one machine."""

from collections.abc import Iterable
from contextlib import suppress

from core.broker.kafka_admin import KafkaAdmin
from core.broker.kafka_client import addresses, require_fast_crc
from core.broker.kafka_consumer import KafkaGroupConsumer
from core.broker.kafka_producer import KafkaLogProducer
from core.broker.protocol import Change, Lag, Topic
from core.closing import Closing
from core.errors import StoreUnavailable
from core.settings import BrokerSettings


class KafkaBroker(Closing):
    """Keeps the broker protocol on the cluster at `settings.url`; topics and groups carry `settings.prefix` there.

    Connects when it is first asked something, in the process that asks. Raises SettingsInvalid for a URL that is none,
    and without the checksum in C.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        require_fast_crc()
        addresses(settings.url)
        self._settings = settings
        self._admin = KafkaAdmin(settings)

    def apply(self, topics: Iterable[Topic], *, dry_run: bool = False) -> list[Change]:
        """Make the topics exist with these retentions; `dry_run` only says what would change.

        Raises ValueError when partitions of an old one would change, StoreUnavailable, SettingsInvalid.
        """
        return self._admin.apply(topics, dry_run=dry_run)

    def producer(self) -> KafkaLogProducer:
        """A producer; close it (or leave its `with`) to flush."""
        return KafkaLogProducer(self._settings, self._admin)

    def consumer(self, topic: str, *, group: str, member: str = "") -> KafkaGroupConsumer:
        """A new member of `group`. Raises ValueError for a topic that the broker does not have.

        While no broker answers, that is found out by the first `poll`.
        """
        with suppress(StoreUnavailable):
            self._admin.partitions(topic)
        return KafkaGroupConsumer(self._settings, self._admin, topic, group=group, member=member)

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        """By partition, from the broker's own books. Raises StoreUnavailable."""
        return self._admin.lag(topic, group=group)

    def groups(self, topic: str) -> list[str]:
        """The groups that have committed something of a topic."""
        return self._admin.groups(topic)

    def retain(self) -> int:
        """0: Kafka itself drops what the topics' retention no longer keeps."""
        return 0

    def drop(self) -> None:
        """Remove all topics below our prefix, with their records: the end of a trial. Raises StoreUnavailable."""
        self._admin.drop()

    def close(self) -> None:
        """Let go of the broker itself; its producers and consumers are closed by their owners."""
        self._admin.close()
