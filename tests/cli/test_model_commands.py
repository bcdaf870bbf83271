"""`flawline model`: checkpoints of the authors' code, and what model files say of themselves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cli import parts
from core.errors import ModelUnusable, SettingsInvalid
from core.records import models
from core.records.models import NewModel
from core.settings import read_settings
from model.model_file import load, sha256_of
from tests.cli.conftest import Run
from tests.cli.test_ablate import small_set
from tests.model.learning.conftest import part, write
from tests.model.network.released import light


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Path]:
    """A checkpoint of zeros; what is made of it is 0.6 GB, and does not stay."""
    path = tmp_path / "urd.pth"
    torch.save(light(), path)
    yield path
    for made in tmp_path.rglob("*.safetensors"):
        made.unlink()


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, as `flawline evaluate --keep` leaves it."""
    from cli.asked import Asked
    from cli.teach import evaluate_data

    root = tmp_path_factory.mktemp("learnt")
    kept = root / "ring.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWLINE_WORKER__RUNTIME", "torch")
        patch.setenv("FLAWLINE_WORKER__THREADS", "1")
        asked = Asked(budget="2it", size=64)
        assert evaluate_data(small_set(root / "rings"), asked, keep=kept, json_file=root / "found.json") == 0
    return kept


def test_an_imported_checkpoint_is_a_model_file_that_judges_nothing_yet(
    checkpoint: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    found = tmp_path / "found.json"
    code, told = flawline("model", "import-urd", checkpoint, "--size", 64, "--json", found)
    assert code == 0
    assert "not calibrated" in told
    made = checkpoint.with_suffix(".safetensors")
    values = json.loads(found.read_text())
    assert (values["model"], values["sha256"], values["bytes"]) == (str(made), sha256_of(made), made.stat().st_size)
    assert (values["skip"], values["size"], values["limits"], values["message"]) == ("gii", 64, None, None)
    with pytest.raises(ModelUnusable, match="not calibrated: it has no limits"):
        flawline("inspect", "--model", made, write(tmp_path / "part.png", part(0)))
    _, card = flawline("model", "show", made)
    assert "wide_resnet50_2" in card
    assert "neither PASS nor FAIL" in card
    assert "urd.pth" in card


def test_good_pictures_make_it_judge(checkpoint: Path, data: Path, tmp_path: Path, flawline: Run) -> None:
    good = tmp_path / "good"
    for number in range(5):
        write(good / f"{number}.png", part(number))
    (good / "broken.png").write_bytes(b"")
    made = tmp_path / "deep" / "made.safetensors"
    options = ("--out", made, "--size", 64, "--skip", "plain", "--pictures", good)
    code, told = flawline("model", "import-urd", checkpoint, *options)
    assert code == 0
    flat = " ".join(told.split())
    assert "left out broken.png" in flat
    assert "5 held-out good parts can prove a false-reject rate of 16.67%" in flat
    assert load(made).manifest.architecture["skip"] == "plain"
    code, told = flawline("inspect", "--model", made, good / "0.png", "--json", "-")
    assert code == 0
    assert json.loads(told)["pictures"][0]["verdict"] == "PASS"


def test_what_is_no_such_checkpoint_is_refused_in_words(checkpoint: Path, data: Path, flawline: Run) -> None:
    tables = light()
    tables["student"]["surplus"] = torch.zeros(1)
    torch.save(tables, checkpoint)
    with pytest.raises(ModelUnusable, match=r"urd\.pth.*student: surplus is surplus"):
        flawline("model", "import-urd", checkpoint)
    checkpoint.write_text("not a checkpoint")
    with pytest.raises(ModelUnusable, match="no archive"):
        flawline("model", "import-urd", checkpoint)
    with pytest.raises(ModelUnusable, match="no such file"):
        flawline("model", "import-urd", checkpoint.with_name("nothing.pth"))
    assert not list(checkpoint.parent.glob("*.safetensors"))


def test_options_that_nobody_can_mean_are_refused(checkpoint: Path, data: Path, tmp_path: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="the checkpoint itself"):
        flawline("model", "import-urd", checkpoint, "--out", checkpoint)
    with pytest.raises(SettingsInvalid, match="multiples of 32"):
        flawline("model", "import-urd", checkpoint, "--size", 100)
    with pytest.raises(SettingsInvalid, match="no such folder"):
        flawline("model", "import-urd", checkpoint, "--size", 64, "--pictures", tmp_path / "nowhere")
    assert flawline("model", "import-urd", checkpoint, "--skip", "some")[0] == 2
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_model_file_shows_its_card(learnt: Path, data: Path, flawline: Run) -> None:
    code, told = flawline("model", "show", learnt)
    assert code == 0
    lines = [" ".join(line.split()) for line in told.splitlines()]
    manifest = load(learnt).manifest
    assert manifest.limits is not None
    assert manifest.data is not None
    for line in (
        "method rd-e+gii: RD-E with guided information injection", "backbone efficientnet_lite0, expanded features",
        "input 64 × 64 px", "iterations teacher 1, student 1", "witness both", f"digest {manifest.data.digest}",
        f"PASS up to {manifest.limits.t_lo:.4f}", f"SHA-256 {sha256_of(learnt)}",
    ):  # fmt: skip
        assert line in lines
    titles = ("network", "pictures", "training", "limits", "calibration", "runtime parity", "golden memory",
              "made-up flaws", "file")  # fmt: skip
    for title in titles:
        assert title in lines


def test_a_card_as_json_is_the_manifest(learnt: Path, data: Path, flawline: Run) -> None:
    values = json.loads(flawline("model", "show", learnt, "--json", "-")[1])
    assert values["manifest"] == load(learnt).manifest.model_dump(mode="json")
    assert (values["bytes"], values["sha256"]) == (learnt.stat().st_size, sha256_of(learnt))
    assert values["card"]["sha256"] == sha256_of(learnt)
    assert [curve["iterations"] for curve in values["card"]["curves"]] == [[1], [1]]
    assert values["card"]["parity"]["told"] == "the runtime is PyTorch in float32 itself"


def test_a_model_of_before_there_were_cards_is_given_one(learnt: Path, data: Path, flawline: Run) -> None:
    manifest = load(learnt).manifest.model_dump(mode="json")
    settings = read_settings()
    parts.prepare(settings)
    with parts.database(settings) as database, database.writing() as connection:
        for product, words in (("bottle", manifest), ("strange", {})):
            new = NewModel(product=product, blob=f"model/{product}/a.safetensors", sha256="ab", size=7,
                           recipe_version=1, manifest=words, metrics={})  # fmt: skip
            models.register(connection, new, who="x", now=parts.now())
    parts.blobs(settings).put("model/bottle/a.fixture.png", b"picture")
    told = json.loads(flawline("models", "cards", "--json", "-")[1])["models"]
    assert [(one["product"], one["added"]) for one in told] == [("bottle", True), ("strange", False)]
    with parts.database(settings) as database, database.reading() as connection:
        (row,) = models.versions(connection, "bottle")
    assert row.card is not None
    assert (row.card["sha256"], row.card["bytes"]) == ("ab", 7)
    assert row.card["fixture"]["picture"] == "model/bottle/a.fixture.png"
    assert "strange 2" in flawline("models", "cards")[1]
    with parts.database(settings) as database, database.writing() as connection:
        models.remove(connection, 2, who="x", note="", now=parts.now())
    assert "every model has its card" in flawline("models", "cards")[1]


def test_a_damaged_model_file_has_no_card(learnt: Path, data: Path, tmp_path: Path, flawline: Run) -> None:
    whole = learnt.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnusable, match=r"cut\.safetensors"):
        flawline("model", "show", tmp_path / "cut.safetensors")
