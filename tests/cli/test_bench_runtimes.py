"""`flawline bench model`: its rules, its rounds, and one short real run on a small picture."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bench_accuracy import Judged, auroc_lost, compared, read_exam, verdicts
from cli.bench_commands import sizes_of
from cli.bench_network import print_report, run_bench
from cli.bench_peaks import matrix_product
from cli.bench_rounds import in_rounds, paired_ratio
from cli.bench_runtimes import COMPILED, EAGER, MAKERS, ONNX, OPENVINO, Absent, Subject, assemble, flop_per_picture
from cli.bench_subject import Asked, open_bench
from cli.bench_tables import STAGES, Names, Target, Timed, figure, path_figures, percent, reasons, speed_rows, targets
from core.errors import SettingsInvalid
from core.verdicts import MachineVerdict
from model.architecture import Architecture
from model.errors import RuntimeUnavailable
from model.learning import LearnOptions, learn
from model.manifest import DataSnapshot
from model.model_file import read_manifest
from model.pace import Budget
from model.quantising import quantised, quantised_types
from tests.cli.conftest import Run
from tests.model.learning.conftest import part, write

ROOT = Path(__file__).resolve().parents[2]
SHORT = Asked(batches=(1, 2), seconds=0.02, rounds=2, threads=1, size=64, side=64, remembered=8)
QUICK = tuple(maker for maker in MAKERS if maker[0] != COMPILED)  # compiling takes most of a minute
INSTALLED = {name: bool(importlib.util.find_spec(name)) for name in ("nncf", "onnxruntime")}


def timed(**changes: Any) -> Timed:
    """Two rounds, the second on a machine that is twice as slow; a picture takes 2 FLOP, peaks are 4 FLOP/s."""
    batches = {
        (EAGER, "f32", 4): [16.0, 32.0],
        (OPENVINO, "f32", 4): [4.0, 8.0],
        (OPENVINO, "bf16", 4): [2.0, 4.0],
        (OPENVINO, "int8", 4): [1.0, 2.5],
    }
    peaks = {"f32": [4.0, 2.0], "bf16": [8.0, 4.0]}
    return replace(Timed(batches, peaks, 2, (EAGER, "f32")), **changes)


NAMES = Names(default=(OPENVINO, "f32"), half=(OPENVINO, "bf16"), quantised=(OPENVINO, "int8"), batch=4)


def test_a_row_compares_within_each_round_so_that_a_slow_round_changes_no_ratio() -> None:
    row = timed().row((OPENVINO, "f32", 4))
    assert row == {
        "batch": 4, "ms_per_image": 1500.0, "images_per_second": pytest.approx(2 / 3), "times_eager": 4.0,
        "roofline_share": 0.5,
    }  # fmt: skip


def test_what_was_not_timed_has_no_ratio_and_no_share() -> None:
    assert timed().times((ONNX, "f32", 4), (OPENVINO, "f32", 4)) is None
    assert timed().share((OPENVINO, "int8", 4)) is None
    assert timed().share((ONNX, "f32", 4)) is None
    assert timed(eager=("nobody", "f32")).row((OPENVINO, "f32", 4))["times_eager"] is None


def test_targets_say_what_was_promised_and_whether_it_holds() -> None:
    found = targets(timed(), NAMES, auroc_lost=0.004, path_ratio=1.6)
    assert [(target.found, target.reached) for target in found] == [
        (0.5, False), (4.0, True), (pytest.approx(1.8), True), (0.004, True), (1.6, False),
    ]  # fmt: skip
    missing = targets(timed(batches={}), NAMES, auroc_lost=None, path_ratio=None)
    assert {target.reached for target in missing} == {None}


def test_a_target_tells_which_way_it_is_meant() -> None:
    assert Target("x", 3.0, 3.0).to_dict() == {"what": "x", "wanted": "at least 3", "found": 3.0, "reached": True}
    assert Target("x", 1.5, 1.6, at_least=False).to_dict()["wanted"] == "at most 1.5"


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.1, 10)), min_size=1, max_size=9), st.floats(0.2, 5))
def test_a_ratio_is_the_same_however_the_machine_sways(rounds: list[tuple[float, float]], times: float) -> None:
    one = [seconds * sway for seconds, sway in rounds]
    assert paired_ratio(one, [times * seconds for seconds in one]) == pytest.approx(times)


def test_each_work_has_its_turn_in_every_round_and_another_goes_first() -> None:
    calls: list[str] = []
    now = [0.0]

    def work(name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            calls.append(name)
            now[0] += seconds

        return call

    found = in_rounds(
        {"a": work("a", 1.0), "b": work("b", 5.0)},
        seconds=4.0, rounds=2, clock=lambda: now[0], pause=lambda _: None)  # fmt: skip
    assert found == {"a": [1.0, 1.0], "b": [5.0, 5.0]}
    assert calls == ["a", "b", "a", "a", "b", "b", "a", "a"]  # once each before it begins, then two rounds


def test_the_frame_s_way_is_told_by_stage_and_beside_its_network() -> None:
    frames = [dict.fromkeys(STAGES, 0.001) | {"network": network} for network in (0.006, 0.012, 0.006)]
    found = path_figures(frames)
    assert found["stages_ms"]["network"] == pytest.approx(6.0)
    assert found["total_ms"] == pytest.approx(12.0)
    assert found["times_network"] == pytest.approx(2.0)


def test_a_table_has_a_row_for_each_size_and_what_is_missing_has_a_reason() -> None:
    row = {"batch": 4, "ms_per_image": 8.125, "images_per_second": 123.08, "times_eager": None, "roofline_share": 0.61}
    result = {
        "runtimes": [
            {"runtime": OPENVINO, "precision": "f32", "why_not": None, "batches": [row]},
            {"runtime": OPENVINO, "precision": "bf16", "why_not": "no bf16 here", "batches": []},
        ]
    }
    assert speed_rows(result) == [
        [OPENVINO, "f32", "4", "8.12", "123.1", "–", "61%"],
        [OPENVINO, "bf16", "–", "–", "–", "–", "–"],
    ]
    assert reasons(result) == ["OpenVINO bf16: no bf16 here"]
    assert (figure(None, 2), percent(None), figure(1.005, 1)) == ("–", "–", "1.0")


@pytest.mark.parametrize(("text", "sizes"), [("1,4,8,16", (1, 4, 8, 16)), (" 8, 2,8", (2, 8)), ("3", (3,))])
def test_batch_sizes_are_read_from_the_smallest_up(text: str, sizes: tuple[int, ...]) -> None:
    assert sizes_of(text) == sizes


@pytest.mark.parametrize("text", ["", "0", "17", "4,,8", "four", "-1", "1.5", "²"])
def test_other_batch_sizes_are_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="1 to 16"):
        sizes_of(text)


def judged(scores: list[float], calibration: list[float], shift: float = 0.0) -> Judged:
    maps = np.full((len(scores), 2, 2), shift, dtype=np.float32)
    return Judged(np.array(scores), tuple(calibration), maps)


def test_each_precision_is_judged_by_its_own_limits() -> None:
    full = judged([1.0, 2.0, 9.0], [1.0, 2.0, 3.0])
    half = judged([11.0, 14.0, 19.0], [11.0, 12.0, 13.0], shift=-0.25)  # ten more everywhere, and one part odder
    assert verdicts(full) == [MachineVerdict.PASS, MachineVerdict.PASS, MachineVerdict.REVIEW]
    found = compared(half, full, np.array([True, True, False]))
    assert found == {
        "image_auroc": 1.0, "verdict_flips": 1, "verdict_flip_share": pytest.approx(1 / 3),
        "largest_map_difference": 0.25,
    }  # fmt: skip


def test_an_auroc_that_is_not_known_is_not_lost() -> None:
    report = {"precisions": {"f32": {"image_auroc": 0.99}, "int8": {"image_auroc": 0.994}}}
    assert auroc_lost(report, "int8") == pytest.approx(0.004)
    assert auroc_lost(report, "bf16") is auroc_lost(None, "int8") is None


def test_the_peak_is_a_product_of_that_size_in_that_precision() -> None:
    product = matrix_product("int8", side=64, threads=1)
    product()
    assert product.flop % (2 * 64**3) == 0
    assert product.precision == "int8"


@pytest.fixture(scope="module")
def subject() -> Subject:
    return open_bench(SHORT).subject


def test_without_a_compiler_the_row_says_so(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = list(assemble(subject, threads=1, makers=[m for m in MAKERS if m[0] in (ONNX, COMPILED)]))
    assert all(isinstance(one, Absent) for one in found)
    assert [one.why for one in found if isinstance(one, Absent)] == [
        "onnx and onnxruntime not installed; install flawline[bench]",
        "no C++ compiler here: torch.compile needs one of g++, clang++, c++",
    ]


def test_the_operations_of_the_network_are_counted(subject: Subject) -> None:
    large = replace(subject, size=(128, 128))
    assert flop_per_picture(large) == pytest.approx(4 * flop_per_picture(subject), rel=0.01)
    assert 0.2e9 < flop_per_picture(subject) < 0.3e9  # a sixteenth of 4.1 GFLOP at 256 x 256 (rd-e.md, section 10)


@pytest.mark.skipif(not INSTALLED["nncf"], reason="NNCF is not installed")
def test_only_convolutions_of_the_networks_are_quantised(subject: Subject) -> None:
    network = subject.network()
    graph = quantised(network, subject.golden[:4])
    assert quantised_types(graph) == {"Convolution", "ConvolutionBackpropData"}
    with pytest.raises(ValueError, match="golden"):
        quantised(network, subject.golden[0])


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    def refuse(*_: object) -> Any:
        raise RuntimeUnavailable("not on this machine")

    return run_bench(SHORT, makers=[*QUICK, ("another", "f32", refuse)])


def test_a_run_tells_all_that_is_documented_and_nothing_else(result: dict[str, Any]) -> None:
    json.dumps(result, allow_nan=False)
    documented = set(re.findall(r"`(\w+)`", documentation()))
    told = set(result) | {key for part in ("model", "machine", "frame") for key in result[part]}
    told |= {key for row in result["runtimes"] for key in row} | set(result["runtimes"][0]["batches"][0])
    assert told - documented == set()
    assert result["accuracy"] is None
    assert (result["model"]["file"], result["model"]["width"]) == (None, 64)
    assert {"f32", "int8"} <= set(result["peaks_gflops"])


def test_every_runtime_answers_alike_or_says_why_it_does_not(result: dict[str, Any]) -> None:
    rows = {(row["runtime"], row["precision"]): row for row in result["runtimes"]}
    assert len(rows) == len(QUICK) + 1
    assert rows["another", "f32"]["why_not"] == "not on this machine"
    assert rows[EAGER, "f32"]["why_not"] is rows[OPENVINO, "f32"]["why_not"] is None
    assert bool(rows[ONNX, "f32"]["why_not"]) is not INSTALLED["onnxruntime"]
    assert bool(rows[OPENVINO, "int8"]["why_not"]) is not INSTALLED["nncf"]
    for (_, precision), row in rows.items():
        assert [found["batch"] for found in row["batches"]] == ([] if row["why_not"] else [1, 2])
        if precision == "f32" and not row["why_not"]:
            assert row["largest_map_difference"] <= 1e-3
    if not rows[OPENVINO, "bf16"]["why_not"]:
        assert 0 < rows[OPENVINO, "bf16"]["largest_map_difference"] <= 0.05


def test_a_frame_passes_every_stage(result: dict[str, Any]) -> None:
    frame = result["frame"]
    assert (frame["why_not"], frame["picture"]) == (None, "1280x1024")
    assert list(frame["stages_ms"]) == list(STAGES)
    assert frame["total_ms"] > frame["stages_ms"]["network"]
    assert frame["times_network"] > 1


def test_the_report_is_printed_with_its_reasons(result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_report(result)
    said = capsys.readouterr().out
    assert "not on this machine" in said
    assert "GFLOP per image" in said
    assert "no accuracy" in said
    assert said.count("reached") + said.count("not measured") >= len(result["targets"])


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model and its data set."""
    folder = tmp_path_factory.mktemp("set")
    for number in range(16):
        write(folder / f"train/good/{number:02d}.png", part(number))
    for number in range(100, 104):
        write(folder / f"test/good/{number}.png", part(number))
        write(folder / f"test/scratch/{number}.png", part(number, scratched=True))
    options = LearnOptions(
        architecture=Architecture(features="linear"), budget=Budget(iterations=8), size=64, runtime="torch", threads=1
    )
    path = tmp_path_factory.mktemp("model") / "part.safetensors"
    learn(folder, path, options=options)
    return path, folder


def test_a_model_with_its_data_tells_what_each_precision_costs(taught: tuple[Path, Path]) -> None:
    path, folder = taught
    asked = Asked(path, folder, batches=(1,), seconds=0.02, rounds=1, threads=1, side=64)
    found = run_bench(asked, makers=[maker for maker in MAKERS if maker[0] in (EAGER, OPENVINO)])
    accuracy = found["accuracy"]
    assert (accuracy["good"], accuracy["defective"], accuracy["left_out"]) == (4, 4, 0)
    assert "own calibration" in accuracy["calibrated_on"]
    assert accuracy["precisions"]["f32"]["verdict_flips"] == 0
    assert accuracy["precisions"]["f32"]["largest_map_difference"] == 0
    told = {row["precision"] for row in found["runtimes"] if row["runtime"] == OPENVINO and not row["why_not"]}
    assert set(accuracy["precisions"]) == told
    assert found["frame"]["picture"] == "64x64"
    assert set(accuracy) <= set(re.findall(r"`(\w+)`", documentation()))


def test_another_data_set_than_the_model_s_own_calibrates_on_all_of_its_good_parts(taught: tuple[Path, Path]) -> None:
    path, folder = taught
    manifest = read_manifest(path)
    own = read_exam(folder, manifest)
    other = read_exam(folder, manifest.model_copy(update={"data": DataSnapshot(digest="another")}))
    assert (len(own.learnt), len(own.calibration)) == (11, 5)
    assert len(other.learnt) == len(other.calibration) == 16
    assert "too tight" in other.calibrated_on


def test_data_without_a_model_is_refused(flawline: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="--model"):
        flawline("bench", "model", "--data", tmp_path)


@pytest.mark.parametrize("modules", ["model.openvino_runtime", "model.quantising, nncf", "cli.bench_peaks"])
def test_importing_a_runtime_calls_nobody(modules: str) -> None:
    """In a process of its own: the telemetry that this is about keeps still where pytest is loaded."""
    if "nncf" in modules and not INSTALLED["nncf"]:
        pytest.skip("NNCF is not installed")
    program = f"""
import socket, sys, multiprocessing
def called(*given, **_):
    raise SystemExit(f"called out: {{given}}")
socket.socket.connect = multiprocessing.Process.start = called
import {modules}
said = [name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name]]
assert "openvino" in sys.modules and said == [], said
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def documentation() -> str:
    said = (ROOT / "docs/commands.md").read_text()
    found = re.search(r"^### flawline bench model$\n(.*?)(?=^### |\Z)", said, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]
