"""Programs that tests start, and kill."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start one of these programs in a process of its own; its words come through a pipe."""
    command = [sys.executable, str(HERE / f"{program}.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)


def kill(process: subprocess.Popen[str]) -> str:
    """SIGKILL; returns what it had still said."""
    process.kill()
    return rest(process)


def rest(process: subprocess.Popen[str]) -> str:
    """Wait for its end; what it had still said. `communicate` would forget what came along with a line read before."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()
