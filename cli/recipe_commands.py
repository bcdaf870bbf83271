"""`flawline recipe`: what belongs to a product and needs no learning, shown and changed."""

from typing import Annotated

import typer

from cli.store_commands import Json

recipe_app = typer.Typer(no_args_is_help=True, help="A product's recipe: show it, set what needs no learning.")
Product = Annotated[str, typer.Argument(help="The product.")]


@recipe_app.command("show")
def recipe_show(
    product: Product,
    version: Annotated[int | None, typer.Option(min=1, help="An older version; default: the one in force.")] = None,
    json_file: Json = None,
) -> None:
    """Show a recipe: fixture, mask, scale, limits, defect classes."""
    from cli.recipes import show

    show(product, version=version, json_file=json_file)


@recipe_app.command("set")
def recipe_set(
    product: Product,
    note: Annotated[str, typer.Option(help="Why; it stands in the audit log.")],
    mm_per_pixel: Annotated[
        float | None, typer.Option(help="Scale of the raw picture: areas are in mm² too from now on; 0 forgets it.")
    ] = None,
    min_region_area: Annotated[
        int | None, typer.Option(min=1, help="Smaller regions are not listed; input pixels.")
    ] = None,
    defect_class: Annotated[
        list[str] | None,
        typer.Option("--class", help="A defect class for the review keys, in this order; give it for each one."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")] = False,
    json_file: Json = None,
) -> None:
    """Set what needs no learning; workers and pages take it within seconds, parts already judged keep theirs."""
    from cli.recipes import change

    asked = {"millimetres_per_pixel": mm_per_pixel, "min_region_area": min_region_area, "classes": defect_class}
    change(product, {name: value for name, value in asked.items() if value is not None}, note=note, dry_run=dry_run,
           json_file=json_file)  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(recipe_app, name="recipe")
