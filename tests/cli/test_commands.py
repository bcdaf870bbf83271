"""Every command as a person would type it, on small real data."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cli import parts
from cli.look import find_model
from core.errors import ModelUnusable, SettingsInvalid
from core.records import models
from core.settings import read_settings
from core.tables import REVISION
from tests.cli.conftest import Run

TINY = ("--budget", "4it", "--size", "64")


@pytest.fixture(scope="module")
def parts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated ring: 12 good pictures, 6 test pictures with masks."""
    from cli.simulate import write_pictures

    folder = tmp_path_factory.mktemp("simulated") / "ring"
    write_pictures("ring", folder, train=12, test=6, seed=3)
    return folder


@pytest.fixture(scope="module")
def model_file(parts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, learnt as `flawline evaluate --keep` learns it."""
    from cli.asked import Asked
    from cli.teach import evaluate_data

    kept = tmp_path_factory.mktemp("kept") / "ring.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWLINE_WORKER__RUNTIME", "torch")
        patch.setenv("FLAWLINE_WORKER__THREADS", "1")
        found = kept.with_suffix(".json")
        assert evaluate_data(parts_folder, Asked(budget="4it", size=64), keep=kept, json_file=found) == 0
    return kept


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_version_is_told() -> None:
    assert command("--version").stdout.startswith("flawline 0.")


def test_help_needs_no_torch_and_no_streamlit() -> None:
    heavy = {"torch", "streamlit", "cv2", "sqlalchemy"}
    program = f"import sys; from cli.main import app; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_an_unknown_setting_is_one_sentence_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWLINE_BROKR__URL", "local:")
    told = command("books")
    assert told.returncode == 2
    assert "no such setting: FLAWLINE_BROKR__URL" in told.stderr
    assert "Traceback" not in told.stderr


def test_books_without_a_database_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAWLINE_DATA", str(tmp_path))
    told = command("books")
    assert told.returncode == 2
    assert "flawline db upgrade" in told.stderr.replace("\n", " ")


def test_simulate_writes_a_data_set(parts_folder: Path) -> None:
    assert len(list((parts_folder / "train" / "good").iterdir())) == 12
    kinds = {path.name for path in (parts_folder / "test").iterdir()}
    assert "good" in kinds
    masks = list((parts_folder / "ground_truth").rglob("*_mask.png"))
    assert len(masks) == 3


def test_simulate_refuses_a_folder_that_is_in_use(parts_folder: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="not empty"):
        flawline("simulate", "ring", parts_folder)


def test_simulate_refuses_an_unknown_product(tmp_path: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="ring, board, weave"):
        flawline("simulate", "gearbox", tmp_path / "x")


def test_evaluate_reports_every_figure_that_was_asked_for(model_file: Path) -> None:
    found = json.loads(model_file.with_suffix(".json").read_text())
    asked = {
        "image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "au_pro", "false_reject_rate",
        "false_reject_interval",
        "false_reject_asked", "train_seconds", "ms_per_frame", "settings",
    }  # fmt: skip
    assert asked <= found.keys()
    assert 0 <= found["image_auroc"] <= 1
    assert found["settings"]["architecture"]["backbone"] == "efficientnet_lite0"
    assert found["train_seconds"] > 0
    assert found["capability"]["pictures"] > 0
    assert len(found["capability"]["sentences"]) == 9


def test_evaluate_of_good_pictures_alone_leaves_what_it_cannot_know_empty(
    parts_folder: Path, tmp_path: Path, data: Path, flawline: Run
) -> None:
    alone = tmp_path / "alone" / "train" / "good"
    alone.mkdir(parents=True)
    for path in sorted((parts_folder / "train" / "good").iterdir())[:8]:
        (alone / path.name).write_bytes(path.read_bytes())
    code, _ = flawline("evaluate", "--data", tmp_path / "alone", *TINY, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert code == 0
    assert (found["image_auroc"], found["pixel_auroc"], found["false_reject_rate"]) == (None, None, None)
    assert found["train_seconds"] > 0


def test_onboard_teaches_registers_and_activates(parts_folder: Path, data: Path, tmp_path: Path, flawline: Run) -> None:
    code, told = flawline("onboard", "ring", parts_folder, *TINY, "--json", tmp_path / "found.json")
    assert code == 0, told
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["product"], found["state"]) == ("ring", "ACTIVE")
    assert found["pictures"]["train"] + found["pictures"]["calibration"] == 12
    assert "can prove a false-reject rate of" in told
    assert "Made-up flaws, 12 of each size, on" in told
    assert found["capability"]["sentences"][0] in told
    assert (data / "blobs" / "model" / "ring" / f"{found['sha256']}.safetensors").is_file()
    with parts.database(read_settings()) as database, database.reading() as connection:
        card = models.active(connection)["ring"].card
    assert card is not None
    assert (card["sha256"], len(card["curves"])) == (found["sha256"], 2)
    assert (data / "blobs" / card["fixture"]["picture"]).read_bytes().startswith(b"\x89PNG")
    code, told = flawline("train", "ring", parts_folder, *TINY, "--seed", 1)
    assert code == 0
    assert "candidate" in told
    _, listed = flawline("models", "list", "--json", "-")
    states = {model["id"]: model["state"] for model in json.loads(listed)["models"]}
    assert states == {"1": "ACTIVE", "2": "TRAINED"}
    flawline("models", "activate", 2, "--note", "sharper on scratches")
    _, listed = flawline("models", "list")
    assert "RETIRED" in listed


def test_onboard_says_plainly_what_is_wrong_with_the_pictures(
    parts_folder: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in (parts_folder / "train" / "good").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "words.png").write_text("this is a text file")
    whole = (folder / "0000.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    code, told = flawline("onboard", "ring", folder, *TINY)
    assert code == 0
    flat = " ".join(told.split())
    for name in ("empty.jpg", "words.png", "cut.png"):
        assert f"left out {name}" in flat


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("onboard", "ring", "/nowhere/at/all"), "no such folder"), (("onboard", "Ring!", "{parts}"), "product"),
        (("onboard", "ring", "{parts}", "--budget", "soon"), "budget 'soon'"),
        (("onboard", "ring", "{parts}", "--ablation", "rd-f"), "rd-e"),
        (("onboard", "ring", "{parts}", "--roi", "1,2,3"), "X,Y,WIDTH,HEIGHT"),
        (("onboard", "ring", "{parts}", "--ignore", "1,2,3,x"), "1,2,3,x"),
        (("onboard", "ring", "{parts}", "--backbone", "resnet9000"), "resnet9000"),
        (("onboard", "ring", "{parts}", "--roi", "0,0,5000,5000", *TINY), "5000"),
    ],
)  # fmt: skip
def test_what_nobody_can_mean_is_refused_in_words(
    arguments: tuple[str, ...], said: str, parts_folder: Path, data: Path, flawline: Run
) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        flawline(*(argument.format(parts=parts_folder) for argument in arguments))


def test_inspect_gives_verdict_score_limits_and_regions_of_each_picture(
    model_file: Path, parts_folder: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    found = tmp_path / "found.json"
    code, told = flawline(
        "inspect", "--model", model_file, parts_folder / "test" / "good", tmp_path / "empty.png", "--json", found,
        "--overlays", tmp_path / "overlays")  # fmt: skip
    pictures = json.loads(found.read_text())["pictures"]
    assert len(pictures) == 4
    good, bad = pictures[:3], pictures[3]
    for one in good:
        assert one["verdict"] in {"PASS", "REVIEW"}
        assert (one["verdict"] == "PASS") == (one["score"] <= one["limits"]["t_lo"])
        assert bool(one["regions"]) == (one["verdict"] != "PASS")
    assert (bad["verdict"], bad["reason"], bad["score"]) == ("INVALID", "DECODE_ERROR", None)
    assert "empty.png" in bad["detail"]
    overlays = sorted((tmp_path / "overlays").glob("*_overlay.png"))
    assert len(overlays) == 3
    drawn, raw = cv2.imread(str(overlays[0])), cv2.imread(good[0]["path"])
    assert drawn is not None
    assert raw is not None
    assert drawn.shape == raw.shape
    assert code == 1
    assert "4 pictures" in told


def test_an_overlay_marks_what_is_above_the_limit_and_leaves_the_rest_alone(
    model_file: Path, parts_folder: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    scratched = cv2.imread(str(parts_folder / "test" / "good" / "0000.png"))
    assert scratched is not None
    cv2.circle(scratched, (320, 100), 40, (0, 0, 255), -1)
    cv2.imwrite(str(tmp_path / "marred.png"), scratched)
    found = tmp_path / "found.json"
    flawline("inspect", "--model", model_file, tmp_path / "marred.png", "--json", found, "--overlays", tmp_path)
    (one,) = json.loads(found.read_text())["pictures"]
    drawn = cv2.imread(str(tmp_path / "marred_overlay.png"))
    assert drawn is not None
    changed = np.abs(drawn.astype(int) - scratched.astype(int)).sum(axis=2) > 0
    assert changed.any() == (one["verdict"] != "PASS")


def test_inspect_shows_a_marred_part_beside_golden_ones_and_tells_areas_in_mm2(
    model_file: Path, parts_folder: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    marred = cv2.imread(str(parts_folder / "test" / "good" / "0000.png"))
    assert marred is not None
    cv2.circle(marred, (320, 100), 40, (0, 0, 255), -1)
    cv2.line(marred, (190, 150), (230, 330), (0, 255, 0), 12)
    cv2.imwrite(str(tmp_path / "marred.png"), marred)
    found = tmp_path / "found.json"
    more = ("--json", found, "--overlays", tmp_path / "seen", "--mm-per-pixel", 0.05)
    flawline("inspect", "--model", model_file, tmp_path / "marred.png", *more)
    (one,) = json.loads(found.read_text())["pictures"]
    assert one["verdict"] == "REVIEW"
    assert [region["area_mm2"] for region in one["regions"]] == [
        pytest.approx(region["area"] * 0.0025) for region in one["regions"]
    ]
    assert len(one["golden"]) == 3
    assert [near["distance"] for near in one["golden"]] == sorted(near["distance"] for near in one["golden"])
    shown = cv2.imread(str(tmp_path / "seen" / "marred_golden.jpg"))
    assert shown is not None
    assert shown.shape[1] == 4 * 320


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x10" * 4000])
def test_inspect_refuses_a_file_that_is_no_model(
    content: bytes, parts_folder: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"bad\.safetensors"):
        flawline("inspect", "--model", tmp_path / "bad.safetensors", parts_folder / "test" / "good")


def test_inspect_takes_the_active_model_of_a_product(parts_folder: Path, data: Path, flawline: Run) -> None:
    flawline("onboard", "ring", parts_folder, *TINY, "--ignore", "0,0,640,40", "--ignore", "0,440,640,40")
    code, told = flawline("inspect", "--product", "ring", parts_folder / "test" / "good", "--json", "-")
    assert len(json.loads(told)["pictures"]) == 3
    assert code in {0, 1}
    assert {region["area_mm2"] for one in json.loads(told)["pictures"] for region in one["regions"]} <= {None}
    with pytest.raises(SettingsInvalid, match="no active model"):
        flawline("inspect", "--product", "gearbox", parts_folder / "test" / "good")
    with pytest.raises(SettingsInvalid, match="--model"):
        flawline("inspect", parts_folder / "test" / "good")


def test_the_scale_of_a_product_stays_until_another_one_is_given(parts_folder: Path, data: Path, flawline: Run) -> None:
    def scale() -> float | None:
        return find_model(None, "ring")[1]

    flawline("onboard", "ring", parts_folder, *TINY, "--mm-per-pixel", 0.05)
    assert scale() == 0.05
    flawline("onboard", "ring", parts_folder, *TINY, "--seed", 1)
    assert scale() == 0.05
    flawline("train", "ring", parts_folder, *TINY, "--mm-per-pixel", 0.04)
    assert scale() == 0.04


def test_inspect_refuses_a_model_that_was_calibrated_elsewhere(
    model_file: Path, parts_folder: Path, data: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_WORKER__RUNTIME", "openvino")
    with pytest.raises(ModelUnusable, match="not calibrated"):
        flawline("inspect", "--model", model_file, parts_folder / "test" / "good")


def test_the_database_is_made_and_its_revision_told(data: Path, flawline: Run) -> None:
    assert "no tables yet" in flawline("db", "current")[1]
    assert "CREATE TABLE inspections" in flawline("db", "upgrade", "--sql")[1]
    assert not data.exists()
    assert f"revision {REVISION}" in flawline("db", "upgrade")[1]
    assert f"at {REVISION}" in flawline("db", "current")[1]


def test_empty_books_balance(data: Path, flawline: Run) -> None:
    flawline("db", "upgrade")
    code, told = flawline("books")
    assert code == 0
    assert "the books balance" in told
    assert json.loads(flawline("books", "--json", "-")[1])["lost"] == 0


def test_the_doctor_finds_nothing_wrong_with_this_machine(data: Path, flawline: Run) -> None:
    code, told = flawline("doctor")
    assert code == 0, told
    assert "learning and inspection (model) can run here" in told


def test_the_doctor_names_a_damaged_database(data: Path, flawline: Run) -> None:
    data.mkdir()
    (data / "flawline.sqlite").write_bytes(b"this is not a database" * 100)
    code, told = flawline("doctor", "--json", "-")
    assert code == 1
    assert any(f["level"] == "wrong" and "flawline.sqlite" in f["what"] for f in json.loads(told)["findings"])


def test_up_without_a_line_file_says_how_to_make_one(data: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="flawline demo"):
        flawline("up")


def test_the_demo_refuses_to_delete_a_folder_that_is_not_its_own(data: Path, tmp_path: Path, flawline: Run) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(SettingsInvalid, match="is not deleted"):
        flawline("demo", "--data", tmp_path, "--fresh")
    assert (tmp_path / "precious.txt").exists()


def test_a_port_that_is_taken_is_refused_before_anything_is_learnt(
    data: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FLAWLINE_DASHBOARD__PORT", str(port))
        with pytest.raises(SettingsInvalid, match=f"{port}.*FLAWLINE_DASHBOARD__PORT"):
            flawline("demo")
    assert not data.exists()


def test_the_demo_refuses_an_unknown_product(data: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="gearbox"):
        flawline("demo", "--products", "gearbox")
