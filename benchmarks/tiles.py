"""What tiles are for: small flaws in large pictures, at size 256 and at size 1024, where networks train on tiles.

.venv/bin/python benchmarks/tiles.py                     two minutes, on made-up cloth with flaws of 6 to 10 pixels
.venv/bin/python benchmarks/tiles.py --budget 400it      longer trainings
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli.console import out
from model.flaws import FLAW_KINDS, Flaw, mar
from model.learning import LearnOptions
from model.pace import Budget
from model.trial import learn_and_test

SIDE = 1024
TRAINED, TESTED = 20, 16  # good pictures to learn from; good ones, and as many flawed ones, to test on
LEAST, MOST = 6.0, 10.0  # px, the flaws' size
CONTRAST = 70.0  # grey levels

Picture = NDArray[np.uint8]


def cloth(rng: Generator) -> Picture:
    """Threads across and along at a random phase, uneven and grainy; (SIDE, SIDE, 3)."""
    across, along = rng.uniform(0, 2 * np.pi, 2)
    steps = np.arange(SIDE, dtype=np.float32) * np.float32(2 * np.pi / 9)
    threads = np.sin(steps + across)[:, None] * np.sin(steps + along)[None, :]
    grain = rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    clouds = cv2.resize(rng.normal(0, 1, (16, 16)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grey = 130 + 22 * threads + 9 * cv2.GaussianBlur(grain, (0, 0), 1.0) * 2 + 5 * clouds
    return np.asarray(np.clip(grey[:, :, None] * np.array([1.0, 0.97, 0.9]), 0, 255), dtype=np.uint8)


def made(folder: Path, seed: int) -> Path:
    """A data set in MVTec AD layout, without masks."""
    for place, count in (("train/good", TRAINED), ("test/good", TESTED), *((f"test/{kind}", 0) for kind in FLAW_KINDS)):
        (folder / place).mkdir(parents=True)
        for number in range(count):
            _write(folder / place / f"{number:03}.png", cloth(default_rng((seed, len(place), number))))
    for number in range(TESTED):
        rng = default_rng((seed, 99, number))
        kind = FLAW_KINDS[number % len(FLAW_KINDS)]
        size = float(rng.uniform(LEAST, MOST))
        flawed, _ = mar(cloth(rng), Flaw(kind, size, CONTRAST), rng)
        _write(folder / f"test/{kind}/{number:03}.png", flawed)
    return folder


def compare(
    budget: Annotated[str, typer.Option(help="Of each training, such as 120it or 3m.")] = "100it",
    seed: Annotated[int, typer.Option(help="Of pictures and trainings.")] = 0,
) -> None:
    """Print, for both sizes, how well flawed pictures are told from good ones, and the time that it takes."""
    options = LearnOptions(
        budget=Budget.parse(budget), fixture="none", flat=False, seed=seed, capability=False, turns="none"
    )
    out.print(f"{TESTED} good and {TESTED} flawed pictures of {SIDE}x{SIDE} px, flaws of {LEAST:g} to {MOST:g} px")
    heads = ("image AUROC", "caught", "good rejected", "training, s", "ms a frame")
    out.print(" " * 18 + "".join(f"{head:>15}" for head in heads), soft_wrap=True)
    with TemporaryDirectory() as scratch:
        data = made(Path(scratch) / "cloth", seed)
        for name, size in (("size 256", 256), ("size 1024, tiles", 1024)):
            target = Path(scratch) / "model.safetensors"
            learnt, found = learn_and_test(data, target, options=replace(options, size=size))
            values = (
                f"{found.image_auroc:.3f}", f"{found.defective - found.missed} of {found.defective}",
                f"{found.false_rejects} of {found.good}", f"{learnt.training.seconds:.0f}", f"{found.ms_per_frame:.1f}",
            )  # fmt: skip
            out.print(f"{name:<18}" + "".join(f"{value:>15}" for value in values), soft_wrap=True, highlight=False)


def _write(path: Path, picture: Picture) -> None:
    cv2.imwrite(str(path), np.ascontiguousarray(picture[:, :, ::-1]))


if __name__ == "__main__":
    typer.run(compare)
