"""Commands around a model: onboard, train, evaluate, ablate, inspect."""

from pathlib import Path
from typing import Annotated

import typer

from cli.asked import Asked, with_options, with_options_but

Product = Annotated[str, typer.Argument(help="Name of the product: lower case, digits, . _ -")]
Folder = Annotated[Path, typer.Argument(help="Pictures of good parts, or a data set with train/good inside.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew, even where an interrupted training could go on.")]


@with_options
def onboard(*, product: Product, folder: Folder, asked: Asked, fresh: Fresh = False, json_file: Json = None) -> None:
    """Teach a product: good pictures in; a trained, calibrated, [bold]active[/] model out."""
    from cli.teach import teach

    raise typer.Exit(teach(product, folder, asked, activate=True, fresh=fresh, json_file=json_file))


@with_options
def train(*, product: Product, folder: Folder, asked: Asked, fresh: Fresh = False, json_file: Json = None) -> None:
    """Train a candidate: as onboard, but the model in use stays until you activate the new one."""
    from cli.teach import teach

    raise typer.Exit(teach(product, folder, asked, activate=False, fresh=fresh, json_file=json_file))


@with_options
def evaluate(
    *,
    data: Annotated[
        Path,
        typer.Option(
            help="Data set: MVTec AD, AD 2, MPDD, BTAD, VisA, KolektorSDD, magnetic tile, or good/ beside defects."
        ),
    ],
    json_file: Json = None,
    asked: Asked,
    keep: Annotated[Path | None, typer.Option(help="Keep the model file here.")] = None,
) -> None:
    """Train on a data set's good pictures, calibrate, test on the rest, and report honest figures."""
    from cli.teach import evaluate_data

    raise typer.Exit(evaluate_data(data, asked, keep=keep, json_file=json_file))


@with_options_but("ablation", "witness", "mm_per_pixel", "warm_start")
def ablate(
    *,
    data: Annotated[Path, typer.Option(help="A data set as for evaluate, or a folder of several.")],
    json_file: Json = None,
    asked: Asked,
) -> None:
    """Train and evaluate each ablation of the method in turn, by its student alone, and compare them in one table."""
    from cli.ablate import ablate_data

    raise typer.Exit(ablate_data(data, asked, json_file=json_file))


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    model: Annotated[Path | None, typer.Option(help="A model file.")] = None,
    product: Annotated[str | None, typer.Option(help="Instead of a file: the active model of this product.")] = None,
    json_file: Json = None,
    overlays: Annotated[
        Path | None,
        typer.Option(
            help="Write each picture with its heat and regions here, and beside good parts if it does not pass."
        ),
    ] = None,
    mm_per_pixel: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1000, help="Scale of the raw pictures, for areas in mm²; default: the product's."),
    ] = None,
) -> None:
    """Judge pictures with a model file: verdict, raw score, limits and regions of each. Exit code 1 unless all pass."""
    from cli.look import Wanted, find_model, inspect_paths

    found, scale = find_model(model, product)
    wanted = Wanted(json_file, overlays, mm_per_pixel or scale)
    raise typer.Exit(inspect_paths(paths, found, wanted))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (onboard, train, evaluate, ablate, inspect):
        app.command()(command)
