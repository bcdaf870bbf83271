"""One consumer for the brokers that keep their own groups: the memory broker and the local log.

It knows positions, leases and gaps; where records and groups are kept is a `GroupLog`.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.broker.groups import Group, Identity
from core.broker.protocol import Message, Partition
from core.closing import Closing
from core.errors import StoreUnavailable

logger = logging.getLogger(__name__)

RENEWALS_IN_A_LEASE = 4
MOST_BYTES_IN_A_POLL = 64 << 20


class Edges(NamedTuple):
    """Where a partition starts and where its next record will stand."""

    first: int
    next: int


class GroupLog(Protocol):
    """One topic as one group sees it. All of it may raise StoreUnavailable."""

    topic: str
    group: str

    def version(self) -> int:
        """A number that differs once anybody has changed the log; cheap."""
        ...

    def wait(self, version: int, seconds: float) -> None:
        """Return when the version is no longer this one, after `seconds` at most."""
        ...

    def generation(self) -> int:
        """The group's generation; -1 for a group that nobody has joined."""
        ...

    def edges(self) -> dict[int, Edges]:
        """By partition number."""
        ...

    def read(self, number: int, start: int, most: int, most_bytes: int) -> list[Message]:
        """Records from `start` on; at least one where there is one."""
        ...

    def changing(self) -> AbstractContextManager[Group]:
        """The group, alone in hand; what changed is durable once the block ends."""
        ...

    def close(self) -> None:
        """Let go of what was opened for this consumer."""
        ...


@dataclass(slots=True)
class Held:
    """A partition in hand: the epoch it was given at, the group's position and this consumer's own."""

    epoch: int
    committed: int
    position: int


class GroupConsumer(Closing):
    """A member of a consumer group. Owned by one thread.

    It joins with its first `poll` or `heartbeat`. A consumer whose name another living process has taken over reads
    nothing until that one is gone.
    """

    def __init__(self, log: GroupLog, *, member: str, lease_seconds: float, clock: Callable[[], int]) -> None:
        self._log = log
        self._stays = bool(member)  # a named member keeps its partitions over a restart, as far as the lease goes
        lease = int(lease_seconds * 1e9)
        self._me = Identity(member or f"~{uuid.uuid4().hex}", uuid.uuid4().hex, lease)
        self._clock = clock
        self._held: dict[int, Held] = {}
        self._seen_at: int | None = None  # ns; None before joining
        self._look_at = 0  # ns; when the lease is to be renewed, or another's ends
        self._generation = -1
        self._is_fenced = False
        self._turns = 0

    def poll(self, timeout: float, *, most: int = 32) -> list[Message]:
        """Up to `most` records, in offset order by partition; [] after `timeout` seconds without any."""
        ends_at = time.monotonic() + timeout
        while True:
            version = self._log.version()
            self.heartbeat()
            if messages := self._read(most):
                return messages
            left = ends_at - time.monotonic()
            if left <= 0:
                return []
            self._log.wait(version, min(left, self._me.lease / RENEWALS_IN_A_LEASE / 1e9))

    def heartbeat(self) -> None:
        """Keep the membership alive; writes only when the lease is due or the group has changed."""
        now = self._clock()
        if not self._is_due(now) and self._log.generation() == self._generation:
            return
        with self._log.changing() as group:
            is_member = group.renew(self._me, now, busy=self._busy({}), joining=self._seen_at is None)
        self._adopt(group, now, is_member=is_member)

    def commit(self, ends: Mapping[Partition, int]) -> None:
        """Make `ends` the group's position; a partition that is no longer ours is left out.

        Raises ValueError for an end beyond the log: records to come would be skipped.
        """
        wanted = {part.number: end for part, end in ends.items() if part.topic == self._log.topic}
        wanted = {number: end for number, end in wanted.items() if number in self._held}
        if not wanted:
            return
        edges = self._log.edges()
        if beyond := {number: end for number, end in wanted.items() if end > edges[number].next}:
            raise ValueError(f"{self._log.topic}: commit beyond the log's end, by partition: {beyond}")
        now = self._clock()
        with self._log.changing() as group:
            epochs = {number: held.epoch for number, held in self._held.items()}
            group.commit(self._me, wanted, epochs)
            is_member = group.renew(self._me, now, busy=self._busy(wanted))  # gives surplus back: nothing is in hand
        self._adopt(group, now, is_member=is_member)

    def rewind(self) -> None:
        """Read again from the committed offsets, as far as this consumer knows them."""
        for held in self._held.values():
            held.position = held.committed

    def assignment(self) -> set[Partition]:
        """The partitions in hand, as of the last poll, heartbeat or commit."""
        return {Partition(self._log.topic, number) for number in self._held}

    def close(self) -> None:
        """Leave; a named member's partitions wait for its return until the lease ends."""
        try:
            if not self._stays and self._seen_at is not None:
                with self._log.changing() as group:
                    group.leave(self._me)
        except StoreUnavailable as problem:
            logger.warning("left group %s without a word, its lease will end: %s", self._log.group, problem)
        finally:
            self._held.clear()
            self._log.close()

    def _is_due(self, now: int) -> bool:
        if self._seen_at is None:
            return True
        return not self._seen_at <= now < self._look_at

    def _busy(self, ends: Mapping[int, int]) -> set[int]:
        return {n for n, held in self._held.items() if held.position > max(held.committed, ends.get(n, 0))}

    def _adopt(self, group: Group, now: int, *, is_member: bool) -> None:
        self._seen_at, self._generation = now, group.generation
        ends = [member.seen_at + member.lease for member in group.members.values()]
        self._look_at = min([now + self._me.lease // RENEWALS_IN_A_LEASE, *ends])
        if is_member == self._is_fenced:
            self._is_fenced = not is_member
            if self._is_fenced:
                logger.error(
                    "group %s: another process goes by the member name %r now; this one reads nothing until it is gone",
                    self._log.group,
                    self._me.name,
                )
        ours = {n: seat for n, seat in group.seats.items() if is_member and seat.owner == self._me.name}
        before, self._held = self._held, {}
        for number, seat in sorted(ours.items()):
            held = before.get(number)
            if held is None or held.epoch != seat.epoch:  # new in hand, or lost and won again in between
                held = Held(seat.epoch, seat.committed, seat.committed)
            held.committed = max(held.committed, seat.committed)  # a skipped gap stands above the group's own
            self._held[number] = held

    def _read(self, most: int) -> list[Message]:
        edges = self._log.edges()
        for number, held in self._held.items():
            self._skip_the_gap(number, held, edges[number].first)
        behind = [number for number, held in self._held.items() if held.position < edges[number].next]
        if not behind:
            return []
        self._turns += 1
        start = self._turns % len(behind)
        share = max(1, most // len(behind))  # a partition far behind must not starve the others
        room = MOST_BYTES_IN_A_POLL
        messages: list[Message] = []
        for number in behind[start:] + behind[:start]:
            if len(messages) >= most or room <= 0:
                break
            found = self._log.read(number, self._held[number].position, min(share, most - len(messages)), room)
            messages += found
            room -= sum(len(message.value) for message in found)
        for message in messages:  # only now: a read that fails half-way must not move a position
            self._held[message.partition.number].position = message.offset + 1
        return messages

    def _skip_the_gap(self, number: int, held: Held, first: int) -> None:
        if held.position >= first:
            return
        logger.warning(
            "group %s lost %d records of %s-%d (offsets %d to %d): retention dropped them unread; going on at %d",
            self._log.group,
            first - held.position,
            self._log.topic,
            number,
            held.position,
            first - 1,
            first,
        )
        held.position = held.committed = first
