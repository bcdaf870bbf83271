"""A capture process that dies by SIGKILL: the picture is in the log, its file is not yet noted as done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from core.broker.local import LocalBroker
from core.broker.protocol import Topic
from core.messages import CAMERAS, FRAMES, FrameCaptured

PROCESS = """
import sys
from pathlib import Path

from core import faults
from core.broker.local import LocalBroker
from core.line import Camera
from core.stop import Stop
from ingest.capture import Capture
from ingest.outlet import Outlet
from ingest.sources import open_source

root = Path(sys.argv[1])
faults.arm(sys.argv[2])
camera = Camera(name="top", product="ring", source=f"folder:{root / 'in'}")
with (
    LocalBroker(root / "log.sqlite") as broker,
    broker.producer() as producer,
    open_source(camera.source, notes=root / "notes", owner=camera.name) as source,
):
    Capture(camera, source, producer, Outlet(partition=1, max_pixels=10**7), stop=Stop()).run()
"""


def run(root: Path, fault: str = "") -> int:
    return subprocess.run([sys.executable, "-c", PROCESS, str(root), fault], timeout=60, check=False).returncode


def test_killed_and_started_again_no_file_is_lost_and_none_gets_two_identities(
    tmp_path: Path, jpegs: list[bytes]
) -> None:
    (tmp_path / "in").mkdir()
    for number, content in enumerate(jpegs):
        path = tmp_path / "in" / f"{number}.jpg"
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    with LocalBroker(tmp_path / "log.sqlite") as broker:
        broker.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
        assert run(tmp_path, "capture_after_append:5") == -signal.SIGKILL
        assert run(tmp_path, "capture_after_append:4") == -signal.SIGKILL
        assert run(tmp_path) == 0
        with broker.consumer(FRAMES, group="test") as consumer:
            frames = [FrameCaptured.of(message.headers) for message in consumer.poll(5.0, most=64)]
    assert len(frames) == len(jpegs) + 2  # the two at which the process died came again
    files = {frame.id: frame.part_id for frame in frames}
    assert sorted(files.values(), key=int) == [str(number) for number in range(len(jpegs))]
    assert all(files[frame.id] == frame.part_id for frame in frames)
    assert len({frame.captured_at for frame in frames}) == len(jpegs)
