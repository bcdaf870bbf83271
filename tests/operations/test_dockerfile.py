"""The Dockerfile: what each target installs, who it runs as, and how its health is asked for."""

import re
import subprocess
import sys
import tomllib

import pytest

from core.health import Health
from core.health_server import serve_health
from core.metrics import Metrics
from core.settings import MetricsSettings
from tests.core.test_health import free_port
from tests.operations.stack import ROOT, stages

TARGETS = {
    "base": "servers", "backup": "servers", "ingest": "ingest,servers", "inspection": "model,servers",
    "inspection-cuda": "model,servers", "training": "model,servers", "training-cuda": "model,servers",
    "gate": "gate,servers", "dashboard": "dashboard,servers",
}  # fmt: skip
TEXT = (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_installs_the_extras_of_its_role(target: str) -> None:
    (source,) = {line.split("--from=")[1].split()[0] for line in stages()[target] if "--from=build-" in line}
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', "\n".join(stages()[source]))
    assert extras == TARGETS[target]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_runs_as_an_account_without_rights_and_without_build_tools(target: str) -> None:
    lines = stages()[target]
    users = [line for line in lines if line.startswith("USER ")]
    assert users[-1] == "USER flawline"
    after = lines[max(place for place, line in enumerate(lines) if line == "USER flawline") :]
    assert not [line for line in after if line.startswith("RUN")]
    assert not re.search(r"\b(pip|gcc|build-essential|curl|wget|git)\b", " ".join(lines))


def test_every_package_that_is_installed_is_copied_and_nothing_else() -> None:
    words = [word for line in stages()["code"] if line.startswith("COPY") for word in line.split()[1:-1]]
    copied = {word.rstrip("/") for word in words}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied
    for name in copied - packages:
        assert (ROOT / name).is_file(), name
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_every_installation_is_held_to_the_pinned_versions() -> None:
    installs = re.findall(r"install (?:--no-deps|--constraint|\\)[^\n]*(?:\n\s+--constraint[^\n]*)?", TEXT)
    assert len(installs) == TEXT.count("bin/python install")
    assert all("--constraint constraints.txt" in line for line in installs)


def test_the_python_is_the_one_that_the_versions_are_pinned_for() -> None:
    assert "--python-version 3.11" in (ROOT / "constraints.txt").read_text().splitlines()[1]
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-bookworm$", TEXT, re.MULTILINE)


def health_commands() -> list[list[str]]:
    return [re.findall(r'"([^"]*)"', line) for line in re.findall(r"CMD (\[.*urlopen.*\])", TEXT)]


def test_the_health_check_is_green_only_while_the_role_does_its_work() -> None:
    settings, health = MetricsSettings(port=free_port()), Health()
    commands = health_commands()
    assert len(commands) == 3

    def ask(command: list[str]) -> int:
        code = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{settings.port}", command[2])
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode

    with serve_health(settings, Metrics(), health):
        assert ask(commands[0]) == 1, "starting"
        health.ready()
        assert [ask(command) for command in commands] == [0, 0, 0]
        health.waits_for("the database")
        assert ask(commands[0]) == 1
    assert ask(commands[0]) == 1, "gone"
