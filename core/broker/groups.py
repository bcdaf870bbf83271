"""How the members of a consumer group share partitions, and whose commits count. Pure: no I/O, reads no clock.

The memory broker keeps a `Group` as it is; the local log loads it, lets it change, and stores what changed, all in one
transaction. A member holds its partitions for a lease that it renews. Balance is cooperative: nobody takes a partition
from a living member; who holds more than a fair share gives the surplus back once nothing of it is in hand.
"""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

FREE = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """One consumer object: a name that may survive a restart, and an incarnation that never does. `lease` in ns."""

    name: str
    incarnation: str
    lease: int


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's last sign of life (ns) and how long it counts (ns)."""

    incarnation: str
    seen_at: int
    lease: int

    def is_alive(self, now: int) -> bool:
        """Whether the lease still holds; a sign of life from far in the future is a clock that was set back."""
        return self.seen_at - self.lease <= now < self.seen_at + self.lease


@dataclass(frozen=True, slots=True)
class Seat:
    """One partition's place in the group. `epoch` grows with every change of hands, so that an old hand is known."""

    committed: int
    owner: str = FREE
    epoch: int = 0

    def passed_to(self, owner: str) -> "Seat":
        """The seat in other hands."""
        return replace(self, owner=owner, epoch=self.epoch + 1)


@dataclass(slots=True)
class Group:
    """Members and seats of one group on one topic. `generation` grows whenever the others have reason to look."""

    seats: dict[int, Seat]
    members: dict[str, Membership] = field(default_factory=dict)
    generation: int = 0

    def renew(self, me: Identity, now: int, *, busy: Set[int] = frozenset(), joining: bool = False) -> bool:
        """Prolong the lease, clear the dead away, take a fair share of what is free and give surplus back.

        busy: partitions with records in hand, which are not given back yet. joining: the first call of this consumer,
        which takes over everything that an earlier one of its name still holds. Returns False, and changes nothing,
        when another living consumer goes by this name.
        """
        known = self.members.get(me.name)
        if known is not None and known.incarnation != me.incarnation:
            if known.is_alive(now) and not joining:
                return False
            self._pass({number for number, seat in self.seats.items() if seat.owner == me.name}, me.name)
        if known is None or known.incarnation != me.incarnation:
            self.generation += 1
        self.members[me.name] = Membership(me.incarnation, now, me.lease)
        self._clear_the_dead(now)
        take, give = fair_change({n: s.owner for n, s in self.seats.items()}, self.members.keys(), me.name, busy)
        self._pass(take, me.name)
        self._free(give)
        return True

    def leave(self, me: Identity) -> None:
        """Free at once what `me` holds."""
        known = self.members.get(me.name)
        if known is None or known.incarnation != me.incarnation:
            return
        del self.members[me.name]
        self.generation += 1
        self._free({number for number, seat in self.seats.items() if seat.owner == me.name})

    def commit(self, me: Identity, ends: Mapping[int, int], epochs: Mapping[int, int]) -> set[int]:
        """Move positions forward, never back; returns the partitions that are `me`'s at the epoch it knows."""
        accepted = set()
        for number, end in ends.items():
            seat = self.seats.get(number)
            if seat is None or seat.owner != me.name or epochs.get(number) != seat.epoch:
                continue
            self.seats[number] = replace(seat, committed=max(seat.committed, end))
            accepted.add(number)
        return accepted

    def _clear_the_dead(self, now: int) -> None:
        dead = {name for name, member in self.members.items() if not member.is_alive(now)}
        for name in dead:
            del self.members[name]
        self.generation += bool(dead)
        orphans = {n for n, seat in self.seats.items() if seat.owner != FREE and seat.owner not in self.members}
        self._free(orphans)

    def _pass(self, numbers: Set[int], owner: str) -> None:
        for number in numbers:
            self.seats[number] = self.seats[number].passed_to(owner)

    def _free(self, numbers: Set[int]) -> None:
        self._pass(numbers, FREE)
        self.generation += bool(numbers)


def fair_change(
    owners: Mapping[int, str], members: Set[str], me: str, busy: Set[int] = frozenset()
) -> tuple[set[int], set[int]]:
    """What `me` takes and gives so that all members end with shares that differ by one at most.

    owners: by partition, FREE for none. busy: partitions that `me` cannot give now. Who holds most keeps the odd ones,
    so that a balanced group stays as it is.
    """
    counts = Counter(dict.fromkeys(members, 0))
    counts.update(owner for owner in owners.values() if owner in members)
    share, odd = divmod(len(owners), len(members))
    ranked = sorted(members, key=lambda name: (-counts[name], name))
    quota = share + (ranked.index(me) < odd)
    mine = [number for number in sorted(owners) if owners[number] == me]
    free = [number for number in sorted(owners) if owners[number] == FREE]
    if len(mine) < quota:
        return set(free[: quota - len(mine)]), set()
    spare = [number for number in reversed(mine) if number not in busy]
    return set(), set(spare[: len(mine) - quota])
