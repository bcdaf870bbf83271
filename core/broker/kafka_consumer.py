"""Reads from Kafka as a member of a group: at least once, by turns, committing only what its owner names."""

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from kafka import TopicPartition, errors

from core.broker import kafka_quirks as quirks
from core.broker.kafka_admin import KafkaAdmin
from core.broker.kafka_member import KafkaMember, NameTaken
from core.broker.protocol import Message, Partition
from core.closing import Closing
from core.errors import StoreUnavailable
from core.settings import BrokerSettings

logger = logging.getLogger(__name__)

SHARE_SECONDS = 5.0  # longest that a commit waits for the group to be shared out
MILLISECOND = 10**6


class KafkaGroupConsumer(Closing):
    """A member of a consumer group on one topic. Owned by one thread.

    It joins with its first `poll` or `heartbeat`. A member whose name another living process has taken over reads
    nothing until that one is gone.
    """

    def __init__(
        self, settings: BrokerSettings, admin: KafkaAdmin, topic: str, *, group: str, member: str = ""
    ) -> None:
        self._topic, self._full_topic = topic, settings.prefix + topic
        self._member = KafkaMember(settings, admin, topic, group=group, name=member)
        self._positions: dict[TopicPartition, int] = {}  # next offset to hand out, where we have read since we own it
        self._committed: dict[TopicPartition, int | None] = {}  # the group's offset, where we have asked since then
        self._is_paused = False

    def poll(self, timeout: float, *, most: int = 32) -> list[Message]:
        """Up to `most` records, in offset order by partition; [] after `timeout` seconds without any.

        Partitions take turns. Takes some seconds more while the group is being shared out. Raises StoreUnavailable
        when no broker answers.
        """
        if not self._member.open(timeout):
            return []
        try:
            self._resume()
            found = self._take(timeout, most)
            if not found:
                done = {part: offset for part, offset in self._committed.items() if offset is not None}
                self._member.probe(done)
        except NameTaken:
            return []
        mine = self.assignment()
        return [message for message in found if message.partition in mine]

    def heartbeat(self) -> None:
        """Keep the membership alive while a step waits; what a newly won partition returns is read again later."""
        if self._member.open(0):
            with suppress(NameTaken):
                self._look_in(0)

    def commit(self, ends: Mapping[Partition, int]) -> None:
        """Make `ends` the group's position; a partition that has left us since it was read is left out.

        Raises ValueError for an end beyond the log: records to come would be skipped. Raises StoreUnavailable, also
        when it takes long to share the group out anew.
        """
        ends_at = time.monotonic() + SHARE_SECONDS
        with suppress(NameTaken):
            while self._member.is_open and (wanted := self._ours(ends)):
                if self._member.commit(wanted):
                    self._committed |= wanted
                    return
                if time.monotonic() > ends_at:
                    raise StoreUnavailable(f"group {self._member.group} is being shared out anew; nothing is committed")
                self._look_in(0.1)

    def rewind(self) -> None:
        """Read again from the committed offsets. Raises StoreUnavailable."""
        if not self._member.is_open:
            return
        self._forget(self._member.departed())
        targets = {part: self._committed_of(part) for part in list(self._positions)}
        for part, offset in targets.items():
            self._member.seek(part, offset)
            self._positions.pop(part, None)

    def assignment(self) -> set[Partition]:
        """The partitions that this member owns now."""
        return {self._short(part) for part in self._member.owned()}

    def close(self) -> None:
        """Leave the group; a named member's partitions wait for its return until its lease ends."""
        self._positions.clear()
        self._committed.clear()
        self._member.close()

    def _take(self, timeout: float, most: int) -> list[Message]:
        """Records of all partitions that have some, in equal shares; then what else there is."""
        share = max(1, most // max(1, len(self._member.owned())))
        # Twice: the first may use up a batch, and only then is what was parked behind it taken up.
        found = self._read(0, share) or self._read(timeout, share)
        with suppress(StoreUnavailable):  # what is in hand is handed out; the next poll says what is wrong
            turn = found
            while turn and len(found) < most and not quirks.is_joining(self._member.client):
                self._pause(self._long(message.partition) for message in turn)
                turn = self._read(0, min(share, most - len(found)))
                found += turn
            self._resume()
            if found and len(found) < most and not quirks.is_joining(self._member.client):
                found += self._read(0, most - len(found))
        return found

    def _read(self, timeout: float, most: int) -> list[Message]:
        records = self._member.poll(timeout, most)
        self._forget(self._member.departed())
        messages: list[Message] = []
        for part, read in records.items():
            self._mind_the_gap(part, read[0].offset)
            self._positions[part] = read[-1].offset + 1
            messages += [_message(self._short(part), record) for record in read]
        self._positions |= self._member.skipped()
        return messages

    def _look_in(self, timeout: float) -> None:
        """Take part in the group without taking records: pause, look, put back."""
        self._pause(self._member.owned())
        for part, read in self._member.poll(timeout, 1).items():
            self._member.seek(part, read[0].offset)
        self._forget(self._member.departed())
        self._pause(self._member.owned())

    def _pause(self, parts: Iterable[TopicPartition]) -> None:
        self._is_paused = True
        for part in set(parts):
            with suppress(errors.IllegalStateError, KeyError):  # unless it has left us this very moment
                self._member.client.pause(part)

    def _resume(self) -> None:
        if self._is_paused:
            client = self._member.client
            for part in client.paused():
                with suppress(errors.IllegalStateError, KeyError):
                    client.resume(part)
            self._is_paused = False

    def _ours(self, ends: Mapping[Partition, int]) -> dict[TopicPartition, int]:
        """What of `ends` moves the group forward in partitions that we have held since we read them."""
        self._forget(self._member.departed())
        mine = self._member.owned() & self._positions.keys()
        wanted = {self._long(part): end for part, end in ends.items() if part.topic == self._topic}
        wanted = {part: end for part, end in wanted.items() if part in mine}
        if far := [part for part, end in wanted.items() if end > self._positions[part]]:
            log_ends = self._member.ends(far)
            if beyond := {part.partition: wanted[part] for part in far if wanted[part] > log_ends[part]}:
                raise ValueError(f"{self._topic}: commit beyond the log's end, by partition: {beyond}")
        before = {part: self._committed_of(part) for part in wanted}
        return {part: end for part, end in wanted.items() if end > (before[part] or 0)}

    def _committed_of(self, part: TopicPartition) -> int | None:
        if part not in self._committed:
            self._committed[part] = self._member.committed(part)
        return self._committed[part]

    def _forget(self, gone: Iterable[TopicPartition]) -> None:
        """What was read of these is another member's now, or will be read again."""
        for part in gone:
            self._positions.pop(part, None)
            self._committed.pop(part, None)

    def _mind_the_gap(self, part: TopicPartition, first: int) -> None:
        """Say what retention dropped unread: Kafka goes on at the log's start without a word."""
        expected = self._positions.get(part)
        if expected is None:
            with suppress(StoreUnavailable):
                expected = self._committed_of(part)
        if expected is not None and first > expected:
            logger.warning(
                "group %s lost %d records of %s-%d (offsets %d to %d): retention dropped them unread; going on at %d",
                self._member.group,
                first - expected,
                self._topic,
                part.partition,
                expected,
                first - 1,
                first,
            )

    def _long(self, part: Partition) -> TopicPartition:
        return TopicPartition(self._full_topic, part.number)

    def _short(self, part: TopicPartition) -> Partition:
        return Partition(self._topic, part.partition)


def _message(part: Partition, record: Any) -> Message:
    headers = tuple((name, content or b"") for name, content in record.headers)
    key = (record.key or b"").decode(errors="replace")
    return Message(part, record.offset, key, record.value or b"", headers, record.timestamp * MILLISECOND)
