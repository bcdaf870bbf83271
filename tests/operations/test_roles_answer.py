"""Each role as a process of its own: it answers while it works, says for what it waits, and stops when asked."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli import parts
from core.line import Camera, line_of
from core.settings import MetricsSettings, Settings, environment_of
from tests.core.test_health import free_port

LINE = line_of([Camera(name="ring-top", product="ring", source="simulator:ring?rate=20", gate=False)])
ROLES = (("worker", "books"), ("worker", "housekeeping"), ("worker", "capture", "ring-top"))
WITHIN = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "data", metrics=MetricsSettings(port=free_port()))
    parts.prepare(settings, LINE)
    settings.line_path.write_text(LINE.to_toml())
    return settings


def ask(settings: Settings, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0, ""


def wait_for(settings: Settings, process: subprocess.Popen[bytes], status: int) -> dict[str, str]:
    limit = time.monotonic() + WITHIN
    while time.monotonic() < limit and process.poll() is None:
        found, said = ask(settings, "/healthz")
        if found == status:
            read: dict[str, str] = json.loads(said)
            return read
        time.sleep(0.1)
    pytest.fail(f"no {status} from /healthz")


@pytest.mark.parametrize("role", ROLES, ids=" ".join)
def test_a_role_answers_while_it_works_and_no_longer(role: tuple[str, ...], settings: Settings, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *role], env=environment_of(settings), stdout=log, stderr=log
        )
    try:
        said = wait_for(settings, process, 200)
        assert role[1] in said["who"]
        families = {one.name: one for one in text_string_to_metric_families(ask(settings, "/metrics")[1])}
        assert families["flawline_info"].samples[0].labels["role"] == role[1]
        assert families["flawline_healthy"].samples[0].value == 1
        if role[1] == "capture":
            limit = time.monotonic() + WITHIN
            while 'flawline_captured_frames_total{camera="ring-top"}' not in ask(settings, "/metrics")[1]:
                assert time.monotonic() < limit
                time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) in {0, 143}
        assert ask(settings, "/healthz")[0] == 0
    finally:
        process.kill()
        process.wait()
