"""Which records a topic no longer keeps. Pure: no I/O, reads no clock."""

from collections.abc import Iterable
from typing import NamedTuple


class Head(NamedTuple):
    """What retention needs to know of one record: bytes and ns."""

    position: int
    size: int
    stored_at: int


def outlived(heads: Iterable[Head], *, total: int, most: int, before: int, last: int) -> list[Head]:
    """The leading records that are older than `before` or that stand where the log's `total` bytes exceed `most`.

    heads: from the log's start. last: the newest record's position; its size alone never drops it, else a record
    larger than the bound would vanish before anybody read it.
    """
    gone: list[Head] = []
    for head in heads:
        too_old = head.stored_at < before
        too_many = total > most and head.position < last
        if not (too_old or too_many):
            break
        gone.append(head)
        total -= head.size
    return gone


def unread(committed: int, *, first: int, kept_from: int) -> int:
    """How many of the records that go, from `first` up to `kept_from`, a group at `committed` never finished."""
    return max(0, kept_from - max(committed, first))
