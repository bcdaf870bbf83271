"""The client of one member of a Kafka group: made when needed, joined, watched, and ended when its name is taken."""

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from core.broker import kafka_quirks as quirks
from core.broker.kafka_admin import HOW_TO_MAKE, KafkaAdmin
from core.broker.kafka_client import check_reachable, meaning, open_client
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings

logger = logging.getLogger(__name__)

CALL_SECONDS = 5.0  # longest wait for one answer of the broker
JOIN_SECONDS = 3.0  # longest stay in a poll while the group is being shared out
PROBE_SECONDS = 3.0  # while nothing comes: is that peace, or is the broker away?
LEAST_SESSION_MS = 6_000  # what a broker takes unless it is told otherwise
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


class NameTaken(Exception):
    """Another process goes by this member's name, or the session had to be made longer: the client has ended."""


class _Departures(ConsumerRebalanceListener):  # type: ignore[misc]
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


class KafkaMember:
    """One member of a group on one topic, by their names on Kafka. Owned by one thread.

    All of it raises StoreUnavailable while no broker answers, and SettingsInvalid when it refuses us.
    """

    def __init__(self, settings: BrokerSettings, admin: KafkaAdmin, topic: str, *, group: str, name: str) -> None:
        self._settings, self._admin = settings, admin
        self.topic, self.group, self._name = topic, group, name
        self._session_ms = max(1000, int(settings.lease_seconds * 1000))
        self._client: Any = None
        self._departures = _Departures()
        self._skipped: dict[TopicPartition, int] = {}
        self._is_fenced = False
        self._look_at = 0.0  # monotonic; when a quiet broker or a taken name is looked at again

    @property
    def is_open(self) -> bool:
        """Whether there is a client now."""
        return self._client is not None

    @property
    def client(self) -> Any:
        """The client; there must be one."""
        assert self._client is not None
        return self._client

    def open(self, seconds: float) -> bool:
        """Make the client where there is none; False, after `seconds`, while another process goes by our name."""
        if self._is_fenced:
            if time.monotonic() < self._look_at:
                time.sleep(min(seconds, self._look_at - time.monotonic()))
                return False
            self._look_at = time.monotonic() + self._session_ms / 2000
            if self._name in self._admin.members(self.group):
                return False
            self._is_fenced = False
        if self._client is None:
            self._client = self._make()
        return True

    def owned(self) -> set[TopicPartition]:
        """The partitions in hand."""
        return set(self._client.assignment()) if self._client is not None else set()

    def departed(self) -> set[TopicPartition]:
        """The partitions that have left us since this was last asked, also those that have come back since."""
        return self._departures.take()

    def skipped(self) -> dict[TopicPartition, int]:
        """Where reading goes on behind damaged records that were stepped over since this was last asked."""
        found, self._skipped = self._skipped, {}
        return found

    def poll(self, timeout: float, most: int) -> dict[TopicPartition, Any]:
        """One poll of the client; joins first, where it must. Raises NameTaken."""
        quirks.clear_slot(self.client)
        records: dict[TopicPartition, Any] = {}
        try:
            with self._fenced():
                quirks.join(self.client, JOIN_SECONDS)
                records = dict(self.client.poll(timeout_ms=timeout * 1000, max_records=most))
        except errors.InvalidSessionTimeoutError as problem:
            self._lengthen_session(problem)
        except errors.KafkaError as problem:
            quirks.drop_slot(self.client)
            self._step_over(problem)
        if trouble := quirks.take_trouble(self.client):
            with suppress(StoreUnavailable):  # unless the record is damaged, the next poll meets it and says so
                self._step_over(trouble)
        if records:
            self._look_at = time.monotonic() + PROBE_SECONDS
        return records

    def commit(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Commit for the group; False when it is being shared out anew. Raises NameTaken."""
        offsets = {part: OffsetAndMetadata(end, "", -1) for part, end in ends.items()}
        try:
            with self._fenced():
                self.client.commit(offsets, timeout_ms=CALL_SECONDS * 1000)
        except OUT_OF_GROUP as problem:
            logger.debug("group %s: %s", self.group, problem)
            return False
        except errors.KafkaError as problem:
            raise meaning(problem, f"group {self.group} cannot commit") from problem
        return True

    def committed(self, part: TopicPartition) -> int | None:
        """The group's offset; None where it has none."""
        try:
            found = self.client.committed(part, timeout_ms=CALL_SECONDS * 1000)
        except errors.KafkaError as problem:
            raise meaning(problem, f"the offsets of group {self.group} cannot be asked for") from problem
        return None if found is None else int(found)

    def ends(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The log's ends."""
        try:
            return dict(self.client.end_offsets(list(parts), timeout_ms=CALL_SECONDS * 1000))
        except errors.KafkaError as problem:
            raise meaning(problem, f"the ends of {self.topic} cannot be asked for") from problem

    def probe(self, committed: Mapping[TopicPartition, int]) -> None:
        """After some seconds in which nothing came: is a broker there, and are we still who we think we are?

        kafka-python polls an absent broker without a word. committed: what the group has committed, as far as we know.
        Raises NameTaken.
        """
        if time.monotonic() < self._look_at:
            return
        check_reachable(self._settings)
        owned = self.owned()
        ours = [(part, offset) for part, offset in committed.items() if part in owned]
        try:
            if ours:
                self.commit(dict(ours[:1]))  # once more: an answer to this name and generation
            elif owned:
                self.ends(owned)
        except StoreUnavailable as problem:
            if isinstance(problem.__cause__, errors.KafkaTimeoutError):
                self._check_topic()
            raise
        self._look_at = time.monotonic() + PROBE_SECONDS

    def seek(self, part: TopicPartition, offset: int | None) -> None:
        """Read a partition from here on, None for its start; unless it has left us this very moment."""
        with suppress(errors.IllegalStateError, AssertionError, KeyError):
            if offset is None:
                self.client.seek_to_beginning(part)
            else:
                self.client.seek(part, offset)

    def close(self) -> None:
        """Leave the group, unless by a name: that is waited for."""
        client, self._client = self._client, None
        if client is not None:
            client.close(autocommit=False, timeout_ms=1000)

    def _make(self) -> Any:
        self._check_topic()
        client = open_client(
            KafkaConsumer,
            self._settings,
            group_id=self._settings.prefix + self.group,
            group_instance_id=self._name or None,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(3_000, self._session_ms // 4),
            **CONSUMER,
        )
        client.subscribe([self._settings.prefix + self.topic], listener=self._departures)
        return client

    def _check_topic(self) -> None:
        if self._admin.missing([self.topic]):
            raise StoreUnavailable(f"topic {self.topic} is not on the broker: {HOW_TO_MAKE}")

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        """Another process that goes by our name ends this client; we look from time to time whether it is gone."""
        try:
            yield
        except errors.FencedInstanceIdError as problem:
            logger.error(
                "group %s: another process goes by the member name %r now; this one reads nothing until it is gone",
                self.group,
                self._name,
            )
            self._is_fenced = True
            self._look_at = time.monotonic() + self._session_ms / 2000
            self.close()
            raise NameTaken(self._name) from problem

    def _lengthen_session(self, problem: Exception) -> None:
        """The broker takes no session as short as our lease: begin anew with the shortest that it takes by default."""
        if self._session_ms >= LEAST_SESSION_MS:
            raise SettingsInvalid(
                f"Kafka takes no session of {self._session_ms} ms: change FLAWLINE_BROKER__LEASE_SECONDS, or"
                " group.min.session.timeout.ms and group.max.session.timeout.ms of the broker"
            ) from problem
        logger.warning("Kafka takes no session of %d ms: using %d ms", self._session_ms, LEAST_SESSION_MS)
        self._session_ms = LEAST_SESSION_MS
        self.close()
        self._client = self._make()

    def _step_over(self, problem: Exception) -> None:
        """Go on behind a record whose checksum is wrong: it is lost, and the log says so. Raises for all else."""
        said = CORRUPT.search(str(problem)) if isinstance(problem, errors.CorruptRecordError) else None
        if said is None:
            raise meaning(problem, f"group {self.group} cannot read {self.topic}") from problem
        part = TopicPartition(said["topic"], int(said["number"]))
        if part not in self.owned():
            return
        position = int(said["offset"])  # of its batch; behind records of the batch that were stepped over before
        with suppress(errors.KafkaError):
            position = max(position, self.client.position(part, timeout_ms=CALL_SECONDS * 1000) or 0)
        logger.error("%s-%d is damaged at offset %d: this record is lost", self.topic, part.partition, position)
        self.seek(part, position + 1)
        self._skipped[part] = position + 1
