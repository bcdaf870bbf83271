"""What a training is asked for: the options that onboard, train, evaluate and ablate share, each described once."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a training as the command line gives them."""

    budget: Annotated[
        str, typer.Option(help="A time for the whole job, such as 180s, or iterations, such as 400it.")
    ] = "180s"
    size: Annotated[
        int, typer.Option(min=64, max=1024, help="Input pixels are about SIZE squared; the aspect is kept.")
    ] = 256
    backbone: Annotated[
        str,
        typer.Option(
            help="efficientnet_lite0 (CPU), efficientnet_lite1 and efficientnet_lite2 (larger), "
            "wide_resnet50_2 (the paper's), resnet18, 34, 50."
        ),
    ] = "efficientnet_lite0"
    ablation: Annotated[str, typer.Option(help="rd, rd-e, rd-e+skip or rd-e+gii (the method, complete).")] = "rd-e+gii"
    witness: Annotated[
        str, typer.Option(help="both, student (the paper's method alone) or memory (of golden parts).")
    ] = "both"
    fixture: Annotated[
        str, typer.Option(help="auto, none, stretch, roi, part, axis or template: how each part is brought into place.")
    ] = "auto"
    flat_field: Annotated[str, typer.Option(help="auto, on or off: take uneven light out.")] = "auto"
    roi: Annotated[str | None, typer.Option(help="Look only here: X,Y,WIDTH,HEIGHT in picture pixels.")] = None
    ignore: Annotated[list[str] | None, typer.Option(help="Do not look here: X,Y,WIDTH,HEIGHT; may be repeated.")] = (
        None
    )
    precision: Annotated[
        str, typer.Option(help="f32, bf16 or f16 (GPUs): in which the model will inspect, with limits of its own.")
    ] = "f32"
    mm_per_pixel: Annotated[
        float | None, typer.Option(min=1e-6, max=1000, help="Scale of the raw picture; sizes are told in mm too then.")
    ] = None
    seed: Annotated[int, typer.Option(help="Same seed and iterations, same model.")] = 0
    review_rate: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Share of good parts that people may have to look at.")
    ] = 0.01
    fail_rate: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Share of good parts that may be thrown away unseen.")
    ] = 0.002
    textures: Annotated[Path | None, typer.Option(help="Folder of texture pictures for synthetic anomalies.")] = None
    turns: Annotated[
        str, typer.Option(help="auto, none, flips, quarter or all: how training pictures may be flipped and turned.")
    ] = "auto"
    tile: Annotated[
        int | None,
        typer.Option(help="Train on tiles of TILE by TILE pixels, 0 for none; default: 256, of large inputs alone."),
    ] = None
    warm_start: Annotated[
        str,
        typer.Option(help="auto (onboard, train: the product's active model, where it fits), off, or a model file."),
    ] = "auto"


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer is to see it: in place of its parameter `asked`, the options of Asked one by one."""
    return with_options_but()(command)


def with_options_but(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same without some of the options, by the names they have in Asked; these keep their defaults."""
    names = [field.name for field in fields(Asked) if field.name not in left_out]

    def offer(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def taking(**given: Any) -> None:
            asked = Asked(**{name: given.pop(name) for name in names})
            command(asked=asked, **given)

        offered = inspect.signature(Asked).parameters
        options = [offered[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in names]
        shown: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            shown += options if parameter.name == "asked" else [parameter]
        taking.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        return taking

    return offer
