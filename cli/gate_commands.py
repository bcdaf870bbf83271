"""Commands around the gate: run one, order it something, show its state, play its PLC."""

from typing import Annotated

import typer

from cli.line_commands import LineFile, Ready, Supervised, worker
from cli.store_commands import Json

gate_app = typer.Typer(no_args_is_help=True, help="Gates: show one, qualify it, bypass it, take back its alarms.")
Name = Annotated[str, typer.Argument(help="A gate of the line file.")]
Who = Annotated[str, typer.Option(help="Who orders it; it stands on record.")]
Why = Annotated[str, typer.Option(help="Why; it stands on record.")]


@worker.command("gate")
def gate(name: Name, line: LineFile = None, supervised: Supervised = False, ready: Ready = None) -> None:
    """Reject every part without a PASS in time; needs neither broker nor database for it."""
    from cli.gating import run_one_gate

    run_one_gate(name, line, supervised=supervised, ready=ready)


@gate_app.command("state")
def state(name: Name, json_file: Json = None) -> None:
    """Show how a gate stands: its state, flags, alarms, counters, and who lacks what it told."""
    from cli.gating import show_gate

    show_gate(name, json_file)


@gate_app.command("qualify")
def qualify(
    name: Name,
    who: Who,
    why: Why,
    line: LineFile = None,
    failed: Annotated[bool, typer.Option("--failed", help="The challenge failed: accept nothing any more.")] = False,
) -> None:
    """Say that the challenge parts were judged rightly; until then a gate that has started accepts nothing."""
    from cli.gating import order_gate
    from workers.gate import orders

    order_gate(name, line, orders.ordered(orders.DISQUALIFY if failed else orders.QUALIFY, who=who, why=why))


@gate_app.command("bypass")
def bypass(
    name: Name,
    who: Who,
    why: Why,
    control: Annotated[str, typer.Option(help="The approved control that takes the gate's place meanwhile.")] = "",
    minutes: Annotated[float, typer.Option(min=0, help="How long; it ends by itself. 0 ends it now.")] = 15,
    line: LineFile = None,
) -> None:
    """Let all parts by, whatever their verdict, for some minutes; they are on record as ACCEPTED_BYPASS."""
    from cli.gating import order_gate
    from workers.gate import orders

    kind = orders.BYPASS if minutes else orders.INSPECT
    order_gate(name, line, orders.ordered(kind, who=who, why=why, control=control, minutes=minutes))


@gate_app.command("reset")
def reset(name: Name, who: Who, why: Why, line: LineFile = None) -> None:
    """Take back alarms and the request to stop, after somebody has looked; what is still wrong comes back."""
    from cli.gating import order_gate
    from workers.gate import orders

    order_gate(name, line, orders.ordered(orders.RESET, who=who, why=why))


@gate_app.command("simulate-plc")
def simulate_plc(
    name: Name,
    parts: Annotated[int, typer.Option(min=1, help="How many parts.")] = 20,
    rate: Annotated[float, typer.Option(min=0.01, help="Parts per second.")] = 2.0,
    first: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Number of the first part.")] = 1,
    product_code: Annotated[int, typer.Option(min=0, max=65535, help="Code of the product that runs.")] = 0,
    mishap: Annotated[list[str] | None, typer.Option(help="KIND@PART: what goes wrong at which part, from 0.")] = None,
    line: LineFile = None,
    json_file: Json = None,
) -> None:
    """Play the PLC of a running gate: trigger parts, read results, act on them; also wrongly, on request."""
    from cli.gating import play_plc
    from core.line import read_line
    from core.settings import read_settings

    gate = read_line(line or read_settings().line_path).find_gate(name)
    trial = {"parts": parts, "rate": rate, "first": first, "product_code": product_code}
    play_plc(gate, trial, mishap or [], json_file)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(gate_app, name="gate")
