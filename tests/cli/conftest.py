import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from core.errors import FlawlineError


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Commands listen to signals; the test process must not go on doing so."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the commands under test."""
    monkeypatch.setenv("FLAWLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLAWLINE_WORKER__RUNTIME", "torch")
    monkeypatch.setenv("FLAWLINE_WORKER__THREADS", "1")
    return tmp_path / "data"


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def flawline() -> Run:
    """`flawline ARGUMENTS` in this process: exit code, and what was printed; refusals raise as they are."""

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, FlawlineError):
            raise result.exception
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def interrupted(words: Sequence[str], *, when: str, by: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
    """`flawline WORDS` in a process of its own, stopped by Ctrl-C once it says `when`: exit code, output, errors."""
    environment = os.environ | {"FLAWLINE_WORKER__RUNTIME": "torch", "FLAWLINE_WORKER__THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        said = ""
        while when not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        running.send_signal(by)
        told, rest = running.communicate(timeout=120)
    return running.returncode, told, rest
