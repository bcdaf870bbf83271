"""The options of a training, described once and taken by several commands."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from cli.asked import Asked, with_options

GIVEN: dict[str, Any] = {
    "budget": "4it", "size": 64, "backbone": "resnet18", "ablation": "rd", "witness": "student", "fixture": "roi",
    "flat_field": "off", "roi": "1,2,3,4",
    "ignore": ["1,1,2,2", "5,5,6,6"], "seed": 3, "review_rate": 0.05, "fail_rate": 0.01, "textures": Path("grain"),
    "mm_per_pixel": 0.05, "turns": "flips", "tile": 128, "warm_start": "off", "precision": "bf16",
}  # fmt: skip


@pytest.fixture
def told() -> list[tuple[str, Asked, bool]]:
    return []


@pytest.fixture
def app(told: list[tuple[str, Asked, bool]]) -> typer.Typer:
    """One command that notes what it was called with."""
    made = typer.Typer()

    @with_options
    def learn(*, product: Annotated[str, typer.Argument()], asked: Asked, fresh: bool = False) -> None:
        told.append((product, asked, fresh))

    made.command()(learn)
    return made


def words(name: str, value: object) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    return [word for one in (value if isinstance(value, list) else [value]) for word in (option, str(one))]


def test_without_options_all_is_as_asked_stands_by_itself(
    app: typer.Typer, told: list[tuple[str, Asked, bool]]
) -> None:
    assert CliRunner().invoke(app, ["ring"]).exit_code == 0
    assert told == [("ring", Asked(), False)]


def test_each_option_arrives_beside_the_commands_own(app: typer.Typer, told: list[tuple[str, Asked, bool]]) -> None:
    assert GIVEN.keys() == {field.name for field in fields(Asked)}
    assert all(value != asdict(Asked())[name] for name, value in GIVEN.items())
    line = [word for name, value in GIVEN.items() for word in words(name, value)]
    assert CliRunner().invoke(app, ["ring", *line, "--fresh"]).exit_code == 0
    assert told == [("ring", Asked(**GIVEN), True)]


@pytest.mark.parametrize("wrong", [["--size", "32"], ["--fail-rate", "0.9"], ["--asked", "x"]])
def test_what_is_out_of_bounds_or_unknown_is_refused(
    app: typer.Typer, told: list[tuple[str, Asked, bool]], wrong: list[str]
) -> None:
    assert CliRunner().invoke(app, ["ring", *wrong]).exit_code == 2
    assert told == []
