"""`flawline ablate`: the ablations of the method one after the other on the same data, side by side in one table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.asked import Asked
from cli.columns import Columns
from cli.console import err, out, progress, write_json
from cli.teach import INTERRUPTED, options_of, plain_refusals
from core.errors import SettingsInvalid
from core.settings import Settings, read_settings
from core.stop import Stop, stop_on_signals
from model.ablation import WITNESS, Mean, Run, attempt, means
from model.architecture import ABLATIONS
from model.datasets import find_datasets, open_dataset
from model.learning import LearnOptions
from model.training import TrainingCancelled

NONE = "–"
FORMS: dict[str, tuple[str, str]] = {
    "image_auroc": ("image AUROC", "{:.4f}"),
    "image_ap": ("AP", "{:.4f}"),
    "pixel_auroc": ("pixel AUROC", "{:.4f}"),
    "au_pro": ("AU-PRO 0.3", "{:.4f}"),
    "au_pro_005": ("AU-PRO 0.05", "{:.4f}"),
    "false_reject_rate": ("false rejects", "{:.1%}"),
    "miss_rate": ("missed", "{:.1%}"),
    "million_parameters": ("M parameters", "{:.2f}"),
    "gmac": ("GMAC", "{:.2f}"),
    "train_seconds": ("train s", "{:.0f}"),
    "ms_per_frame": ("ms/frame", "{:.1f}"),
}
"""The columns: a figure's name, its heading and its form."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run that is to be: an ablation on a data set."""

    data: Path
    ablation: str
    options: LearnOptions


def ablate_data(data: Path, asked: Asked, *, json_file: Path | None) -> int:
    """Run every ablation on every data set at `data`; print what is finished, also when stopped before the end.

    Returns the exit code: 1 when a run has no figures, 130 when stopped. Raises SettingsInvalid, ModelUnusable.
    """
    settings = read_settings()
    stop = Stop()
    stop_on_signals(stop)
    plans = _plans(data, asked, settings)
    runs: list[Run] = []
    complete = False
    try:
        for run in _run_all(plans, stop):
            runs.append(run)
            if str(json_file) != "-":  # whatever happens to this process, the figures so far are there
                write_json(_values(runs, of=len(plans), complete=False), json_file)
        complete = True
    except TrainingCancelled:
        err.print(f"stopped after {len(runs)} of {len(plans)} runs")
    finally:  # whatever ended it, hours of figures are not lost with it
        if any(run.outcome != "failed" for run in runs):
            _tell(runs, of=len(plans), complete=complete, json_file=json_file)
    if not complete:
        return INTERRUPTED
    if all(run.outcome == "failed" for run in runs):
        raise SettingsInvalid(runs[0].reason)
    return 0 if all(run.outcome == "done" for run in runs) else 1


def _plans(data: Path, asked: Asked, settings: Settings) -> list[Plan]:
    """All runs, data set by data set; what would be found out hours later is refused now. Raises SettingsInvalid."""
    with plain_refusals():
        sets = find_datasets(data)
        if not sets:
            raise SettingsInvalid(f"{data}: neither a data set nor a folder of data sets")
        for one in sets:
            tests = open_dataset(one).test
            if not any(test.is_good for test in tests) or all(test.is_good for test in tests):
                raise SettingsInvalid(f"{one}: ablations are compared on good and on defective test pictures")
    each = {name: options_of(replace(asked, ablation=name, witness=WITNESS), settings) for name in ABLATIONS}
    return [Plan(one, name, options) for one in sets for name, options in each.items()]


def _run_all(plans: Sequence[Plan], stop: Stop) -> Iterator[Run]:
    """Each run as soon as it is finished. Raises TrainingCancelled, ModelUnusable."""
    for number, plan in enumerate(plans, start=1):
        err.print(f"{number} of {len(plans)}: {plan.ablation} on {_name(plan.data)}", markup=False, soft_wrap=True)
        with plain_refusals(), progress() as tell:
            run = attempt(plan.data, plan.ablation, plan.options, progress=tell, cancelled=lambda: stop.asked)
        if run.outcome != "done":
            err.print(f"{run.outcome}; the others go on")
        yield run


def _values(runs: Sequence[Run], *, of: int, complete: bool) -> Mapping[str, Any]:
    return {
        "complete": complete,
        "planned": of,
        "runs": [run.to_dict() for run in runs],
        "means": [mean.to_dict() for mean in means(runs)],
    }


def _tell(runs: Sequence[Run], *, of: int, complete: bool, json_file: Path | None) -> None:
    write_json(_values(runs, of=of, complete=complete), json_file)
    if str(json_file) == "-":
        return
    _table(runs, means(runs)).print()
    for run in runs:
        if run.outcome != "done":
            out.print(f"{run.ablation} on {_name(run.data)} {run.outcome}: {run.reason}", markup=False, soft_wrap=True)
    if not complete:
        out.print(f"[bold red]not complete[/]: {len(runs)} of {of} runs are finished")


def _table(runs: Sequence[Run], over: Sequence[Mean]) -> Columns:
    table = Columns("data", "ablation", right=[heading for heading, _ in FORMS.values()])
    for run in runs:
        if run.outcome == "done":
            table.add(_name(run.data), run.ablation, *_cells(run))
        else:
            empty = [NONE] * (len(FORMS) - 1)
            table.add(_name(run.data), run.ablation, run.outcome, *empty, style="bold red")
    for mean in over:
        table.add(f"mean of {mean.sets}", mean.ablation, *_texts(mean.figures), style="bold")
    return table


def _name(data: Path) -> str:
    return data.resolve().name  # of `.` too


def _cells(run: Run) -> list[str]:
    """The figures; of missed parts the count, because a rate of a few says more than it knows."""
    texts = _texts(run.figures)
    if run.evaluation:
        texts[list(FORMS).index("miss_rate")] = f"{run.evaluation.missed} of {run.evaluation.defective}"
    return texts


def _texts(figures: Mapping[str, float | None]) -> list[str]:
    values = ((figures[name], form) for name, (_, form) in FORMS.items())
    return [NONE if value is None else form.format(value) for value, form in values]
