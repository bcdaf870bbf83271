"""Where kafka-python 3.0.12 has to be helped along: each function says what would happen without it.

These reach into the client, which is therefore pinned below 3.1; the tests of the brokers hold each of them.
"""

from functools import partial
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

# ruff: noqa: SLF001 - the reason for this file


HANG_UPS = 3  # before that is taken for a refused password
REFUSALS = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)


class Network(KafkaNetClient):  # type: ignore[misc]
    """A client's network that ends at the first refused password, and keeps the reason.

    While a client is being made, kafka-python tries a wrong password again and again, and then says that it found no
    broker.
    """

    def __init__(self, **options: Any) -> None:
        net = NetworkSelector(**options)
        self.refusal: Exception | None = None
        super().__init__(net=net, manager=_Connections(net, self._refused, **options))

    def _refused(self, reason: Exception) -> None:
        if self.refusal is None:
            self.refusal = reason
            self._manager.close()


class _Connections(KafkaConnectionManager):  # type: ignore[misc]
    """Tells of a password that is refused at the first connection."""

    def __init__(self, net: Any, refused: Any, **options: Any) -> None:
        super().__init__(net, **options)
        self._refused = refused
        self._has_password = str(options.get("security_protocol")).startswith("SASL")
        self._hang_ups = 0

    def get_connection(self, node_id: Any, **options: Any) -> Any:
        is_new = node_id not in self._conns
        connection = super().get_connection(node_id, **options)
        if is_new and self.cluster.is_bootstrap(node_id) and not self.bootstrapped:
            connection.init_future.add_errback(partial(self._look_at, connection))
        return connection

    def _look_at(self, connection: Any, problem: Exception) -> None:
        """A broker says no and hangs up; where both arrive at once, kafka-python sees only that it hung up."""
        if isinstance(problem, REFUSALS):
            self._refused(problem)
        elif self._has_password and connection.broker_version_data is not None:  # they had begun to talk
            self._hang_ups += 1
            if self._hang_ups >= HANG_UPS:
                self._refused(errors.SaslAuthenticationFailedError("it hangs up when we give our name and password"))


def stop_sending(producer: Any) -> None:
    """No batch leaves from here on; `close` alone waits first, and gives up with records still on their way."""
    producer._sender.force_close()


def is_joining(consumer: Any) -> bool:
    """Whether the next poll (re)joins the group."""
    return bool(consumer._coordinator.need_rejoin())


def join(consumer: Any, seconds: float) -> None:
    """Stay until the group is shared out, for so many seconds at most.

    A join that is answered between two polls is forgotten and begun anew: members that look in for a moment only
    would share out the group for ever. And a leader that does not know the partitions yet shares out none, and need not
    look again. Raises kafka-python's errors, so also where the partitions stay unknown.
    """
    if not is_joining(consumer):
        return
    known = consumer._cluster
    if any(known.partitions_for_topic(topic) is None for topic in consumer.subscription() or ()):
        consumer._net.run(consumer._manager.wait_for, known.request_update(), seconds * 1000)
    consumer._coordinator.poll(timeout_ms=seconds * 1000)


def clear_slot(consumer: Any) -> None:
    """Let the consumer take up what it parked while a partition was paused.

    It looks for that only while its slot for the records at hand is None, and leaves a used-up batch there: a
    partition that was paused with a batch half read might never be fetched again.
    """
    if not consumer._fetcher._next_partition_records:
        consumer._fetcher._next_partition_records = None


def drop_slot(consumer: Any) -> None:
    """Fetch anew what could not be read: the next poll would never return from a batch that has once failed."""
    consumer._fetcher._next_partition_records = None


def take_trouble(consumer: Any) -> Exception | None:
    """What the next poll would raise, behind the good records that the last one returned.

    It would be forgotten if its partition was paused in between, and the batch then never be left (see `drop_slot`).
    """
    fetcher = consumer._fetcher
    told, fetcher._next_in_line_exception_metadata = fetcher._next_in_line_exception_metadata, None
    if told is None:
        return None
    drop_slot(consumer)
    trouble: Exception = told.exception
    return trouble
