"""Times as the books keep them: integers of ns at the edge, aware UTC datetimes in tables. Pure: reads no clock."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_NS = 60 * 10**9


def utc_of(ns: int) -> datetime:
    """The UTC time of integer `ns` since the epoch, cut to µs; by integers, so two paths never differ by one µs."""
    return EPOCH + timedelta(microseconds=ns // 1000)


def ns_of(moment: datetime) -> int:
    """Integer ns since the epoch of an aware datetime. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; the books keep UTC only")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def minute_of(moment: datetime) -> datetime:
    """The start of the minute that `moment` lies in."""
    return moment.replace(second=0, microsecond=0)
