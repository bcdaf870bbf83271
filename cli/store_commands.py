"""Commands around the stores: db, models, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import escape, out, write_json

db = typer.Typer(no_args_is_help=True, help="The database: upgrade it, say where it stands.")
models_app = typer.Typer(no_args_is_help=True, help="The models in the books: list them, activate one.")
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


@db.command("upgrade")
def db_upgrade(
    revision: Annotated[str, typer.Argument(help="Number of a change to the tables; head is this version's.")] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Dry run: print the SQL, change nothing.")] = False,
) -> None:
    """Bring the tables to this version; safe to run at any time, and twice."""
    from cli.parts import now
    from core.settings import read_settings
    from migrations.upgrade import prepare, script, upgrade

    settings = read_settings()
    url = settings.database_url
    if sql:
        out.print(script(url, revision), soft_wrap=True)
        return
    reached = prepare(settings, now=now()) if revision == "head" else upgrade(url, revision)
    out.print(f"the database is at revision {reached}")


@db.command("current")
def db_current() -> None:
    """Say at which revision the database stands, and which this version needs."""
    from core.settings import read_settings
    from migrations.upgrade import current, head

    out.print(f"at {current(read_settings().database_url) or 'nothing: no tables yet'}, this version needs {head()}")


@models_app.command("list")
def models_list(
    product: Annotated[str, typer.Argument(help="A product; default: all.")] = "", json_file: Json = None
) -> None:
    """List models, newest first."""
    from cli import parts
    from core.records import models, products
    from core.settings import read_settings

    with parts.database(read_settings()) as database, database.reading() as connection:
        names = [product] if product else products.names(connection)
        rows = [row for name in names for row in models.versions(connection, name)]
    fields = ("id", "product", "version", "state", "sha256", "created_by", "note")
    if json_file:
        write_json({"models": [{name: str(getattr(row, name)) for name in fields} for row in rows]}, json_file)
        return
    for row in rows:
        out.print(f"{row.id:>4}  {row.product:<16} {row.version:<14} {row.state:<12} {escape(row.note)}")
    if not rows:
        out.print("no models yet; `flawline onboard PRODUCT FOLDER` makes one")


@models_app.command("activate")
def models_activate(
    model: Annotated[int, typer.Argument(help="The model's number in `flawline models list`.")],
    note: Annotated[str, typer.Option(help="Why; it stands in the audit log.")],
) -> None:
    """Let a model judge its product from now on; running workers take it within seconds."""
    from cli import parts
    from core.live_open import open_live
    from core.records import models
    from core.settings import read_settings

    settings = read_settings()
    with parts.database(settings) as database, database.writing() as connection:
        row = models.activate(connection, model, who="command line", note=note, now=parts.now())
    with open_live(settings) as live:
        live.models_changed()
    out.print(f"{row.product} is now judged by model {row.version}")


@models_app.command("cards")
def models_cards(json_file: Json = None) -> None:
    """Write the card of every model in the books that has none, from what its manifest says."""
    from cli.model_cards import add_missing

    add_missing(json_file=json_file)


def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="List every setting with its value.")] = False,
    json_file: Json = None,
) -> None:
    """Check this machine and installation, and say what to do about each thing that is wrong."""
    from cli.doctor import examine, show_settings

    if settings:
        show_settings()
        return
    raise typer.Exit(examine(json_file))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(doctor)
    app.add_typer(db, name="db")
    app.add_typer(models_app, name="models")
