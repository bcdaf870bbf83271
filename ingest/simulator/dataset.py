"""Writes simulated parts as a data set in the MVTec AD layout."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.disk import write_whole
from core.errors import SourceUnavailable
from ingest.simulator.parts import Picture
from ingest.simulator.simulator import Simulator

TEST_PARTS_FROM = 100_000  # test parts are other parts than the training parts, whatever their number


@dataclass(frozen=True)
class DatasetCounts:
    """How many pictures were written."""

    train_good: int
    test_good: int
    test_defective: int


def write_dataset(
    simulator: Simulator,
    folder: Path,
    *,
    train: int,
    test: int,
    after_picture: Callable[[int, int], None] | None = None,
) -> DatasetCounts:
    """Write `train/good`, `test/good`, `test/<kind>` and `ground_truth/<kind>/<name>_mask.png` under `folder`.

    Half of the test parts (rounded up) are good, the others share the product's kinds evenly. Pictures are PNG, masks
    8-bit PNG with 0 or 255. after_picture: called with (pictures written, pictures in all). Raises
    SourceUnavailable when the disk refuses.
    """
    kinds = simulator.kinds
    good = (test + 1) // 2
    total, done = train + test, 0

    def written() -> None:
        nonlocal done
        done += 1
        if after_picture is not None:
            after_picture(done, total)

    for at in range(train):
        _write(folder / "train" / "good" / f"{at:04d}.png", simulator.good(at).picture)
        written()
    for at in range(good):
        _write(folder / "test" / "good" / f"{at:04d}.png", simulator.good(TEST_PARTS_FROM + at).picture)
        written()
    for at in range(test - good):
        kind = kinds[at % len(kinds)]
        part = simulator.spoilt(TEST_PARTS_FROM + good + at, kind)
        _write(folder / "test" / kind / f"{at:04d}.png", part.picture)
        mask = np.where(part.truth.mask, 255, 0).astype(np.uint8)
        _write(folder / "ground_truth" / kind / f"{at:04d}_mask.png", mask)
        written()
    return DatasetCounts(train, good, test - good)


def _write(path: Path, picture: Picture) -> None:
    """Write an RGB or grey picture as PNG, never half: aside first, then renamed."""
    _, data = cv2.imencode(
        ".png", picture[:, :, ::-1] if picture.ndim == 3 else picture, [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data.tobytes(), durable=False)
    except OSError as problem:
        raise SourceUnavailable(
            f"{path}: the picture could not be written ({problem.strerror}); free some space or choose another folder"
        ) from problem
