"""The `flawline` command: one small command for each thing that a page can do, and those that start the roles."""

import sys
from importlib.metadata import version

import typer

from cli import (
    account_commands,
    audit_commands,
    backup_commands,
    bench_commands,
    chaos_commands,
    dead_letter_commands,
    gate_commands,
    learn_commands,
    line_commands,
    model_commands,
    prepare_commands,
    recipe_commands,
    spool_commands,
    store_commands,
    topics_commands,
)
from cli.console import err, fail, out
from core.errors import FlawlineError, SettingsInvalid, StoreUnavailable

app = typer.Typer(
    name="flawline",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Streaming visual quality control: learns a product from its good parts, judges every part, keeps the books.",
    epilog="Start with `flawline demo`. Settings are FLAWLINE_… variables; `flawline doctor --settings` shows them.",
)
bench_commands.add_to(app)
gate_commands.add_to(app)
learn_commands.add_to(app)
line_commands.add_to(app)
model_commands.add_to(app)
recipe_commands.add_to(app)
store_commands.add_to(app)
account_commands.add_to(app)
audit_commands.add_to(app)
dead_letter_commands.add_to(app)
spool_commands.add_to(app)
topics_commands.add_to(app)
backup_commands.add_to(app)
prepare_commands.add_to(app)
chaos_commands.add_to(app)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        out.print(f"flawline {version('flawline')}")
        raise typer.Exit


@app.callback()
def options(
    _: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),  # noqa: FBT001, FBT003
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run a command; what flawline itself refuses is one sentence and an exit code, never a traceback."""
    try:
        app()
    except (StoreUnavailable, OSError) as problem:
        fail(str(problem))
        sys.exit(3)
    except (FlawlineError, ValueError, SettingsInvalid) as problem:
        fail(str(problem))
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(130)
