"""The units of deploy/systemd: real commands, real settings, ports of their own; systemd itself takes them."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.main import app
from core.settings import read_settings, strangers
from tests.operations.stack import ROOT

FOLDER = ROOT / "deploy/systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((FOLDER / name).read_text())
    return read


@pytest.mark.parametrize("name", UNITS)
def test_each_unit_runs_a_command_that_there_is_under_an_account_without_rights(name: str) -> None:
    service = unit(name)["Service"]
    assert service["User"] == "flawline"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    program, *words = service["ExecStart"].split()
    assert program == "/opt/flawline/bin/flawline"
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), service["ExecStart"]
    assert {word for word in words if word.startswith("--")} <= {o for p in command.params for o in p.opts}


def test_the_shared_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in (FOLDER / "flawline.env").read_text().splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    assert strangers(given) == []
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert read_settings().on_kafka


def test_ports_are_settings_and_no_two_units_share_one() -> None:
    said = [unit(name)["Service"].get("Environment", "") for name in UNITS]
    ports = [line.partition("=")[2] for line in said if line]
    assert strangers({line.partition("=")[0]: "" for line in said if line}) == []
    assert len(set(ports)) == len(ports)
    assert all(re.fullmatch(r"91\d\d|911%i", port) for port in ports)


def test_every_role_of_the_line_has_its_unit() -> None:
    roles = {"capture", "inspection", "books", "housekeeping", "watch", "gate", "dashboard"}
    assert {re.sub(r"^flawline-|@?\.service$", "", name) for name in UNITS} == roles | {"backup"}


def test_systemd_takes_every_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd on this machine")
    program = Path(sys.executable).with_name("flawline")
    for path in FOLDER.glob("flawline*.*"):
        name = path.name.replace("@.", "@0.")
        (tmp_path / name).write_text(path.read_text().replace("/opt/flawline/bin/flawline", str(program)))
    units = [str(path) for path in sorted(tmp_path.iterdir()) if path.suffix != ".env"]
    done = subprocess.run([verify, "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_finished_source_is_not_started_again_and_a_stopped_one_is_no_failure() -> None:
    service = unit("flawline-capture@.service")["Service"]
    assert service["Restart"] == "on-failure"
    assert service["SuccessExitStatus"] == "143"
