"""The broker that the settings name."""

from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.protocol import Broker
from core.settings import Settings


def open_broker(settings: Settings) -> Broker:
    """The broker at `broker.url`: `memory:` for this process, `local:` for this machine, `kafka:` for a plant.

    Raises SettingsInvalid for a URL of another kind, StoreUnavailable when the log cannot be opened.
    """
    lease_seconds = settings.broker.lease_seconds
    if settings.broker.url == "memory:":
        return MemoryBroker(lease_seconds=lease_seconds)
    if settings.on_kafka:
        from core.broker.kafka import KafkaBroker  # only where it is used: an embedded line needs no Kafka client

        return KafkaBroker(settings.broker)
    return LocalBroker(settings.broker_path, lease_seconds=lease_seconds)
