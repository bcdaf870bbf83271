"""As read_group, from Kafka: read_kafka URL PREFIX MEMBER LEASE EXPECTED."""

import sys
import time

from core.broker.kafka import KafkaBroker
from core.settings import BrokerSettings


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


GROUP = "a"
url, prefix, member, lease, expected = sys.argv[1:]
settings = BrokerSettings(url=url, prefix=prefix, lease_seconds=float(lease))
with KafkaBroker(settings) as broker, broker.consumer("frames", group=GROUP, member=member) as us:
    us.heartbeat()
    say("ready")
    while True:
        messages = us.poll(0.2, most=6)
        if not messages and sum(lag.committed for lag in broker.lag("frames", group=GROUP)) >= int(expected):
            break
        for message in messages:
            say("read", message.partition.number, message.offset, message.value.decode())
        ends = {message.partition: message.offset + 1 for message in messages}
        time.sleep(0.002)
        us.commit(ends)
        for partition, end in ends.items():
            say("done", partition.number, end)
