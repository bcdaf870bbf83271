"""A member of a Kafka consumer group: cooperative, at least once, committing only what its owner names."""

import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Self

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from core.broker import kafka_quirks as quirks
from core.broker.kafka_admin import HOW_TO_MAKE, KafkaAdmin
from core.broker.kafka_client import check_reachable, meaning, open_client
from core.broker.protocol import Message, Partition
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings

logger = logging.getLogger(__name__)

CALL_SECONDS = 5.0  # longest wait for one answer of the broker
JOIN_SECONDS = 3.0  # longest stay in a poll while the group is being shared out
PROBE_SECONDS = 3.0  # while nothing comes: is that peace, or is the broker away?
LEAST_SESSION_MS = 6_000  # what a broker takes unless it is told otherwise
MILLISECOND = 10**6
CORRUPT = re.compile(r"topic='(?P<topic>[^']+)', partition=(?P<number>\d+)\) at offset (?P<offset>\d+)")
OUT_OF_GROUP = (
    errors.CommitFailedError,
    errors.RebalanceInProgressError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
)
CONSUMER = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",  # a group that comes late, or too late, skips nothing that is still there
    "partition_assignment_strategy": [CooperativeStickyAssignor],  # the class: an instance keeps state between two
    "fetch_max_bytes": 16 << 20,
    "max_partition_fetch_bytes": 8 << 20,
    "fetch_max_wait_ms": 100,
    "max_poll_interval_ms": 300_000,
    "isolation_level": "read_uncommitted",
    "check_crcs": True,
    "allow_auto_create_topics": False,
}


class _Watch(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes which partitions left us; called on the client's own thread, where nothing may block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone: set[TopicPartition] = set()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._gone |= set(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What is new in hand has no position yet."""

    def take(self) -> set[TopicPartition]:
        with self._lock:
            gone, self._gone = self._gone, set()
            return gone


class KafkaGroupConsumer(AbstractContextManager["KafkaGroupConsumer"]):
    """A member of a consumer group on one topic. Owned by one thread.

    It joins with its first `poll` or `heartbeat`. A member whose name another living process has taken over reads
    nothing until that one is gone.
    """

    def __init__(
        self, settings: BrokerSettings, admin: KafkaAdmin, topic: str, *, group: str, member: str = ""
    ) -> None:
        self._settings, self._admin = settings, admin
        self._topic, self._group, self._member = topic, group, member
        self._session_ms = max(1000, int(settings.lease_seconds * 1000))
        self._client: Any = None
        self._watch = _Watch()
        self._positions: dict[TopicPartition, int] = {}  # next offset to hand out, where we have read since we own it
        self._committed: dict[TopicPartition, int | None] = {}  # the group's offset, where we have asked since then
        self._is_paused = False
        self._is_fenced = False
        self._look_at = 0.0  # monotonic; when a quiet broker or a taken name is looked at again

    def poll(self, timeout: float, *, most: int = 32) -> list[Message]:
        """Up to `most` records, in offset order by partition; [] after `timeout` seconds without any.

        Partitions take turns. Raises StoreUnavailable when no broker answers.
        """
        client = self._open(timeout)
        if client is None:
            return []
        if self._is_paused:
            client.resume(*client.paused())
            self._is_paused = False
        found = self._take(client, timeout, most)
        if found:
            self._look_at = time.monotonic() + PROBE_SECONDS
        elif time.monotonic() >= self._look_at:
            self._probe(client)
        mine = self.assignment()
        return [message for message in found if message.partition in mine]

    def heartbeat(self) -> None:
        """Keep the membership alive while a step waits; what a newly won partition returns is read again later."""
        client = self._open(0)
        if client is not None:
            self._turn(client, 0)

    def commit(self, ends: Mapping[Partition, int]) -> None:
        """Make `ends` the group's position; a partition that has left us since it was read is left out.

        Raises ValueError for an end beyond the log: records to come would be skipped. Raises StoreUnavailable, also
        while the group is being shared out anew.
        """
        ends_at = time.monotonic() + CALL_SECONDS
        while (client := self._client) is not None and (wanted := self._ours(client, ends)):
            offsets = {part: OffsetAndMetadata(end, "", -1) for part, end in wanted.items()}
            try:
                client.commit(offsets, timeout_ms=CALL_SECONDS * 1000)
            except errors.FencedInstanceIdError:
                self._give_way()
                return
            except OUT_OF_GROUP as problem:
                if time.monotonic() > ends_at:
                    raise meaning(problem, f"group {self._group} is being shared out anew") from problem
                self._turn(client, 0.1)
            except errors.KafkaError as problem:
                raise meaning(problem, f"group {self._group} cannot commit") from problem
            else:
                self._committed |= wanted
                return

    def rewind(self) -> None:
        """Read again from the committed offsets. Raises StoreUnavailable."""
        client = self._client
        if client is None:
            return
        self._forget(self._watch.take())
        targets = {part: self._committed_of(client, part) for part in list(self._positions)}
        for part, offset in targets.items():
            try:
                if offset is None:
                    client.seek_to_beginning(part)
                else:
                    client.seek(part, offset)
            except (errors.IllegalStateError, AssertionError):  # it has left us this very moment
                logger.debug("%s left before it could be rewound", part)
            self._positions.pop(part, None)

    def assignment(self) -> set[Partition]:
        """The partitions that this member owns now."""
        if self._client is None:
            return set()
        return {self._short(part) for part in self._client.assignment()}

    def close(self) -> None:
        """Leave the group; a named member's partitions wait for its return until its lease ends."""
        client, self._client = self._client, None
        self._positions.clear()
        self._committed.clear()
        if client is not None:
            client.close(autocommit=False, timeout_ms=1000)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def _open(self, seconds: float) -> Any:
        """The client, made when it is first needed; None while another process goes by our name."""
        if self._is_fenced:
            if time.monotonic() < self._look_at:
                time.sleep(min(seconds, self._look_at - time.monotonic()))
                return None
            self._look_at = time.monotonic() + self._session_ms / 2000
            if self._member in self._admin.members(self._group):
                return None
            self._is_fenced = False
        if self._client is None:
            if self._admin.missing([self._topic]):
                raise StoreUnavailable(f"topic {self._topic} is not on the broker: {HOW_TO_MAKE}")
            client = open_client(
                KafkaConsumer,
                self._settings,
                group_id=self._settings.prefix + self._group,
                group_instance_id=self._member or None,
                session_timeout_ms=self._session_ms,
                heartbeat_interval_ms=min(3_000, self._session_ms // 4),
                **CONSUMER,
            )
            self._watch = _Watch()
            try:  # a leader that does not know the topic yet would share out nothing, and never look again
                client.partitions_for_topic(self._settings.prefix + self._topic)
            except errors.KafkaError as problem:
                client.close(autocommit=False, timeout_ms=1000)
                raise meaning(problem, f"the partitions of {self._topic} cannot be asked for") from problem
            client.subscribe([self._settings.prefix + self._topic], listener=self._watch)
            self._client = client
        return self._client

    def _take(self, client: Any, timeout: float, most: int) -> list[Message]:
        """Records of all partitions that have some, in equal shares; then what else there is."""
        share = max(1, most // max(1, len(client.assignment())))
        # Twice: the first may use up a batch, and only then is what was parked behind it taken up.
        found = self._read(client, 0, share) or self._read(client, timeout, share)
        turn = found
        while turn and len(found) < most and not quirks.is_joining(client):
            client.pause(*{self._long(message.partition) for message in turn})
            turn = self._read(client, 0, min(share, most - len(found)))
            found += turn
        client.resume(*client.paused())
        if found and len(found) < most and not quirks.is_joining(client):
            found += self._read(client, 0, most - len(found))
        return found

    def _read(self, client: Any, timeout: float, most: int) -> list[Message]:
        records = self._poll(client, timeout, most)
        messages: list[Message] = []
        for part, read in records.items():
            self._mind_the_gap(client, part, read[0].offset)
            # A damaged record behind these may have been stepped over already.
            self._positions[part] = max(read[-1].offset + 1, self._positions.get(part, 0))
            messages += [_message(self._short(part), record) for record in read]
        return messages

    def _turn(self, client: Any, timeout: float) -> None:
        """Take part in the group without taking records: pause, look, put back."""
        client.pause(*client.assignment())
        self._is_paused = True
        for part, read in self._poll(client, timeout, 1).items():
            client.seek(part, read[0].offset)
        client.pause(*client.assignment())

    def _poll(self, client: Any, timeout: float, most: int) -> dict[TopicPartition, Any]:
        """One poll of the client, its errors in our terms; records that are damaged are stepped over."""
        quirks.clear_slot(client)
        records: dict[TopicPartition, Any] = {}
        try:
            quirks.join(client, JOIN_SECONDS)
            records = dict(client.poll(timeout_ms=timeout * 1000, max_records=most))
        except errors.FencedInstanceIdError:
            self._give_way()
        except errors.InvalidSessionTimeoutError as problem:
            self._lengthen_session(problem)
        except errors.KafkaError as problem:
            quirks.drop_slot(client)
            self._step_over(client, problem)
        if trouble := quirks.take_trouble(client):
            with suppress(StoreUnavailable):  # unless the record is damaged, the next poll meets it and says so
                self._step_over(client, trouble)
        self._forget(self._watch.take())
        return records

    def _ours(self, client: Any, ends: Mapping[Partition, int]) -> dict[TopicPartition, int]:
        """What of `ends` moves the group forward in partitions that we have held since we read them."""
        self._forget(self._watch.take())
        mine = client.assignment() & self._positions.keys()
        wanted = {self._long(part): end for part, end in ends.items() if part.topic == self._topic}
        wanted = {part: end for part, end in wanted.items() if part in mine}
        if beyond := [part for part, end in wanted.items() if end > self._positions[part]]:
            self._check_end(client, {part: wanted[part] for part in beyond})
        before = {part: self._committed_of(client, part) for part in wanted}
        return {part: end for part, end in wanted.items() if end > (before[part] or 0)}

    def _check_end(self, client: Any, wanted: Mapping[TopicPartition, int]) -> None:
        try:
            ends = client.end_offsets(list(wanted), timeout_ms=CALL_SECONDS * 1000)
        except errors.KafkaError as problem:
            raise meaning(problem, f"the ends of {self._topic} cannot be asked for") from problem
        if beyond := {part.partition: end for part, end in wanted.items() if end > ends[part]}:
            raise ValueError(f"{self._topic}: commit beyond the log's end, by partition: {beyond}")

    def _committed_of(self, client: Any, part: TopicPartition) -> int | None:
        if part not in self._committed:
            try:
                self._committed[part] = client.committed(part, timeout_ms=CALL_SECONDS * 1000)
            except errors.KafkaError as problem:
                raise meaning(problem, f"the offsets of group {self._group} cannot be asked for") from problem
        return self._committed[part]

    def _forget(self, gone: Iterable[TopicPartition]) -> None:
        """What was read of these is another member's now, or will be read again."""
        for part in gone:
            self._positions.pop(part, None)
            self._committed.pop(part, None)

    def _mind_the_gap(self, client: Any, part: TopicPartition, first: int) -> None:
        """Say what retention dropped unread: Kafka goes on at the log's start without a word."""
        expected = self._positions.get(part)
        if expected is None:
            try:
                expected = self._committed_of(client, part)
            except StoreUnavailable:
                return
        if expected is not None and first > expected:
            logger.warning(
                "group %s lost %d records of %s-%d (offsets %d to %d): retention dropped them unread; going on at %d",
                self._group, first - expected, self._topic, part.partition, expected, first - 1, first,
            )  # fmt: skip

    def _step_over(self, client: Any, problem: Exception) -> None:
        """Go on behind a record whose checksum is wrong: it is lost, and the log says so. Raises for all else."""
        said = CORRUPT.search(str(problem)) if isinstance(problem, errors.CorruptRecordError) else None
        if said is None:
            raise meaning(problem, f"group {self._group} cannot read {self._topic}") from problem
        part = TopicPartition(said["topic"], int(said["number"]))
        if part not in client.assignment():
            return
        position = max(int(said["offset"]), client.position(part, timeout_ms=CALL_SECONDS * 1000) or 0)
        logger.error("%s-%d is damaged at offset %d: this record is lost", self._topic, part.partition, position)
        client.seek(part, position + 1)
        self._positions[part] = position + 1

    def _give_way(self) -> None:
        """Another process goes by our name: end this client, and look from time to time whether that one is gone."""
        logger.error(
            "group %s: another process goes by the member name %r now; this one reads nothing until it is gone",
            self._group, self._member,
        )  # fmt: skip
        self._is_fenced = True
        self._look_at = time.monotonic() + self._session_ms / 2000
        self.close()

    def _lengthen_session(self, problem: Exception) -> None:
        """The broker takes no session as short as our lease: use the shortest that brokers take by default."""
        if self._session_ms >= LEAST_SESSION_MS:
            raise SettingsInvalid(
                f"Kafka takes no session of {self._session_ms} ms: change FLAWLINE_BROKER__LEASE_SECONDS, or"
                " group.min.session.timeout.ms and group.max.session.timeout.ms of the broker"
            ) from problem
        logger.warning("Kafka takes no session of %d ms: using %d ms", self._session_ms, LEAST_SESSION_MS)
        self._session_ms = LEAST_SESSION_MS
        self.close()

    def _probe(self, client: Any) -> None:
        """Nothing came: make sure that a broker is there, and that we are still who we think we are.

        kafka-python polls an absent broker without a word. Raises StoreUnavailable.
        """
        check_reachable(self._settings)
        done = {part: offset for part, offset in self._committed.items() if offset is not None}
        done = {part: offset for part, offset in done.items() if part in client.assignment()}
        try:
            if done:  # once more what is committed: an answer of the coordinator, to this generation and name
                part, offset = next(iter(done.items()))
                client.commit({part: OffsetAndMetadata(offset, "", -1)}, timeout_ms=CALL_SECONDS * 1000)
            elif owned := client.assignment():
                client.end_offsets(list(owned), timeout_ms=CALL_SECONDS * 1000)
        except errors.FencedInstanceIdError:
            self._give_way()
        except OUT_OF_GROUP:
            logger.debug("group %s is being shared out anew", self._group)
        except errors.KafkaError as problem:
            if isinstance(problem, errors.KafkaTimeoutError) and self._admin.missing([self._topic]):
                raise StoreUnavailable(f"topic {self._topic} is not on the broker any more: {HOW_TO_MAKE}") from problem
            raise meaning(problem, f"Kafka at {self._settings.url} does not answer") from problem
        self._look_at = time.monotonic() + PROBE_SECONDS

    def _long(self, part: Partition) -> TopicPartition:
        return TopicPartition(self._settings.prefix + part.topic, part.number)

    def _short(self, part: TopicPartition) -> Partition:
        return Partition(self._topic, part.partition)


def _message(part: Partition, record: Any) -> Message:
    headers = tuple((name, content or b"") for name, content in record.headers)
    key = (record.key or b"").decode(errors="replace")
    return Message(part, record.offset, key, record.value or b"", headers, record.timestamp * MILLISECOND)
