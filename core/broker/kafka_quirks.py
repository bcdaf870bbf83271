"""Where kafka-python 3.0.12 has to be helped along: each function says what would happen without it.

These reach into the client, which is therefore pinned below 3.1; the tests of the brokers hold each of them.
"""

from typing import Any

# ruff: noqa: SLF001 - the reason for this file


def stop_sending(producer: Any) -> None:
    """No batch leaves from here on; `close` alone waits first, and gives up with records still on their way."""
    producer._sender.force_close()


def is_joining(consumer: Any) -> bool:
    """Whether the next poll (re)joins the group."""
    return bool(consumer._coordinator.need_rejoin())


def join(consumer: Any, seconds: float) -> None:
    """Stay until the group is shared out, for so many seconds at most.

    A join that is answered between two polls is forgotten and begun anew: members that look in for a moment only
    would share out the group for ever.
    """
    if is_joining(consumer):
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
