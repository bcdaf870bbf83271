import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import SettingsInvalid
from ingest.simulator import CameraFault, Simulator
from ingest.sources import SourceState, open_source, simulator_of
from ingest.sources.camera import CameraSource
from ingest.sources.folder import FolderSource
from ingest.sources.simulator import part_number
from ingest.sources.video import VideoSource


def test_the_simulator_renders_the_parts_that_its_url_says() -> None:
    url = "simulator:ring?rate=0&defects=0.5&seed=9&parts=3&first=4"
    expected = Simulator("ring", seed=9, defect_rate=0.5)
    with open_source(url) as source:
        assert source.waits
        taken = [grabbed for _ in range(5) if (grabbed := source.read(0.5))]
        assert source.state is SourceState.ENDED
    assert [part_number(grabbed.part_id) for grabbed in taken] == [4, 5, 6]
    assert [grabbed.part_id for grabbed in taken] == ["ring-9-4", "ring-9-5", "ring-9-6"]
    for grabbed in taken:
        assert grabbed.picture is not None
        assert np.array_equal(grabbed.picture, expected.render(part_number(grabbed.part_id)).picture)


def test_the_truth_about_a_part_is_found_by_its_url_and_part_id() -> None:
    truth = simulator_of("simulator:ring?defects=1&seed=3").truth(part_number("ring-3-12"))
    assert truth.label == Simulator("ring", seed=3, defect_rate=1.0).truth(12).label
    with pytest.raises(SettingsInvalid, match="is no simulator"):
        simulator_of("camera:0")


def test_the_simulator_keeps_its_rate() -> None:
    with open_source("simulator:ring?rate=50&defects=0") as source:
        source.read(1.0)
        began = time.monotonic()
        assert all(source.read(1.0) for _ in range(5))
        assert time.monotonic() - began >= 0.09
        assert source.read(0.0) is None or True


def test_camera_faults_come_by_schedule_or_by_rate() -> None:
    scheduled = simulator_of("simulator:board?faults=blur@3-4,dark@7")
    assert [scheduled.fault(part) for part in (2, 3, 4, 5, 7)] == [
        None, CameraFault.BLUR, CameraFault.BLUR, None, CameraFault.DARK,
    ]  # fmt: skip
    assert simulator_of("simulator:board?faults=1").fault(0) is not None


def test_each_scheme_opens_its_source(tmp_path: Path) -> None:
    assert isinstance(open_source(f"folder:{tmp_path}?rate=5&watch=1"), FolderSource)
    assert isinstance(open_source("video:/line.mp4?rate=25"), VideoSource)
    assert isinstance(open_source("camera:0"), CameraSource)
    assert isinstance(open_source("rtsp://host/stream?rate=5&profile=1"), CameraSource)


def test_two_cameras_on_one_folder_keep_notes_of_their_own(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for owner in ("one", "two"):
        with open_source(f"folder:{tmp_path}", notes=notes, owner=owner):
            pass
    assert len(list(notes.glob("taken-*.sqlite"))) == 2


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "no known kind"),
        ("simulator:", "no known kind"),
        ("nonsense", "no known kind"),
        ("simulator:gearbox", "choose one of ring, board, weave"),
        ("simulator:ring?speed=3", "unknown option speed; simulator knows rate"),
        ("simulator:ring?rate=fast", "rate=fast must be a number"),
        ("simulator:ring?rate=-1", "rate=-1 must be a number"),
        ("simulator:ring?rate=nan", "rate=nan must be a number"),
        ("simulator:ring?defects=7", "defects=7 must be a number from 0 to 1"),
        ("simulator:ring?seed=1.5", "seed=1.5 must be a whole number"),
        ("simulator:ring?faults=melt@3", "must be a rate or like blur@100-120"),
        ("simulator:ring?rate", "name=value"),
        ("simulator:ring?rate=1&rate=2", "stands twice"),
        ("folder:/x?watch=yes", "watch=yes must be 0 or 1"),
        ("folder:/x?watch=1&loop=1", "either watched or replayed"),
        ("camera:front", "has a number"),
        ("rtsp://user:secret@host/x?rate=often", "rate=often must be a number"),
    ],
)
def test_what_nobody_can_mean_is_refused_with_what_to_write(url: str, why: str) -> None:
    with pytest.raises(SettingsInvalid, match=why) as refused:
        open_source(url)
    assert "secret" not in str(refused.value)
