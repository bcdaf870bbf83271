"""The right end of the top bar: the state of the line, what runs on it, the shift, the clock and who is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import figures, words
from dashboard.drawing.marks import shape
from dashboard.markup import Html, join, span, tag
from dashboard.shifts import shift_at
from dashboard.states import Standing, State

_TONES = {
    State.RUNNING: "pass",
    State.DEGRADED: "system",
    State.NOT_INSPECTING: "system",
    State.STOPPED: "stopped",
}


@dataclass(frozen=True, slots=True)
class Running:
    """What is on the line: products, the active model of each, or "" where there is none, and the inspection workers.

    workers: those that give a sign of life; None where nobody knows.
    """

    products: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    workers: int | None = None


def top_bar(standing: Standing, running: Running, now: datetime) -> Html:
    """State chip, products, models, shift and clock."""
    state = standing.state
    text = words.STATES[state] + (f" · {standing.why}" if standing.why else "")
    chip = span(f"chip state {state.value.lower()}", shape(_TONES[state], 12), tag("b", text))
    return join(chip, span("muted what", what_runs(running)), _clock(now))


def unknown_top(now: datetime) -> Html:
    """The bar where nobody can say what the line does: as loud as a line that does not inspect."""
    return join(span("chip state not_inspecting", shape("system", 12), tag("b", words.STATE_UNKNOWN)), _clock(now))


def _clock(now: datetime) -> Html:
    clock = f"{shift_at(now).name} shift · {figures.time_of_day(now, seconds=True)}"
    return span("muted", clock)


def what_runs(running: Running) -> str:
    """ring · model 2026-11-24/1 · 2 inspection workers; with several products, how many of each."""
    products, models = running.products, sorted({model for model in running.models if model})
    if not products:
        return ""
    named = ", ".join(products) if len(products) <= 3 else f"{len(products)} products"
    workers = "" if running.workers is None else f" · {_workers(running.workers)}"
    return f"{named} · {_models(models)}{workers}"


def _workers(number: int) -> str:
    return f"{number or 'no'} inspection worker{'' if number == 1 else 's'}"


def _models(models: Sequence[str]) -> str:
    if not models:
        return "no active model"
    return (
        f"model {models[0]}" if len(models) == 1 else f"models {', '.join(models[:2])}{'…' if len(models) > 2 else ''}"
    )
