"""Commands around a model: onboard, train, evaluate, inspect."""

from pathlib import Path
from typing import Annotated

import typer

Product = Annotated[str, typer.Argument(help="Name of the product: lower case, digits, . _ -")]
Folder = Annotated[Path, typer.Argument(help="Pictures of good parts, or a data set with train/good inside.")]
Budget = Annotated[str, typer.Option(help="A time for the whole job, such as 180s, or iterations, such as 400it.")]
Size = Annotated[int, typer.Option(min=64, max=1024, help="Input pixels are about SIZE squared; the aspect is kept.")]
Backbone = Annotated[
    str, typer.Option(help="efficientnet_lite0 (CPU), wide_resnet50_2 (the paper's), resnet18, 34, 50.")
]
Ablation = Annotated[str, typer.Option(help="rd, rd-e, rd-e+skip or rd-e+gii (the method, complete).")]
Witness = Annotated[str, typer.Option(help="both, student (the paper's method alone) or memory (of golden parts).")]
Roi = Annotated[str | None, typer.Option(help="Look only here: X,Y,WIDTH,HEIGHT in picture pixels.")]
Ignore = Annotated[list[str] | None, typer.Option(help="Do not look here: X,Y,WIDTH,HEIGHT; may be repeated.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]
Seed = Annotated[int, typer.Option(help="Same seed and iterations, same model.")]
ReviewRate = Annotated[
    float, typer.Option(min=1e-6, max=0.5, help="Share of good parts that people may have to look at.")
]
FailRate = Annotated[float, typer.Option(min=1e-6, max=0.5, help="Share of good parts that may be thrown away unseen.")]
Textures = Annotated[Path | None, typer.Option(help="Folder of texture pictures for synthetic anomalies.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew, even where an interrupted training could go on.")]


def onboard(
    product: Product,
    folder: Folder,
    budget: Budget = "180s",
    size: Size = 256,
    backbone: Backbone = "efficientnet_lite0",
    ablation: Ablation = "rd-e+gii",
    witness: Witness = "both",
    roi: Roi = None,
    ignore: Ignore = None,
    seed: Seed = 0,
    review_rate: ReviewRate = 0.01,
    fail_rate: FailRate = 0.002,
    textures: Textures = None,
    fresh: Fresh = False,
    json_file: Json = None,
) -> None:
    """Teach a product: good pictures in; a trained, calibrated, [bold]active[/] model out."""
    from cli.teach import Asked, teach

    asked = Asked(
        budget, size, backbone, ablation, witness, roi, tuple(ignore or ()), seed, review_rate, fail_rate, textures
    )
    raise typer.Exit(teach(product, folder, asked, activate=True, fresh=fresh, json_file=json_file))


def train(
    product: Product,
    folder: Folder,
    budget: Budget = "180s",
    size: Size = 256,
    backbone: Backbone = "efficientnet_lite0",
    ablation: Ablation = "rd-e+gii",
    witness: Witness = "both",
    roi: Roi = None,
    ignore: Ignore = None,
    seed: Seed = 0,
    review_rate: ReviewRate = 0.01,
    fail_rate: FailRate = 0.002,
    textures: Textures = None,
    fresh: Fresh = False,
    json_file: Json = None,
) -> None:
    """Train a candidate: as onboard, but the model in use stays until you activate the new one."""
    from cli.teach import Asked, teach

    asked = Asked(
        budget, size, backbone, ablation, witness, roi, tuple(ignore or ()), seed, review_rate, fail_rate, textures
    )
    raise typer.Exit(teach(product, folder, asked, activate=False, fresh=fresh, json_file=json_file))


def evaluate(
    data: Annotated[Path, typer.Option(help="Data set: train/good, test/KIND, ground_truth/KIND (MVTec AD layout).")],
    json_file: Json = None,
    budget: Budget = "180s",
    size: Size = 256,
    backbone: Backbone = "efficientnet_lite0",
    ablation: Ablation = "rd-e+gii",
    witness: Witness = "both",
    roi: Roi = None,
    ignore: Ignore = None,
    seed: Seed = 0,
    review_rate: ReviewRate = 0.01,
    fail_rate: FailRate = 0.002,
    textures: Textures = None,
    keep: Annotated[Path | None, typer.Option(help="Keep the model file here.")] = None,
) -> None:
    """Train on a data set's good pictures, calibrate, test on the rest, and report honest figures."""
    from cli.teach import Asked, evaluate_data

    asked = Asked(
        budget, size, backbone, ablation, witness, roi, tuple(ignore or ()), seed, review_rate, fail_rate, textures
    )
    raise typer.Exit(evaluate_data(data, asked, keep=keep, json_file=json_file))


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    model: Annotated[Path | None, typer.Option(help="A model file.")] = None,
    product: Annotated[str | None, typer.Option(help="Instead of a file: the active model of this product.")] = None,
    json_file: Json = None,
    overlays: Annotated[Path | None, typer.Option(help="Write each picture with its heat and regions here.")] = None,
) -> None:
    """Judge pictures with a model file: verdict, raw score, limits and regions of each. Exit code 1 unless all pass."""
    from cli.look import find_model, inspect_paths

    raise typer.Exit(inspect_paths(paths, find_model(model, product), json_file=json_file, overlays=overlays))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (onboard, train, evaluate, inspect):
        app.command()(command)
