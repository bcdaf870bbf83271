"""What has to change so that a broker's topics are as a line wants them. Pure: the brokers do it, each in its way."""

from collections.abc import Iterable, Mapping

from core.broker.protocol import Change, Topic


def changes(known: Mapping[str, Topic], wanted: Iterable[Topic]) -> list[Change]:
    """Topics to make and retentions to set. Raises ValueError when the partitions of an old topic would change."""
    found = []
    for topic in wanted:
        before = known.get(topic.name)
        partitions = topic.partitions if before is None else before.partitions
        if partitions != topic.partitions or topic.partitions < 1:
            raise ValueError(
                f"topic {topic.name}: {partitions} partitions cannot become {topic.partitions}: cameras would move to"
                " other partitions and their frames lose their order. Make a line with a new log: an empty data folder,"
                " or on Kafka a new FLAWLINE_BROKER__PREFIX"
            )
        if before != topic:
            found.append(Change(topic, before))
    return found


def in_words(change: Change) -> str:
    """A change as a person reads it."""
    topic, before = change.topic, change.before
    if before is None:
        return f"{topic.name}: new, {_partitions(topic.partitions)}, kept {_kept(topic)}"
    return f"{topic.name}: kept {_kept(topic)}, was {_kept(before)}"


def _partitions(number: int) -> str:
    return "1 partition" if number == 1 else f"{number} partitions"


def _kept(topic: Topic) -> str:
    hours, size = topic.retention_seconds / 3600, topic.retention_bytes / (1 << 20)
    return f"{hours:.4g} h and {size:.6g} MiB in each partition"
