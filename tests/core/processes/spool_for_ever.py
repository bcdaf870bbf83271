"""Send numbered pictures through a spool to Kafka, saying what is safe: spool_for_ever URL PREFIX SPOOL FIRST."""

import sys
from pathlib import Path

from core.broker.kafka import KafkaBroker
from core.broker.spool import SpooledProducer, SpoolRules
from core.broker.spool_file import Spool
from core.settings import BrokerSettings

url, prefix, path, first = sys.argv[1:]
settings = BrokerSettings(url=url, prefix=prefix, send_seconds=1.0)
spool = Spool(Path(path), most_bytes=1 << 30)
rules = SpoolRules(send_seconds=1.0)
with KafkaBroker(settings) as broker, SpooledProducer(broker.producer, spool, {"frames": 2}, rules=rules) as producer:
    number = int(first)
    while True:
        producer.send("frames", bytes(30_000), partition=1, key=str(number))
        producer.flush()
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1
