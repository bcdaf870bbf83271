"""Put one blob over and over: put_for_ever ROOT."""

import sys
from pathlib import Path

from core.blobs.file import FileBlobs

store = FileBlobs(Path(sys.argv[1]))
for number in range(1_000_000):
    store.put("frame/a", bytes([number % 251]) * 300_000, durable=False)
    if number == 0:
        sys.stdout.write("first\n")
        sys.stdout.flush()
