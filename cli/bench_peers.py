"""`flawline bench peers`: ours beside anomalib's PaDiM, PatchCore and STFPM, on the same pictures and weights."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.columns import Columns
from cli.console import err, out, progress, write_json
from cli.peers import jobs
from cli.peers.child import RowCancelled, run_child
from cli.peers.figures import Row, row_of
from cli.peers.jobs import MODELS, PEERS, Asked, Split
from cli.teach import INTERRUPTED, plain_refusals
from core.errors import SettingsInvalid
from core.settings import Settings, read_settings
from core.stop import Stop, stop_on_signals
from model.datasets import find_datasets
from model.pace import Budget

NONE = "–"
OURS = "cli.peers.ours_row"
SECONDS = 180.0  # of a peer that trains, where nothing of ours says how long
FORMS: dict[str, tuple[str, str]] = {
    "image_auroc": ("image AUROC", "{:.4f}"),
    "pixel_auroc": ("pixel AUROC", "{:.4f}"),
    "train_seconds": ("train s", "{:.0f}"),
    "ms_per_frame": ("ms/frame", "{:.1f}"),
    "peak_mb": ("peak MB", "{:.0f}"),
}
"""The columns: a figure's name, its heading and its form."""

Truth = Sequence[NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Course:
    """What all rows share, besides the pictures. weights: for the peers."""

    asked: Asked
    settings: Settings
    scratch: Path
    weights: Path
    stop: Stop


def bench_peers(asked: Asked, *, json_file: Path | None) -> int:
    """Run every model on every data set; print what is finished, also when stopped before the end.

    Returns the exit code: 1 when a row failed, 130 when stopped; a peer that is not installed is no failure. Raises
    SettingsInvalid, ModelUnusable.
    """
    settings = read_settings()
    stop = Stop()
    stop_on_signals(stop)
    splits = splits_of(asked)
    planned = len(splits) * len(MODELS)
    rows: list[Row] = []
    complete = False
    try:
        with TemporaryDirectory(prefix="flawline-peers-") as scratch, plain_refusals():
            weights = jobs.write_weights(Path(scratch) / "weights.pt", settings)
            _run_all(splits, rows, Course(asked, settings, Path(scratch), weights, stop))
        complete = True
    except RowCancelled:
        err.print(f"stopped after {len(rows)} of {planned} rows")
    finally:  # whatever ended it, hours of figures are not lost with it
        if rows:
            tell_rows(rows, asked, planned=planned, complete=complete, json_file=json_file)
    return exit_code(rows, complete=complete)


def exit_code(rows: Sequence[Row], *, complete: bool) -> int:
    """Of the command: a peer that is not installed has not failed."""
    if not complete:
        return INTERRUPTED
    return 1 if any(row.outcome == "failed" for row in rows) else 0


def splits_of(asked: Asked) -> list[Split]:
    """The data sets' divisions; what would be found out hours later is refused now. Raises SettingsInvalid."""
    try:
        Budget.parse(asked.budget)
    except ValueError as problem:
        raise SettingsInvalid(str(problem)) from problem
    if shutil.which(str(asked.python)) is None:
        raise SettingsInvalid(f"--peers-python {asked.python}: no program there; give the python of an environment")
    with plain_refusals():
        sets = find_datasets(asked.data)
        if not sets:
            raise SettingsInvalid(f"{asked.data}: neither a data set nor a folder of data sets")
        splits = [Split.of(one) for one in sets]
    for split in splits:
        if not split.tells:
            raise SettingsInvalid(f"{split.root}: models are compared on good and on defective test pictures")
    return splits


def _run_all(splits: Sequence[Split], rows: list[Row], course: Course) -> None:
    """Each row is added as soon as it is finished. Raises RowCancelled."""
    planned = len(splits) * len(MODELS)
    for split in splits:
        truth = split.truth(course.asked.size)
        seconds = Budget.parse(course.asked.budget).seconds or SECONDS
        for model in MODELS:
            if course.stop.asked:
                raise RowCancelled
            row = _run(model, split, truth, course, said=f"{len(rows) + 1} of {planned}", seconds=seconds)
            rows.append(row)
            if model == "ours":  # whoever trains after it has as long as it had
                seconds = row.figures.get("train_seconds") or seconds
            if row.outcome != "done":
                err.print(f"{row.outcome}: {row.why_not}; the others go on", markup=False, soft_wrap=True)


def _run(model: str, split: Split, truth: Truth, course: Course, *, said: str, seconds: float) -> Row:
    asked, settings = course.asked, course.settings
    err.print(f"{said}: {model} on {split.root.resolve().name}", markup=False, soft_wrap=True)
    with TemporaryDirectory(dir=course.scratch) as name, progress() as tell:  # gone with the row: maps are large
        folder = Path(name)
        if model in PEERS:
            command = [str(asked.python), str(asked.script), str(folder)]
            more: Mapping[str, Any] = {"weights": str(course.weights), "coreset": jobs.CORESET, "seconds": seconds}
        else:
            command = [sys.executable, "-m", OURS, str(folder)]
            more = jobs.ours(model, split, asked, settings)
        jobs.write_job(folder, model, split, asked, settings, **more)
        ending = run_child(command, folder, stop=course.stop, tell=tell)
        return row_of(ending, folder, split, truth, model=model)


def tell_rows(rows: Sequence[Row], asked: Asked, *, planned: int, complete: bool, json_file: Path | None) -> None:
    """Write the JSON, print the table."""
    values = {
        "complete": complete,
        "planned": planned,
        "size": asked.size,
        "seed": asked.seed,
        "budget": asked.budget,
        "backbone": jobs.BACKBONE,
        "coreset": jobs.CORESET,
        "rows": [row.to_dict() for row in rows],
    }
    write_json(values, json_file)
    if str(json_file) == "-":
        return
    table_of(rows).print()
    if not complete:
        out.print(f"[bold red]not complete[/]: {len(rows)} of {planned} rows are finished")


def table_of(rows: Sequence[Row]) -> Columns:
    """A line for each row; below it why it has no figures, or how many pictures it refused."""
    table = Columns("set", "model", right=[heading for heading, _ in FORMS.values()])
    for row in rows:
        done = row.outcome == "done"
        style = "" if done else "dim" if row.outcome == "absent" else "bold red"
        table.add(row.name, row.model, *_cells(row), style=style)
        if not done:
            table.add(f"    {row.model}: {row.why_not}", style=style)
        elif row.left_out:
            table.add(f"    {row.model}: refused {row.left_out} test pictures, which do not count for it")
    return table


def _cells(row: Row) -> list[str]:
    values = ((row.figures.get(name), form) for name, (_, form) in FORMS.items())
    return [NONE if value is None else form.format(value) for value, form in values]
