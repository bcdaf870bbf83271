"""What the commands print: calm lines for people, one JSON object for programs, errors as sentences."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from core.disk import write_whole

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str) -> None:
    """An error as a sentence, on standard error."""
    err.print(f"[bold red]flawline:[/] {escape(message)}", soft_wrap=True)


def escape(text: str) -> str:
    """Text of others, safe to print among markup."""
    return text.replace("[", r"\[")


def write_json(values: Mapping[str, Any], target: Path | None) -> None:
    """The values as JSON into a file, or on standard output for `-`; nothing without a target. NaN becomes null."""
    if target is None:
        return
    text = json.dumps(_plain(values), indent=2, allow_nan=False) + "\n"
    if str(target) == "-":
        out.file.write(text)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text.encode(), durable=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


class Report(Protocol):
    """How long work tells how far it is: phase, done, total, and numbers worth seeing."""

    def __call__(self, phase: str, done: float, total: float, numbers: Mapping[str, float]) -> None:
        """Called often; must be quick."""
        ...


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """A progress bar for each phase, on standard error; no bars when it is not a terminal or `quiet`."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
               TimeElapsedColumn(), TextColumn("{task.fields[numbers]}"))  # fmt: skip
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(phase: str, done: float, total: float, numbers: Mapping[str, float]) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total, numbers="")
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            bars.update(tasks[phase], completed=done, total=total, numbers=shown)

        yield report
