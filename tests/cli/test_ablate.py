"""`flawline ablate`: real trainings on a handful of small pictures."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from cli.main import app
from core.errors import ModelUnusable, SettingsInvalid
from model.architecture import ABLATIONS
from tests.cli.conftest import Run, interrupted
from tests.model.learning.conftest import data_set, part, write
from tests.model.learning.test_ablation import overflowing

TINY = ("--budget", "2it", "--size", "64")
NAMES = list(ABLATIONS)


def small_set(root: Path, first: int = 0) -> Path:
    """Eight parts to learn from; two good and two scratched ones to test on, with masks."""
    return data_set(root, train=range(first, first + 8), test=range(first, first + 2))


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("sets") / "rings")


def _run(*arguments: object) -> tuple[int, str]:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, dict[str, Any]]:
    """Two data sets beside each other: exit code, what was printed, and the JSON."""
    root = tmp_path_factory.mktemp("several")
    for number, name in enumerate(("left", "right")):
        small_set(root / "sets" / name, 20 * number)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWLINE_WORKER__RUNTIME", "torch")
        patch.setenv("FLAWLINE_WORKER__THREADS", "1")
        code, told = _run("ablate", "--data", root / "sets", *TINY, "--seed", 5, "--json", root / "found.json")
    for number, handler in before.items():
        signal.signal(number, handler)
    return code, told, json.loads((root / "found.json").read_text())


def test_every_ablation_runs_on_every_set_with_the_same_settings(study: tuple[int, str, dict[str, Any]]) -> None:
    code, _, found = study
    assert code == 0
    assert (found["complete"], found["planned"]) == (True, 8)
    assert [(Path(run["data"]).name, run["ablation"]) for run in found["runs"]] == [
        (name, ablation) for name in ("left", "right") for ablation in NAMES
    ]
    settings = [run["evaluation"]["settings"] for run in found["runs"]]
    assert {(one["seed"], one["budget"], one["size"], one["witness"]) for one in settings} == {
        (5, "2 iterations", 64, "student")
    }
    for half in (settings[:4], settings[4:]):
        assert len({json.dumps(one["data"], sort_keys=True) for one in half}) == 1
    assert [one["architecture"]["expert"] for one in settings[:4]] == [False, True, True, True]
    assert [one["architecture"]["skip"] for one in settings[:4]] == ["none", "none", "plain", "gii"]


def test_parameters_grow_with_what_an_ablation_adds(study: tuple[int, str, dict[str, Any]]) -> None:
    runs = study[2]["runs"][:4]
    for name in ("million_parameters", "gmac"):
        rd, rd_e, skip, gii = (run[name] for run in runs)
        assert rd == rd_e < skip < gii


def test_the_mean_of_all_sets_is_told_for_each_ablation(study: tuple[int, str, dict[str, Any]]) -> None:
    found = study[2]
    assert [(mean["ablation"], mean["sets"]) for mean in found["means"]] == [(name, 2) for name in NAMES]
    left, right = (found["runs"][place]["evaluation"]["image_auroc"] for place in (3, 7))
    assert found["means"][3]["image_auroc"] == pytest.approx((left + right) / 2)


def test_one_table_has_all_runs_and_figures(study: tuple[int, str, dict[str, Any]]) -> None:
    lines = study[1].splitlines()
    (heading,) = (number for number, line in enumerate(lines) if "image AUROC" in line)
    for name in ("AP", "pixel AUROC", "AU-PRO 0.3", "AU-PRO 0.05", "false rejects", "missed", "M parameters", "GMAC"):
        assert name in lines[heading]
    table = [line.split() for line in lines[heading + 1 : heading + 13]]
    assert [row[:2] for row in table[:8]] == [[name, ablation] for name in ("left", "right") for ablation in NAMES]
    assert [row[:4] for row in table[8:]] == [["mean", "of", "2", ablation] for ablation in NAMES]
    assert "of 2" in lines[heading + 1]
    assert len({len(line) for line in lines[heading : heading + 13]}) == 1  # aligned, and never wrapped
    assert "1 of 8: rd on left" in study[1]
    assert "not complete" not in study[1]


def test_a_training_that_diverges_is_a_row_and_the_others_go_on(
    rings: Path, data: Path, tmp_path: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_WEIGHTS", str(overflowing(tmp_path / "huge.pth")))
    found = tmp_path / "found.json"
    code, told = flawline("ablate", "--data", rings, "--budget", "4it", "--size", 64, "--json", found)
    runs = json.loads(found.read_text())["runs"]
    assert [run["outcome"] for run in runs] == ["done", "diverged", "diverged", "diverged"]
    assert runs[1]["evaluation"] is None
    assert "diverged in iteration" in runs[1]["reason"]
    assert code == 1
    rows = [line.split() for line in told.splitlines()]
    assert ["rings", "rd-e", "diverged", *["–"] * 10] in rows
    assert "rd-e on rings diverged: training diverged in iteration" in told


@pytest.mark.slow
def test_stopping_prints_what_is_finished_and_says_that_it_is_not_all(rings: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    words = ["ablate", "--data", str(rings), *TINY, "--json", str(found)]
    code, told, rest = interrupted(words, when="2 of 4")
    assert code == 130, rest
    assert "Traceback" not in rest
    assert "not complete: 1 of 4 runs are finished" in told
    assert [line.split()[:2] for line in told.splitlines() if line.startswith("rings")] == [["rings", "rd"]]
    values = json.loads(found.read_text())
    assert (values["complete"], values["planned"]) == (False, 4)
    assert [run["ablation"] for run in values["runs"]] == ["rd"]


@pytest.mark.slow
def test_figures_are_on_the_disk_as_soon_as_there_are_any(rings: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    words = ["ablate", "--data", str(rings), *TINY, "--json", str(found)]
    code, _, _ = interrupted(words, when="2 of 4", by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    values = json.loads(found.read_text())
    assert not values["complete"]
    assert [run["ablation"] for run in values["runs"]] == ["rd"]


def test_json_alone_goes_to_standard_output(rings: Path, data: Path, flawline: Run) -> None:
    code, told = flawline("ablate", "--data", rings, *TINY, "--json", "-")
    assert code == 0
    assert [run["ablation"] for run in json.loads(told[told.index("{") :])["runs"]] == NAMES


@pytest.mark.parametrize("option", ["--ablation", "--witness"])
def test_what_ablate_chooses_itself_is_no_option(option: str, rings: Path, data: Path, flawline: Run) -> None:
    code, told = flawline("ablate", "--data", rings, option, "rd")
    assert code == 2
    assert "No such option" in told


def test_what_cannot_be_compared_is_refused_before_anything_is_learnt(
    rings: Path, data: Path, tmp_path: Path, flawline: Run
) -> None:
    with pytest.raises(SettingsInvalid, match="no such folder"):
        flawline("ablate", "--data", tmp_path / "nowhere", *TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsInvalid, match="neither a data set nor"):
        flawline("ablate", "--data", tmp_path / "empty", *TINY)
    for number in range(8):
        write(tmp_path / f"untested/train/good/{number}.png", part(number))
    with pytest.raises(SettingsInvalid, match="good and on defective test pictures"):
        flawline("ablate", "--data", tmp_path / "untested", *TINY)
    with pytest.raises(SettingsInvalid, match="budget 'soon'"):
        flawline("ablate", "--data", rings, "--budget", "soon")


def test_a_set_on_which_nothing_runs_is_refused_in_its_own_words(rings: Path, data: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="ROI"):
        flawline("ablate", "--data", rings, *TINY, "--roi", "0,0,500,500")


def test_weights_that_are_not_there_end_it_at_once(
    rings: Path, data: Path, tmp_path: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_WEIGHTS", str(tmp_path / "nothing.pth"))
    with pytest.raises(ModelUnusable, match=r"nothing\.pth"):
        flawline("ablate", "--data", rings, *TINY)
