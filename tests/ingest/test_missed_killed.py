"""A live camera's process that dies by SIGKILL while triggers that passed are on their way into the log."""

import signal
import subprocess
import sys
from pathlib import Path

from core.broker.local import LocalBroker
from core.broker.protocol import Topic
from core.messages import CAMERAS, FRAMES, CameraReported, FrameCaptured

PROCESS = """
import sys
from pathlib import Path

import numpy as np

from core import faults
from core.broker.local import LocalBroker
from core.line import Camera
from core.stop import Stop
from ingest import capture
from ingest.outlet import Outlet
from ingest.seat import CameraSeat
from ingest.sources.source import Grabbed, SourceState

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Live:
    waits, detail, reconnects = False, "", 0
    left = [Grabbed(picture=PICTURE, missed=count) for count in (0, 3, 2, 1201, 1)]

    @property
    def state(self):
        return SourceState.OPEN if self.left else SourceState.ENDED

    def read(self, timeout):
        return self.left.pop(0) if self.left else None

    def claim(self, grabbed, claim):
        pass

    def done(self, grabbed):
        pass


root = Path(sys.argv[1])
faults.arm(sys.argv[2])
capture.REPORT_SECONDS = 3600  # so that the flushes are those that are counted below
camera = Camera(name="top", product="ring", source="camera:0", gate=False)
with CameraSeat(root, "top") as seat, LocalBroker(root / "log.sqlite") as broker, broker.producer() as producer:
    outlet = Outlet(partition=1, max_pixels=10**7, session=seat.next_session(), owing=seat)
    capture.Capture(camera, Live(), producer, outlet, stop=Stop()).run()
"""
WHOLE = 3 + 2 + 1201 + 1 + 5  # numbers of a session that is not killed
KILLS = {
    "local_in_flush:3": 4,  # with picture 4 and the three before it; the second flush was the report
    "local_in_flush:8": 8 + 1201,  # what was owed, its report, picture 0, report, 4, 7, 500 triggers, and 500 more
    "capture_after_append:3": 8,  # picture 7 is the last
}


def run(root: Path, fault: str = "") -> int:
    return subprocess.run([sys.executable, "-c", PROCESS, str(root), fault], timeout=60, check=False).returncode


def test_killed_and_started_again_every_number_has_one_record(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "log.sqlite") as broker:
        broker.apply([Topic(FRAMES, 4), Topic(CAMERAS, 1)])
        for fault in KILLS:
            assert run(tmp_path, fault) == -signal.SIGKILL
        assert run(tmp_path) == 0
        with broker.consumer(FRAMES, group="test") as reader:
            found = [FrameCaptured.of(message.headers) for message in reader.poll(5.0, most=10_000)]
        with broker.consumer(CAMERAS, group="test") as reader:
            reports = [CameraReported.from_json(message.value) for message in reader.poll(5.0, most=1000)]
    sessions = sorted({frame.session for frame in found})
    for session, count in zip(sessions, [*KILLS.values(), WHOLE], strict=True):
        assert {frame.seq for frame in found if frame.session == session} == set(range(count))
        assert max(report.triggered for report in reports if report.session == session) <= count
    assert len({(frame.id, frame.captured_at, frame.no_verdict) for frame in found}) == len({f.id for f in found})
    assert (tmp_path / "top.seat").read_bytes() == b"%-31d\n" % sessions[-1], "nothing is owed any more"
