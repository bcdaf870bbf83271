"""`flawline bench peers`: ours for real on a handful of pictures; a stand-in for what needs anomalib."""

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cli.bench_peers import bench_peers, exit_code, splits_of, table_of, tell_rows
from cli.peers.child import NOT_INSTALLED, Ending, RowCancelled, run_child
from cli.peers.figures import FIGURES, Row, row_of
from cli.peers.jobs import MODELS, SCRIPT, Asked, Split, write_job, write_weights
from core.errors import ModelUnusable, SettingsInvalid
from core.settings import read_settings
from core.stop import Stop
from model.architecture import Architecture
from model.backbones import build_encoder
from tests.cli.conftest import Run, interrupted
from tests.cli.test_ablate import small_set
from tests.model.learning.conftest import part, write

SIDE = 64
STAND_IN = """
import json, sys
from pathlib import Path
import numpy as np

folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
(folder / "progress").write_text("testing 1 4")
if job["model"] == "padim":
    sys.exit("ValueError: the covariance is singular")
if job["model"] == "patchcore":
    raise ModuleNotFoundError("No module named 'anomalib'")
scores = [0.0 if one["kind"] == "good" else 1.0 for one in job["test"]]
maps = np.zeros((len(scores), job["side"], job["side"]), np.float16)
assert Path(job["weights"]).is_file() and all(Path(path).is_file() for path in job["train"])
np.save(folder / "maps.npy", maps)
result = {"scores": scores, "train_seconds": job["seconds"], "ms_per_frame": 2.0, "peak_mb": job["coreset"]}
(folder / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("sets") / "rings")


def script(folder: Path, text: str) -> Path:
    path = folder / "peer.py"
    path.write_text(textwrap.dedent(text))
    return path


def asked(data: Path, *, peer: Path = SCRIPT, budget: str = "4s", python: str = sys.executable) -> Asked:
    return Asked(data, budget, SIDE, 3, Path(python), peer)


def result(folder: Path, scores: Sequence[float | None], maps: np.ndarray[Any, Any]) -> Path:
    values = {"scores": list(scores), "train_seconds": 4.0, "ms_per_frame": 2.5, "peak_mb": 100.0}
    (folder / "result.json").write_text(json.dumps(values))
    np.save(folder / "maps.npy", maps)
    return folder


def silent(phase: str, done: float, total: float, numbers: Mapping[str, float]) -> None:
    """Tells nothing."""


def test_the_job_names_every_picture_with_its_label_and_its_mask(rings: Path, tmp_path: Path) -> None:
    write_job(tmp_path, "stfpm", Split.of(rings), asked(rings), read_settings(), seconds=7.0)
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["train"] == [str(rings / f"train/good/{number}.png") for number in range(8)]
    assert [(Path(one["path"]).parent.name, one["kind"]) for one in job["test"]] == [
        (kind, kind) for kind in ("good", "good", "scratch", "scratch")
    ]
    assert [one["mask"] for one in job["test"][:2]] == [None, None]
    assert job["test"][2]["mask"] == str(rings / "ground_truth/scratch/0_mask.png")
    assert (job["model"], job["side"], job["seed"], job["threads"], job["seconds"]) == ("stfpm", SIDE, 3, None, 7.0)


def test_the_truth_is_of_the_whole_picture_squeezed_into_a_square(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / f"train/good/{number}.png", part(number, size=(64, 128)))
    write(tmp_path / "test/good/0.png", part(20, size=(64, 128)))
    for name in ("masked", "unmasked"):
        write(tmp_path / f"test/scratch/{name}.png", part(30, size=(64, 128)))
    mask = np.zeros((64, 128), np.uint8)
    mask[16:32, 64:128] = 255
    write(tmp_path / "ground_truth/scratch/masked_mask.png", mask)
    good, masked, unmasked = Split.of(tmp_path).truth(32)
    assert good is not None
    assert not good.any()
    assert masked is not None
    assert masked.sum() == 8 * 16
    assert masked[8:16, 16:32].all()
    assert unmasked is None


def test_peers_get_the_weights_that_ours_begins_with_in_the_order_of_the_network(tmp_path: Path) -> None:
    found = torch.load(write_weights(tmp_path / "weights.pt", read_settings()), weights_only=True)
    assert list(found) == list(build_encoder(Architecture()).state_dict())
    assert next(iter(found)) == "conv_stem.weight"
    assert float(found["conv_stem.weight"].std()) > 0.1


def test_figures_are_made_of_scores_and_maps_by_our_own_metrics(rings: Path, tmp_path: Path) -> None:
    split = Split.of(rings)
    truth = split.truth(SIDE)
    maps = np.stack([np.zeros((SIDE, SIDE)) if mask is None else mask.astype(np.float64) for mask in truth])
    row = row_of(Ending("done"), result(tmp_path, [0, 2, 1, 3], maps), split, truth, model="padim")
    assert row.figures["image_auroc"] == 0.75
    assert row.figures["pixel_auroc"] == 1.0
    assert row.figures["pixel_auroc_at_input"] is None
    assert [row.figures[name] for name in ("train_seconds", "ms_per_frame", "peak_mb")] == [4.0, 2.5, 100.0]
    assert (row.judged, row.left_out) == (4, 0)


def test_a_refused_picture_counts_for_nothing(rings: Path, tmp_path: Path) -> None:
    split = Split.of(rings)
    maps = np.zeros((4, SIDE, SIDE), np.float16)
    maps[1] = np.nan
    row = row_of(Ending("done"), result(tmp_path, [0, None, 1, 3], maps), split, split.truth(SIDE), model="ours")
    assert (row.figures["image_auroc"], row.judged, row.left_out) == (1.0, 3, 1)


@pytest.mark.parametrize(
    ("scores", "count", "why"),
    [([0, 1], 2, "2 scores and 2 maps of 4"), ([0, 1, 2, 3], 3, "3 maps"), ([0, 1, 2, float("nan")], 4, "not finite")],
)
def test_a_result_that_nobody_can_use_is_a_failed_row(
    scores: list[float], count: int, why: str, rings: Path, tmp_path: Path
) -> None:
    split = Split.of(rings)
    folder = result(tmp_path, scores, np.zeros((count, SIDE, SIDE), np.float16))
    row = row_of(Ending("done"), folder, split, split.truth(SIDE), model="stfpm")
    assert row.outcome == "failed"
    assert why in row.why_not


def test_a_child_that_leaves_nothing_is_a_failed_row(rings: Path, tmp_path: Path) -> None:
    split = Split.of(rings)
    row = row_of(Ending("done"), tmp_path, split, split.truth(SIDE), model="padim")
    assert row.outcome == "failed"
    assert "no usable result" in row.why_not


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("pass", Ending("done")),
        ("raise core_dumped", Ending("failed", "NameError: name 'core_dumped' is not defined")),
        ("import json; json.loads('{')", Ending("failed", "JSONDecodeError: Expecting property name")),
        ("import sys; sys.exit('no memory left')", Ending("failed", "no memory left")),
        ("import sys; sys.exit(4)", Ending("failed", "ended with exit code 4")),
        ("import os; os.kill(os.getpid(), 9)", Ending("failed", "ended by SIGKILL; the memory may not have sufficed")),
        ("raise ModuleNotFoundError(\"No module named 'anomalib'\")", Ending("absent", NOT_INSTALLED)),
        (
            "raise ModuleNotFoundError(\"No module named 'lightning'\")",
            Ending("failed", "ModuleNotFoundError: No module named 'lightning'"),
        ),
    ],
)
def test_how_a_child_ended_is_told_in_words(text: str, ending: Ending, tmp_path: Path) -> None:
    found = run_child([sys.executable, str(script(tmp_path, text))], tmp_path, stop=Stop(), tell=silent)
    assert found.outcome == ending.outcome
    assert found.why.startswith(ending.why)


def test_a_child_says_how_far_it_is(tmp_path: Path) -> None:
    text = """
        import sys, time
        from pathlib import Path
        (Path(sys.argv[1]) / "progress").write_text("training student 3 12")
        time.sleep(0.7)
    """
    told: list[tuple[str, float, float]] = []

    def tell(phase: str, done: float, total: float, numbers: Mapping[str, float]) -> None:
        told.append((phase, done, total))

    command = [sys.executable, str(script(tmp_path, text)), str(tmp_path)]
    run_child(command, tmp_path, stop=Stop(), tell=tell)
    assert set(told) == {("training student", 3.0, 12.0)}


def test_a_stop_ends_the_child(tmp_path: Path) -> None:
    stop = Stop()

    def ask(phase: str, done: float, total: float, numbers: Mapping[str, float]) -> None:
        stop.asked = True

    text = """
        import os, sys, time
        from pathlib import Path
        (Path(sys.argv[1]) / "pid").write_text(str(os.getpid()))
        (Path(sys.argv[1]) / "progress").write_text("learning 0 1")
        time.sleep(60)
    """
    with pytest.raises(RowCancelled):
        run_child([sys.executable, str(script(tmp_path, text)), str(tmp_path)], tmp_path, stop=stop, tell=ask)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def finished(rings: Path) -> list[Row]:
    figures = dict.fromkeys(FIGURES, 0.5) | {"train_seconds": 181.6, "peak_mb": 1234.4, "pixel_auroc": None}
    return [
        Row(rings, "ours", figures=figures, judged=3, left_out=1),
        Row(rings, "padim", "absent", NOT_INSTALLED),
        Row(rings, "stfpm", "failed", "RuntimeError: its training diverged"),
    ]


def test_the_table_has_a_line_for_each_row_and_says_why_one_is_empty(
    rings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table_of(finished(rings)).print()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "set"
    for heading in ("image AUROC", "pixel AUROC", "train s", "ms/frame", "peak MB"):
        assert heading in lines[0]
    assert lines[1].split() == ["rings", "ours", "0.5000", "–", "182", "0.5", "1234"]
    assert "refused 1 test pictures" in lines[2]
    assert lines[3].split() == ["rings", "padim", *["–"] * 5]
    assert lines[4].strip() == f"padim: {NOT_INSTALLED}"
    assert lines[6].strip() == "stfpm: RuntimeError: its training diverged"


def test_the_json_has_every_figure_of_every_row(rings: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    tell_rows(finished(rings), asked(rings), planned=5, complete=False, json_file=found)
    values = json.loads(found.read_text())
    assert (values["complete"], values["planned"], values["coreset"], values["size"]) == (False, 5, 1500, SIDE)
    assert [(row["set"], row["model"], row["outcome"]) for row in values["rows"]] == [
        ("rings", "ours", "done"), ("rings", "padim", "absent"), ("rings", "stfpm", "failed")
    ]  # fmt: skip
    assert values["rows"][0]["train_seconds"] == 181.6
    assert values["rows"][0]["why_not"] is None
    assert values["rows"][1]["why_not"] == NOT_INSTALLED
    assert all(set(FIGURES) <= row.keys() for row in values["rows"])


@pytest.mark.slow
def test_the_whole_comparison_with_a_stand_in_for_the_peers(
    rings: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    code = bench_peers(asked(rings, peer=script(tmp_path, STAND_IN)), json_file=found)
    assert code == 1, "one of the peers crashes"
    rows = {row["model"]: row for row in json.loads(found.read_text())["rows"]}
    assert tuple(rows) == MODELS
    for model in ("ours", "rd-e+gii"):
        assert rows[model]["outcome"] == "done", rows[model]["why_not"]
        assert rows[model]["judged"] == 4
        assert 0 <= rows[model]["image_auroc"] <= 1
        assert 0 <= rows[model]["pixel_auroc"] <= 1
        assert 0 <= rows[model]["pixel_auroc_at_input"] <= 1
        assert rows[model]["peak_mb"] > 100
        assert rows[model]["ms_per_frame"] > 0
    assert (rows["padim"]["outcome"], rows["padim"]["why_not"]) == ("failed", "ValueError: the covariance is singular")
    assert (rows["patchcore"]["outcome"], rows["patchcore"]["why_not"]) == ("absent", NOT_INSTALLED)
    assert (rows["stfpm"]["image_auroc"], rows["stfpm"]["pixel_auroc"]) == (1.0, 0.5)
    assert rows["stfpm"]["peak_mb"] == 1500
    assert rows["stfpm"]["train_seconds"] == pytest.approx(rows["ours"]["train_seconds"])
    told = capsys.readouterr()
    assert f"patchcore: {NOT_INSTALLED}" in told.out
    assert "3 of 5: padim on rings" in told.err
    assert "failed: ValueError: the covariance is singular; the others go on" in told.err


def test_what_ours_leaves_is_of_the_whole_picture(rings: Path, tmp_path: Path) -> None:
    from cli.peers.ours_row import main

    split = Split.of(rings)
    more = {"data": str(rings), "budget": "4s", "witness": "student", "runtime": "torch", "weights_place": None}
    write_job(tmp_path, "rd-e+gii", split, asked(rings), read_settings(), **more | {"threads": 1})
    main(tmp_path)
    values = json.loads((tmp_path / "result.json").read_text())
    maps = np.load(tmp_path / "maps.npy")
    assert (maps.dtype, maps.shape) == (np.float16, (4, SIDE, SIDE))
    assert np.abs(maps).max() == 32768
    assert np.argmax(maps.max(axis=(1, 2))) == np.argmax(values["scores"])
    assert not (tmp_path / "maps.raw").exists()


def test_a_peer_that_is_not_installed_has_not_failed(rings: Path) -> None:
    rows = finished(rings)
    assert exit_code(rows[:2], complete=True) == 0
    assert exit_code(rows, complete=True) == 1
    assert exit_code(rows[:1], complete=False) == 130


@pytest.mark.slow
def test_ctrl_c_prints_what_is_finished(rings: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    words = ["bench", "peers", "--data", str(rings), "--budget", "4s", "--size", str(SIDE), "--json", str(found)]
    code, told, rest = interrupted(words, when="2 of 5")
    assert code == 130, rest
    assert "Traceback" not in rest
    assert "not complete: 1 of 5 rows are finished" in told
    assert [row["model"] for row in json.loads(found.read_text())["rows"]] == ["ours"]


def test_what_cannot_be_compared_is_refused_before_anything_is_learnt(
    rings: Path, data: Path, tmp_path: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsInvalid, match="no such folder"):
        flawline("bench", "peers", "--data", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsInvalid, match="neither a data set nor"):
        flawline("bench", "peers", "--data", tmp_path / "empty")
    for number in range(8):
        write(tmp_path / f"untested/train/good/{number}.png", part(number))
    with pytest.raises(SettingsInvalid, match="good and on defective test pictures"):
        flawline("bench", "peers", "--data", tmp_path / "untested")
    with pytest.raises(SettingsInvalid, match="budget 'soon'"):
        flawline("bench", "peers", "--data", rings, "--budget", "soon")
    with pytest.raises(SettingsInvalid, match="--peers-python"):
        flawline("bench", "peers", "--data", rings, "--peers-python", tmp_path / "python")
    monkeypatch.setenv("FLAWLINE_WEIGHTS", str(tmp_path / "nothing.pth"))
    with pytest.raises(ModelUnusable, match=r"nothing\.pth"):
        flawline("bench", "peers", "--data", rings)


def test_a_folder_of_sets_has_them_all(tmp_path: Path) -> None:
    for number, name in enumerate(("left", "right")):
        small_set(tmp_path / "sets" / name, 20 * number)
    assert [split.root.name for split in splits_of(asked(tmp_path / "sets"))] == ["left", "right"]


def test_the_peers_script_imports_nothing_of_ours() -> None:
    from tests.test_architecture import ALLOWED, tops

    assert not tops(SCRIPT) & {*ALLOWED, "tests"}
