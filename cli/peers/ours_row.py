"""
One of our own rows of `flawline bench peers`, in a process of its own: `python -m cli.peers.ours_row FOLDER`.

Reads FOLDER/job.json and leaves what a peer leaves, with pixel_auroc_at_input, and null as the score of a picture that
was refused. Of ours it imports the engine alone, so that its memory is that of the engine.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.architecture import named
from model.evaluation import evaluate
from model.fixture import FixtureMismatch
from model.learning import LearnOptions, learn
from model.pace import Budget
from model.pictures import PictureUnreadable, read_picture
from model.placement import resize
from model.predictor import Predictor

METHOD, BACKBONE = "rd-e+gii", "efficientnet_lite0"
HIGHEST = 32768.0  # of a map in half precision: its small values keep their digits then


def main(folder: Path) -> None:
    """Do the job that lies in the folder. Raises what learn and evaluate raise."""
    job: Mapping[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))

    def tell(phase: str, done: float, total: float, _: Mapping[str, float]) -> None:
        (folder / "progress").write_text(f"{phase} {done} {total}", encoding="utf-8")

    data, options = Path(job["data"]), options_of(job)
    learnt = learn(data, folder / "model.safetensors", options=options, progress=tell)
    predictor = Predictor.load(learnt.path, runtime=options.runtime, threads=options.threads)
    found = evaluate(predictor, data, progress=lambda done, total: tell("testing", done, total, {}))
    scores = on_pictures(predictor, [Path(one["path"]) for one in job["test"]], folder / "maps.raw", side=job["side"])
    result = {
        "scores": scores,
        "train_seconds": learnt.seconds,
        "ms_per_frame": found.ms_per_frame,
        "peak_mb": peak_mb(),
        "pixel_auroc_at_input": found.pixel_auroc,
    }
    keep_maps(folder, job["side"])
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def options_of(job: Mapping[str, Any]) -> LearnOptions:
    """How the engine is to learn: as `flawline evaluate` does by default, but for what the job says."""
    return LearnOptions(
        architecture=named(METHOD, backbone=BACKBONE),
        budget=Budget.parse(job["budget"]),
        size=job["side"],
        seed=job["seed"],
        witness=job["witness"],
        runtime=job["runtime"],
        threads=job["threads"],
        weights=Path(job["weights_place"]) if job["weights_place"] else None,
    )


def on_pictures(predictor: Predictor, paths: Sequence[Path], raw: Path, *, side: int) -> list[float | None]:
    """Scores, None for what is refused; into the file a map for each, of the whole picture squeezed to side × side."""
    scores: list[float | None] = []
    with raw.open("wb") as file:
        for path in paths:
            try:
                (seen,) = predictor.inspect([read_picture(path)])
            except (PictureUnreadable, FixtureMismatch):
                scores.append(None)
                file.write(np.zeros((side, side), np.float32).tobytes())
                continue
            assert seen.placement is not None  # inspect knows it
            scores.append(seen.score)
            whole: NDArray[np.float32] = seen.placement.on_picture(seen.map, side)
            file.write(np.asarray(resize(whole, (side, side)), np.float32).tobytes())
    return scores


def keep_maps(folder: Path, side: int) -> None:
    """The maps that were written to the disk as maps.npy, (N, side, side) float16, scaled to use all of its range."""
    maps = np.fromfile(folder / "maps.raw", np.float32).reshape(-1, side, side)
    most = float(np.abs(maps).max(initial=0.0))
    np.save(folder / "maps.npy", (maps * (HIGHEST / most if most else 1.0)).astype(np.float16))
    (folder / "maps.raw").unlink()


def peak_mb() -> float:
    """The most memory that this process has held, in MB (what the kernel says, not what started it held: getrusage)."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
