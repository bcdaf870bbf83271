"""
One peer of `flawline bench peers`: anomalib's PaDiM, PatchCore or STFPM, learnt and tested in a process of its own.

    python anomalib_row.py FOLDER

Reads FOLDER/job.json and leaves result.json and maps.npy there; FOLDER/progress says how far it is. It imports nothing
of ours, so that any environment with anomalib can run it, and the networks get their weights from a file of the job:
nothing is downloaded. Pictures are squeezed into a square, as anomalib does by default.
"""

import ctypes
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from anomalib.models.image.stfpm.loss import STFPMLoss
from anomalib.models.image.stfpm.torch_model import STFPMModel
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

BACKBONE = "tf_efficientnet_lite0"
LAYERS = ("blocks.1", "blocks.2", "blocks.4")
"""Strides 4, 8 and 16, as layer1 to layer3 of the ResNets in anomalib's defaults; PatchCore has the last two."""
NEEDED = ("conv_stem.", "bn1.", *(f"blocks.{group}." for group in range(5)))
PADIM_FEATURES = 100  # as for resnet18, the smallest network that anomalib has a number for
BATCH = 32  # as anomalib's data modules have it
RATE, MOMENTUM, DECAY = 0.4, 0.9, 0.001  # of STFPM, as anomalib has them
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc: from how many bytes on a block is given back, and a heap cut
HIGHEST = 32768.0  # of a map in half precision: its small values keep their digits then

Model = Any
"""One of anomalib's torch models; it ships no types that all its versions agree on."""


def main(folder: Path) -> None:
    """Do the job in the folder. Raises ValueError for weights that do not fit, RuntimeError if it diverges."""
    job: Mapping[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"] or torch.get_num_threads())
    random.seed(job["seed"])
    np.random.seed(job["seed"])  # noqa: NPY002 - what scikit-learn draws from, below PatchCore
    torch.manual_seed(job["seed"])
    begun = time.monotonic()
    pictures = torch.cat([squeezed(pixels(Path(path)), job["side"]) for path in told(folder, "pictures", job["train"])])
    say(folder, "learning", 0, 1)
    model = LEARN[job["model"]](pictures, torch.load(job["weights"], weights_only=True), job, begun)
    seconds = time.monotonic() - begun
    scores, spent = test(model, job, folder)
    result = {
        "scores": scores,
        "train_seconds": seconds,
        "ms_per_frame": float(np.median(spent)) * 1000,
        "peak_mb": peak_mb(),
    }
    keep_maps(folder, job["side"])
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


@torch.no_grad()
def padim(pictures: Tensor, weights: Mapping[str, Tensor], job: Mapping[str, Any], begun: float) -> Model:
    """A Gaussian of features for each place."""
    del job, begun
    model = PadimModel(backbone=BACKBONE, layers=list(LAYERS), pre_trained=False, n_features=PADIM_FEATURES)
    give(model.feature_extractor, weights)
    model.train()
    for batch in torch.split(pictures, BATCH):
        model(normalised(batch))
    model.fit()
    return model


@torch.no_grad()
def patchcore(pictures: Tensor, weights: Mapping[str, Tensor], job: Mapping[str, Any], begun: float) -> Model:
    """A coreset of golden features."""
    del begun
    model = PatchcoreModel(layers=LAYERS[1:], backbone=BACKBONE, pre_trained=False)
    give(model.feature_extractor, weights, LAYERS[1:])
    model.train()
    held = sum(len(model(normalised(batch))) for batch in torch.split(pictures, BATCH))
    # The coreset keeps a small tensor of each round between the large ones that it drops: in one heap that costs 20 GB.
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, 1 << 20)
    model.subsample_embedding(min(1.0, (job["coreset"] + 0.5) / held))  # half of one more: it rounds down
    libc.mallopt(MMAP_THRESHOLD, 32 << 20)  # as large as glibc itself would let it grow: testing is slower without
    libc.mallopt(TRIM_THRESHOLD, 64 << 20)
    return model


def stfpm(pictures: Tensor, weights: Mapping[str, Tensor], job: Mapping[str, Any], begun: float) -> Model:
    """A student that matches the features of its teacher, for as many seconds as the job gives it."""
    with networks_alone():
        model = STFPMModel(layers=LAYERS, backbone=BACKBONE)
    give(model.teacher_model, weights)
    loss = STFPMLoss()
    optimiser = torch.optim.SGD(model.student_model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    model.train()
    for batch in drawn(pictures, until=begun + job["seconds"]):
        off = loss(*model(normalised(batch)))
        if not torch.isfinite(off):
            raise RuntimeError("its training diverged")
        optimiser.zero_grad()
        off.backward()
        optimiser.step()
    return model


LEARN: dict[str, Callable[[Tensor, Mapping[str, Tensor], Mapping[str, Any], float], Model]] = {
    "padim": padim,
    "patchcore": patchcore,
    "stfpm": stfpm,
}


def drawn(pictures: Tensor, *, until: float) -> Iterator[Tensor]:
    """Batches in a new order for each round, at least one, until the time is up."""
    while True:
        for chosen in torch.split(torch.randperm(len(pictures)), BATCH):
            yield pictures[chosen]
            if time.monotonic() >= until:
                return


def test(model: Model, job: Mapping[str, Any], folder: Path) -> tuple[list[float], list[float]]:
    """Scores of the test pictures and the seconds each took, one at a time; their maps go to the disk as they come."""
    model.eval()
    scores: list[float] = []
    spent: list[float] = []
    with (folder / "maps.raw").open("wb") as raw, torch.no_grad():
        for one in told(folder, "testing", job["test"]):
            read = pixels(Path(one["path"]))
            begun = time.perf_counter()
            found = model(normalised(squeezed(read, job["side"])))
            spent.append(time.perf_counter() - begun)
            scores.append(float(found.pred_score.flatten()[0]))
            raw.write(found.anomaly_map.reshape(job["side"], job["side"]).to(torch.float32).numpy().tobytes())
    return scores, spent


@contextmanager
def networks_alone() -> Iterator[None]:
    """STFPM's teacher always asks timm for a download: here it gets the network without weights."""
    create = timm.create_model
    timm.create_model = lambda *given, **named: create(*given, **{**named, "pretrained": False})
    try:
        yield
    finally:
        timm.create_model = create


@torch.no_grad()
def give(extractor: Model, weights: Mapping[str, Tensor], layers: Sequence[str] = LAYERS) -> None:
    """Put the job's weights, which are in the order of the network, into one of anomalib's extractors.

    What lies beyond its last level stays as it is: nothing looks at it. Raises ValueError where they do not fit.
    """
    if tuple(extractor.layers) != tuple(layers):  # those it does not find it drops, and only logs it
        raise ValueError(f"timm's {BACKBONE} has {extractor.layers}, not {layers}")
    own = {name: tensor for name, tensor in extractor.feature_extractor.state_dict().items() if counts(name)}
    given = {name: tensor for name, tensor in weights.items() if counts(name)}
    pairs = zip(own.items(), given.items(), strict=False)
    for (name, tensor), (theirs, weight) in pairs:
        if name.split(".")[-2:] != theirs.split(".")[-2:] or tensor.shape != weight.shape:
            raise ValueError(f"the weights do not fit timm's {BACKBONE}: {theirs} does not belong at {name}")
        tensor.copy_(weight)
    lacking = [name for name in list(own)[len(given) :] if name.startswith(NEEDED)]
    if lacking or len(given) > len(own):
        raise ValueError(
            f"the weights do not fit timm's {BACKBONE}: {len(given)} for {len(own)}, without {lacking[:1]}"
        )


def counts(name: str) -> bool:
    """Whether a tensor of a state is a weight, and no counter of a BatchNorm."""
    return not name.endswith("num_batches_tracked")


def pixels(path: Path) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) uint8 RGB; grey of 16 bits is scaled by 1/257."""
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            grey = np.clip(np.rint(np.asarray(image) / 257.0), 0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.array(image.convert("RGB"), dtype=np.uint8)


def squeezed(picture: NDArray[np.uint8], side: int) -> Tensor:
    """(1, 3, side, side) uint8: the whole picture, antialiased, whatever its aspect ratio."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].to(torch.float32)
    small = functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)


def normalised(batch: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 to float32, as ImageNet's networks want it."""
    mean, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, SPREAD))
    return (batch.to(torch.float32) / 255 - mean) / spread


def told(folder: Path, phase: str, things: Sequence[Any]) -> Iterator[Any]:
    """The things, one after the other; FOLDER/progress says which."""
    for number, thing in enumerate(things):
        say(folder, phase, number, len(things))
        yield thing


def say(folder: Path, phase: str, done: int, total: int) -> None:
    """How far it is, for whoever started it."""
    (folder / "progress").write_text(f"{phase} {done} {total}", encoding="utf-8")


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
