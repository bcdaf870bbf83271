"""Topics, groups and lag of a Kafka cluster, asked of its own books, so that a dead worker is seen as well."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition, errors
from kafka.admin import ConfigResource, OffsetSpec

from core.broker.kafka_client import open_client, patiently
from core.broker.protocol import Change, Lag, Partition, Topic
from core.broker.topics import changes
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings

T = TypeVar("T")

MOST_BATCH_BYTES = 5 << 20  # max.message.bytes; the producer refuses a record before the broker does
REQUEST_SECONDS = 3.0
PATIENCE_SECONDS = 5.0  # a coordinator that is just being elected answers within
MILLISECOND = 10**6
LONGEST_MS = 1 << 53
REFUSED = (
    errors.TopicAlreadyExistsError,
    errors.InvalidReplicationFactorError,
    errors.InvalidConfigurationError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
)
HOW_TO_MAKE = "`flawline topics apply` makes the topics of a line"


class KafkaAdmin:
    """One admin client, made when it is first needed. Thread-safe; each call takes some seconds at most.

    All of it raises StoreUnavailable while no broker answers, SettingsInvalid when it refuses us. Names are without
    the prefix on this side, with it on Kafka's.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._client: Any = None
        self._lock = threading.RLock()
        self._partitions: dict[str, int] = {}  # of topics that were seen; their number never changes

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises ValueError for one that is not on the broker."""
        if topic not in self._partitions:
            self._partitions |= self.counted([topic])
        if topic not in self._partitions:
            there = ", ".join(self.names()) or "none"
            raise ValueError(f"no topic is called {topic!r} on the broker; there are {there}. {HOW_TO_MAKE}")
        return self._partitions[topic]

    def counted(self, topics: Iterable[str], *, seconds: float = PATIENCE_SECONDS) -> dict[str, int]:
        """Partitions by topic, of those that are there, as the broker says now."""
        names = [self._full(topic) for topic in topics]
        found = self._ask(lambda client: client.describe_topics(names), seconds=seconds) if names else []
        return {self._short(each["name"]): len(each["partitions"]) for each in found if not each["error_code"]}

    def names(self) -> list[str]:
        """The topics below our prefix."""
        every = self._ask(lambda client: client.list_topics())
        ours = (name for name in every if name.startswith(self._settings.prefix) and not name.startswith("__"))
        return sorted(map(self._short, ours))

    def apply(self, topics: Iterable[Topic], *, dry_run: bool = False) -> list[Change]:
        """Make the topics exist with their settings; returns what was to be changed. Raises ValueError."""
        wanted = list(topics)
        known = self._known(self.counted(topic.name for topic in wanted), wanted)
        found = changes(known, wanted)
        if not dry_run:
            self._create([change.topic for change in found if change.before is None])
            self._configure(topic for topic in wanted if topic.name in known)
        return found

    def drop(self) -> None:
        """Remove all topics below our prefix, with their records. Raises ValueError where there is no prefix."""
        if not self._settings.prefix:
            raise ValueError("only topics below a prefix can be dropped together; there may be others than ours")
        names = [self._full(topic) for topic in self.names()]
        if names:
            self._ask(lambda client: client.delete_topics(names))
        self._partitions.clear()

    def lag(self, topic: str, *, group: str) -> list[Lag]:
        """By partition: the group's committed offset, the log's end, and the age of what is between. ValueError."""
        parts = [TopicPartition(self._full(topic), number) for number in range(self.partitions(topic))]
        name = self._full(group)
        try:
            firsts = self._offsets(dict.fromkeys(parts, OffsetSpec.EARLIEST))
            told = self._ask(lambda client: client.list_group_offsets({name: parts}))[name]
            ends = self._offsets(dict.fromkeys(parts, OffsetSpec.LATEST))
        except StoreUnavailable:
            self._check_present(topic)
            raise
        committed = {part: max(firsts[part].offset, told[part].offset if part in told else -1) for part in parts}
        behind = {part: committed[part] for part in parts if committed[part] < ends[part].offset}
        since = self._stored_at(behind)
        return [
            Lag(Partition(topic, part.partition), committed[part], ends[part].offset, since.get(part)) for part in parts
        ]

    def groups(self, topic: str) -> list[str]:
        """The groups of our prefix that have committed something of a topic."""
        self.partitions(topic)
        every = [group["group_id"] for group in self._ask(lambda client: client.list_groups())]
        ours = dict.fromkeys(name for name in every if name.startswith(self._settings.prefix))
        told = self._ask(lambda client: client.list_group_offsets(ours)) if ours else {}
        full = self._full(topic)
        return sorted(self._short(name) for name, parts in told.items() if any(part.topic == full for part in parts))

    def members(self, group: str) -> set[str]:
        """The static members of a group that the broker takes for alive."""
        name = self._full(group)
        described = self._ask(lambda client: client.describe_groups([name]))
        return {member["group_instance_id"] for member in described[name]["members"] if member["group_instance_id"]}

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Those that are not on the broker; asks once, for it is mostly asked when something has failed already."""
        wanted = set(topics)
        return sorted(wanted - self.counted(wanted, seconds=0).keys())

    def close(self) -> None:
        """Let the client go; a later call makes another."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def _check_present(self, topic: str) -> None:
        if self.missing([topic]):
            self._partitions.pop(topic, None)
            raise StoreUnavailable(f"topic {topic} is not on the broker any more; {HOW_TO_MAKE}")

    def _known(self, counted: Mapping[str, int], wanted: Iterable[Topic]) -> dict[str, Topic]:
        """The topics that are there, as they are kept now."""
        names = [topic.name for topic in wanted if topic.name in counted]
        configs = self._configs(names)
        if unseen := [name for name in names if "retention.ms" not in configs.get(name, {})]:
            raise SettingsInvalid(
                f"Kafka does not tell us the settings of {', '.join(unseen)}; check our rights to them"
            )
        return {
            name: Topic(
                name,
                counted[name],
                int(configs[name]["retention.ms"]) / 1000,
                int(configs[name]["retention.bytes"]),
            )
            for name in names
        }

    def _create(self, topics: list[Topic]) -> None:
        if not topics:
            return
        new = {
            self._full(topic.name): {
                "num_partitions": topic.partitions,
                "replication_factor": self._settings.replication,
                "configs": self._wanted(topic),
            }
            for topic in topics
        }
        try:
            self._ask(lambda client: client.create_topics(new, wait_for_metadata=True), but=REFUSED)
        except errors.TopicAlreadyExistsError:  # another process was quicker: is it what we want?
            changes(self._known(self.counted(topic.name for topic in topics), topics), topics)
        except REFUSED as problem:
            raise SettingsInvalid(f"Kafka makes no such topics ({', '.join(new)}): {problem}") from problem

    def _configure(self, topics: Iterable[Topic]) -> None:
        """Set what differs; a setting that we do not name stays as the plant set it."""
        wanted = {topic.name: self._wanted(topic) for topic in topics}
        now = self._configs(wanted)
        differing = {
            name: {key: value for key, value in configs.items() if now[name].get(key) != value}
            for name, configs in wanted.items()
        }
        resources = [
            ConfigResource("TOPIC", self._full(name), configs) for name, configs in differing.items() if configs
        ]
        if resources:
            self._ask(lambda client: client.alter_configs(resources))

    def _wanted(self, topic: Topic) -> dict[str, str]:
        """The settings of a topic of ours (streaming.md §2.4)."""
        age = max(1, min(int(topic.retention_seconds * 1000), LONGEST_MS))
        return {
            "max.message.bytes": str(MOST_BATCH_BYTES),
            "retention.ms": str(age),
            "retention.bytes": str(topic.retention_bytes),
            # Whole segments are dropped: they must be small beside what is kept, and close in time on quiet topics.
            "segment.bytes": str(min(256 << 20, max(1 << 20, topic.retention_bytes // 8))),
            "segment.ms": str(max(60_000, age // 8)),
            "compression.type": "producer",
            "unclean.leader.election.enable": "false",
            "min.insync.replicas": "2" if self._settings.replication >= 3 else "1",
            "message.timestamp.type": "LogAppendTime",  # the broker's own time, as Message.stored_at says
        }

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource("TOPIC", self._full(name)) for name in names]
        if not resources:
            return {}
        told = self._ask(lambda client: client.describe_configs(resources, config_filter="all"))["topic"]
        return {
            self._short(name): {key: entry["value"] for key, entry in configs.items()} for name, configs in told.items()
        }

    def _offsets(self, specs: Mapping[TopicPartition, Any]) -> dict[TopicPartition, Any]:
        return dict(self._ask(lambda client: client.list_partition_offsets(dict(specs)))) if specs else {}

    def _stored_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """When the record at each offset was stored, ns, without reading it: pictures are large.

        Kafka tells the first record at or after a time; halving the time between what is before the wanted record
        and what is after it ends at the record's own millisecond.
        """
        low = {part: found.timestamp for part, found in self._offsets(dict.fromkeys(offsets, 0)).items()}
        newest = self._offsets(dict.fromkeys(offsets, OffsetSpec.MAX_TIMESTAMP))
        low = {part: time for part, time in low.items() if time >= 0 and newest[part].timestamp >= 0}
        high = {part: newest[part].timestamp + 1 for part in low}
        step = dict.fromkeys(low, 1000)  # lag is short as a rule: look near the end first
        while open_ := [part for part in low if high[part] - low[part] > 1]:
            middle = {part: max((low[part] + high[part]) // 2, high[part] - step[part]) for part in open_}
            for part, found in self._offsets(middle).items():
                if 0 <= found.offset <= offsets[part]:
                    low[part] = found.timestamp if found.timestamp >= middle[part] else middle[part]
                    high[part] = low[part] + 1 if found.offset == offsets[part] else high[part]
                else:
                    high[part] = middle[part]
                    step[part] *= 4
        return {part: time * MILLISECOND for part, time in low.items()}

    def _ask(
        self,
        question: Callable[[Any], T],
        *,
        but: tuple[type[Exception], ...] = (),
        seconds: float = PATIENCE_SECONDS,
    ) -> T:
        """One call of the admin client, again while what fails may pass; the errors of `but` are the caller's."""
        what = f"Kafka at {self._settings.url}"
        with self._lock:
            if self._client is None:
                patience = int(REQUEST_SECONDS * 1000)
                self._client = open_client(KafkaAdminClient, self._settings, request_timeout_ms=patience)
            client = self._client
            try:
                return patiently(lambda: question(client), what, seconds=seconds, but=but)
            except (StoreUnavailable, SettingsInvalid):
                self.close()  # what it remembers of the cluster may be wrong by now
                raise

    def _full(self, name: str) -> str:
        return self._settings.prefix + name

    def _short(self, name: str) -> str:
        return name.removeprefix(self._settings.prefix)
