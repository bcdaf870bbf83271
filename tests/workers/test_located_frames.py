"""Frames whose part lies somewhere in the picture: what is stored lies where it is on the raw picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.verdicts import InvalidReason
from model.fixture import Fixture
from model.learning import LearnOptions, learn
from model.locating import PartFinder
from model.manifest import ModelLimits
from model.pace import Budget
from model.pose import part_pose
from tests.model.learning.conftest import SMALL, part, write
from tests.model.learning.scenes import bolt, plain
from tests.workers.bench import Bench, Picture, drain, frame, png

ROI = 150, 60, 64, 64
FLAW = 150 + 32, 60 + 31
ALL_FAIL = ModelLimits(t_lo=-2.0, t_hi=-1.0)


def before_a_ground(number: int, *, scratched: bool = False) -> Picture:
    """A part in its rectangle, and something that moves outside of it."""
    picture = np.full((160, 240, 3), 90, np.uint8)
    picture[:, :80] = np.random.default_rng(number).integers(0, 255, 3)
    picture[60:124, 150:214] = part(number, scratched=scratched)
    return picture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("rings")
    good = [write(root / f"{number:02}.png", before_a_ground(number)) for number in range(24)]
    options = LearnOptions(
        architecture=SMALL, budget=Budget(iterations=24), size=64, roi=ROI, flat=False, runtime="torch", threads=1
    )
    learnt = learn(good, root / "ring.safetensors", options=options)
    return learnt.path, learnt.sha256


def test_the_heat_map_of_a_rectangle_lies_on_the_whole_picture(bench: Bench, model: tuple[Path, str]) -> None:
    bench.register(*model)
    value = png(before_a_ground(200, scratched=True))
    bench.send(value, frame(0, value, width=240, height=160))
    drain(bench.worker(bench.inspector(all_heat=True)))
    row = bench.row()
    assert row.verdict in {"REVIEW", "FAIL"}
    heat = cv2.imdecode(np.frombuffer(bench.blobs.get(row.heat), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert heat is not None
    assert heat.shape == (160, 240)
    down, across = np.unravel_index(int(heat.argmax()), heat.shape)
    assert np.hypot(float(across) - FLAW[0], float(down) - FLAW[1]) < 16
    outside = np.ones_like(heat, dtype=bool)
    outside[60:124, 150:214] = False
    assert not heat[outside].any()  # nothing was looked at there
    assert row.heat_max == pytest.approx(row.score, rel=1e-3)
    first = bench.regions()[0]
    assert first.x <= FLAW[0] <= first.x + first.width
    assert first.y <= FLAW[1] <= first.y + first.height
    assert first.x >= 150
    assert first.y >= 60


def test_a_frame_without_its_part_is_misaligned_and_never_scored(bench: Bench) -> None:
    bolts = [bolt(seed) for seed in range(8)]
    finder = PartFinder.learnt(bolts)
    assert finder is not None
    pose = part_pose(bolts, finder, turned=True)
    assert pose is not None
    bench.teach(ALL_FAIL, fixture=Fixture.for_pose(pose, (320, 240), budget=64))
    for seq, picture in enumerate((bolt(50), plain(0), bolt(51))):
        value = png(picture)
        bench.send(value, frame(seq, value, width=320, height=240))
    drain(bench.worker())
    first, second, third = bench.rows()
    assert (first.verdict, third.verdict) == ("FAIL", "FAIL")
    assert (second.verdict, second.reason, second.score) == ("INVALID", InvalidReason.MISALIGNED, None)
    assert "no part of the golden ones' size" in second.detail
    assert second.picture.startswith("frame/")
    assert second.heat is None
    assert bench.dead() == []
