"""The whole way: a product that lies at any angle is learnt, and a flaw is shown where it lies on the raw picture."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from model.evaluation import evaluate, mask_on_input
from model.fixture import FixtureMismatch
from model.learning import LearnOptions, Learnt, learn
from model.pace import Budget
from model.pictures import read_picture
from model.placement import Placement
from model.predictor import Predictor
from tests.model.learning.conftest import SMALL, write
from tests.model.learning.scenes import bolt, flaw_of, plain

OPTIONS = LearnOptions(
    architecture=SMALL, budget=Budget(iterations=30), size=96, fixture="axis", flat=False, runtime="torch", threads=1
)
TURNS = [(0.0, (160.0, 120.0)), (1.1, (130.0, 100.0)), (-2.3, (190.0, 140.0)), (math.pi, (150.0, 110.0))]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    root = tmp_path_factory.mktemp("bolts")
    for seed in range(30):
        write(root / f"train/good/{seed:02}.png", bolt(seed))
    write(root / "train/good/99.png", plain(0))
    return learn(root, root / "bolt.safetensors", options=OPTIONS)


@pytest.fixture(scope="module")
def predictor(learnt: Learnt) -> Predictor:
    return Predictor.load(learnt.path, runtime="torch", threads=1)


def test_the_model_file_says_how_its_parts_are_located(learnt: Learnt, predictor: Predictor) -> None:
    assert predictor.fixture.kind == "axis"
    assert learnt.manifest.training["fixtures"] == {"chosen": "axis", "merit": {}}
    (finding,) = [one for one in learnt.findings if one.left_out]
    assert (finding.path.name, finding.kind) == ("99.png", "misplaced")
    assert "no part" in finding.message


@pytest.mark.parametrize(("angle", "centre"), TURNS)
def test_a_flaw_is_shown_where_it_lies_on_the_raw_picture(
    predictor: Predictor, angle: float, centre: tuple[float, float]
) -> None:
    (good,) = predictor.inspect([bolt(500, angle=angle, centre=centre)])
    (seen,) = predictor.inspect([bolt(500, angle=angle, centre=centre, flaw=True)])
    assert seen.score > good.score
    assert predictor.manifest.limits is not None
    assert seen.score > predictor.manifest.limits.t_lo
    x, y = flaw_of(angle, centre)
    first = seen.regions[0]
    assert first.x - 3 <= x <= first.x + first.width + 3
    assert first.y - 3 <= y <= first.y + first.height + 3
    assert first.width * first.height < 75 * 75 < 0.1 * 320 * 240
    assert seen.placement is not None
    heat = seen.placement.on_picture(seen.map, 320)
    down, across = np.unravel_index(int(heat.argmax()), heat.shape)
    assert math.hypot(float(across) - x, float(down) - y) < 10


def test_a_picture_without_the_part_is_refused_and_not_judged(predictor: Predictor) -> None:
    with pytest.raises(FixtureMismatch, match="no part of the golden ones' size"):
        predictor.inspect([bolt(1), plain(1)])


def test_the_command_judges_turned_parts_and_draws_where_the_flaw_is(
    learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_WORKER__RUNTIME", "torch")
    monkeypatch.setenv("FLAWLINE_WORKER__THREADS", "1")
    marred = bolt(500, angle=1.1, centre=(130, 100), flaw=True)
    pictures = [write(tmp_path / "marred.png", marred), write(tmp_path / "nothing.png", plain(1))]
    told = tmp_path / "told.json"
    words = ["inspect", "--model", learnt.path, *pictures, "--json", told, "--overlays", tmp_path / "over"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 1
    first, second = json.loads(told.read_text())["pictures"]
    assert first["verdict"] in {"REVIEW", "FAIL"}
    x, y, width, height = first["regions"][0]["bounding_box"]
    flaw = flaw_of(1.1, (130, 100))
    assert x - 3 <= flaw[0] <= x + width + 3
    assert y - 3 <= flaw[1] <= y + height + 3
    assert (second["verdict"], second["reason"]) == ("INVALID", "MISALIGNED")
    drawn = read_picture(tmp_path / "over/marred_overlay.png")
    assert drawn.shape == marred.shape
    changed = np.abs(drawn.astype(int) - marred).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    assert math.hypot(float(columns.mean()) - flaw[0], float(rows.mean()) - flaw[1]) < 15
    assert not (tmp_path / "over/nothing_overlay.png").exists()


def test_a_test_folder_is_measured_on_located_parts(learnt: Learnt, tmp_path: Path) -> None:
    write(tmp_path / "train/good/0.png", bolt(0))
    for number, (angle, centre) in enumerate(TURNS):
        write(tmp_path / f"test/good/{number}.png", bolt(600 + number, angle=angle, centre=centre))
        flawed, good = (bolt(700 + number, angle=angle, centre=centre, flaw=flaw) for flaw in (True, False))
        write(tmp_path / f"test/spot/{number}.png", flawed)
        mask = (np.abs(flawed.astype(int) - good).max(axis=2) > 30).astype(np.uint8) * 255
        write(tmp_path / f"ground_truth/spot/{number}_mask.png", mask)
    write(tmp_path / "test/good/9.png", plain(3))
    found = evaluate(learnt.path, tmp_path, runtime="torch", threads=1)
    assert list(found.unusable) == ["test/good/9.png"]
    assert found.image_auroc == 1.0
    assert found.pixel_auroc is not None
    assert found.pixel_auroc > 0.9
    assert found.vanished_defects == 0


def test_a_mask_is_turned_as_its_picture_is() -> None:
    mask = np.zeros((240, 320), np.bool_)
    mask[100:110, 150:170] = True
    mask[5, 5] = True  # a defect that nobody looks at
    placed = Placement.of_pose((160, 105), math.pi / 2, (60, 40), picture=(320, 240), size=(96, 64))
    laid, vanished = mask_on_input(mask, placed)
    rows, columns = np.nonzero(laid)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (40, 55, 16, 47)
    assert vanished == 0
