"""Append numbered records batch by batch, saying what is acknowledged: append_for_ever LOG NAME BATCH MOST FAULT."""

import sys
from pathlib import Path

from core import faults
from core.broker.local import LocalBroker
from core.broker.protocol import Topic

path, name, batch, most, fault = sys.argv[1:]
faults.arm(fault)
with LocalBroker(Path(path)) as broker:
    broker.apply([Topic("frames", 4)])
    with broker.producer() as producer:
        for start in range(0, int(most), int(batch)):
            for number in range(start, start + int(batch)):
                value = f"{name} {number} ".encode() + bytes(20_000)
                producer.send("frames", value, partition=number % 4, key=name)
            producer.flush()
            sys.stdout.write(f"{start + int(batch)}\n")
            sys.stdout.flush()
