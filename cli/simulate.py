"""Simulated parts as folders of pictures."""

from pathlib import Path

from cli.console import progress
from core.errors import SettingsInvalid
from ingest.simulator import Simulator, write_dataset


def write_pictures(product: str, folder: Path, *, train: int, test: int, seed: int) -> None:
    """Render a data set into a new or empty folder. Raises SettingsInvalid for an unknown product or a used folder."""
    if folder.exists() and any(folder.iterdir()):
        raise SettingsInvalid(f"{folder} is not empty; name a new folder, so that no data sets are mixed")
    try:
        simulator = Simulator(product, seed=seed)
    except ValueError as problem:
        raise SettingsInvalid(str(problem)) from problem
    with progress() as report:
        write_dataset(
            simulator, folder, train=train, test=test,
            after_picture=lambda done, total: report(f"rendering {product}", done, total, {}))  # fmt: skip
