"""A short storm on real servers: each point that matters is hit on purpose, each server killed once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.chaos import SERVERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

POINTS = ("inspect_after_poll", "inspect_after_blobs", "inspect_after_transaction", "inspect_after_publish")
FRAMES = 1200


def chaos(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)


def report_of(run: "subprocess.CompletedProcess[str]", path: Path) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr[-4000:] + run.stdout
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_storm_over_workers_and_servers_loses_doubles_and_passes_nothing(tmp_path: Path) -> None:
    first = (*POINTS, "capture camera-1", *SERVERS)
    order = [word for target in first for word in ("--first", target)]
    path = tmp_path / "report.json"
    run = chaos("--frames", f"{FRAMES}", "--kills", f"{len(first)}", "--cameras", "2", "--rate", "6", *order,
                "--json", str(path))  # fmt: skip
    report = report_of(run, path)
    said = json.dumps(report) + run.stderr[-2000:]
    assert (report["frames"], report["kills"]) == (FRAMES, len(first)), said
    assert (report["lost"], report["duplicated"], report["false_pass"]) == (0, 0, 0), said
    assert (report["untold"], report["contradictions"], report["disordered"]) == (0, 0, 0), said
    assert report["balanced"], said
    assert {*POINTS, *SERVERS, "capture"} == report["killed"].keys(), said
    assert "never reached" not in run.stderr, said
    assert {"PASS", "FAIL", "INVALID"} <= report["verdicts"].keys(), "good, bad and broken pictures were judged"


def test_a_server_may_stay_away_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    run = chaos(
        "--frames", "300", "--kills", "0", "--cameras", "2", "--rate", "20", "--away", "kafka=8", "--json", str(path)
    )
    report = report_of(run, path)
    assert report["lost"] == report["duplicated"] == report["false_pass"] == report["disordered"] == 0
    assert "kafka goes away for 8 s" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--away", "everything=9"), "kafka=600"),
        (("--away", "kafka"), "kafka=600"),
        (("--folder", "."), "not empty"),
        (("--frames", "1"), "50"),
    ],
)
def test_what_nobody_can_mean_is_refused(arguments: tuple[str, ...], said: str) -> None:
    run = chaos(*arguments)
    assert run.returncode == 2
    assert said in run.stderr
