"""`flawline train` of a product that is known already: from which networks it begins."""

import json
from pathlib import Path

import pytest

from cli.warm_start import product_start
from core.errors import ModelUnusable
from core.settings import read_settings
from model.warm_start import WarmStart
from tests.cli.conftest import Run
from tests.model.learning.conftest import part, write

TINY = ("--budget", "2it", "--size", "64", "--json", "-")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    for number in range(8):
        write(tmp_path / f"good/{number}.png", part(number))
    return tmp_path / "good"


def test_a_product_is_taught_again_from_its_active_model(good: Path, data: Path, flawline: Run) -> None:
    def taught(command: str) -> dict[str, object]:
        code, told = flawline(command, "ring", good, *TINY)
        assert code == 0, told
        found: dict[str, object] = json.loads(told)
        return found

    first = taught("onboard")
    assert first["warm_start"] is None, "nothing to begin from"
    second = taught("train")
    assert second["warm_start"] == first["sha256"]
    assert second["limits"] != first["limits"]
    settings = read_settings()
    file = data / "models" / f"{first['sha256']}.safetensors"
    assert product_start("auto", settings, "ring") == WarmStart(file, required=False), "a candidate is none"
    assert product_start("off", settings, "ring") is None
    assert product_start("auto", settings, "gearbox") is None
    assert product_start(str(file), settings, "ring") == WarmStart(file)
    with pytest.raises(ModelUnusable, match="ask for the same network"):
        flawline("train", "ring", good, *TINY, "--ablation", "rd-e", "--warm-start", file)
    for lost in (file, data / "blobs" / "model" / "ring" / file.name):
        lost.unlink()
    assert product_start("auto", settings, "ring") is None, "a lost model holds nothing up"
