"""Read as a member of a group until it has committed all of EXPECTED records: read_group LOG MEMBER LEASE EXPECTED.

Says `read PARTITION OFFSET NAME NUMBER` for each record in hand, then `done PARTITION END` for each commit.
"""

import sys
import time
from pathlib import Path

from core.broker.local import LocalBroker


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


GROUP = "a"
path, member, lease, expected = sys.argv[1:]
with (
    LocalBroker(Path(path), lease_seconds=float(lease)) as broker,
    broker.consumer("frames", group=GROUP, member=member) as us,
):
    us.heartbeat()
    say("ready")
    while sum(lag.committed for lag in broker.lag("frames", group=GROUP)) < int(expected):
        messages = us.poll(0.2, most=6)
        for message in messages:
            name, number, _ = message.value.split(b" ", 2)
            say("read", message.partition.number, message.offset, name.decode(), number.decode())
        ends = {message.partition: message.offset + 1 for message in messages}
        time.sleep(0.002)
        us.commit(ends)
        for partition, end in ends.items():
            say("done", partition.number, end)
