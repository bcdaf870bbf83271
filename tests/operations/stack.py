"""docker-compose.yml and the Dockerfile as data, for the tests that hold them to the code."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
PROFILES = ("gpu", "monitoring", "training", "backup")
OURS = "flawline-"  # how our own images begin


@cache
def compose() -> dict[str, Any]:
    """The file as it is written, anchors put in."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def services(*, ours: bool | None = None) -> dict[str, dict[str, Any]]:
    """By name; ours: only those from our own images, or only the others."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return {name: one for name, one in found.items() if ours is None or one["image"].startswith(OURS) is ours}


def resolved(*profiles: str) -> dict[str, Any]:
    """What Debian's docker-compose makes of it."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), *chosen, "config"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    read: dict[str, Any] = yaml.safe_load(made.stdout)
    return read


def commands_of(service: dict[str, Any]) -> list[list[str]]:
    """The flawline commands that a service runs, one list of words each."""
    words = service.get("command", [])
    if service.get("entrypoint") == ["sh", "-c"]:
        return [found.split() for found in re.findall(r"flawline ((?:[\w./-]+ ?)+)", words[0])]
    return [words]


@cache
def stages() -> dict[str, list[str]]:
    """The Dockerfile's stages: the instructions of each, those of the stages that it is made from first."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    made: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS ([\w-]+)", line):
            current = made[match[2]] = list(made.get(match[1], []))
        elif line.strip() and not line.startswith("#"):
            current.append(line.strip())
    return made


def environment(target: str) -> dict[str, str]:
    """The variables that a target sets."""
    lines = [line.removeprefix("ENV ") for line in stages()[target] if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())
