"""Which pictures come in which iteration, with which twins: a function of the seed and the iteration alone."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.foreground import Foregrounds
from model.normalisation import IMAGENET
from model.synthetic import Twin, TwinReport, make_twin, twin_rng
from model.textures import Textures

_ORDER = 0x0DD5  # keeps the sampler's generators apart from the twins'


@dataclass(frozen=True)
class Batch:
    """One iteration's pictures.

    picks: (B,) which of the pictures. normal, marred: (B, 3, H, W) float32, normalised. mask: (B, 1, H, W) float32, 1
    where the twin is marred.
    """

    picks: NDArray[np.intp]
    normal: Tensor
    marred: Tensor
    mask: Tensor


class Twins:
    """Makes the twins of one training run and counts what it took."""

    def __init__(self, textures: Textures, foregrounds: Foregrounds, seed: int) -> None:
        self.seed = seed
        self.report = TwinReport()
        self._textures = textures
        self._foregrounds = foregrounds

    def make(self, normal: NDArray[np.uint8], number: int, *, iteration: int, position: int) -> Twin:
        """The twin of picture `number`, (H, W, 3) uint8, at this place in the sequence."""
        twin = make_twin(normal, self._textures, twin_rng(self.seed, iteration, position), self._foregrounds[number])
        self.report.count(twin)
        return twin


class Batches:
    """Endless shuffled batches of good pictures and their twins; any iteration can be asked for, at any time.

    pictures: (N, H, W, 3) uint8. Batches are always full: with fewer pictures than a batch holds, some come twice.
    """

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        twins: Twins,
        *,
        size: int,
        device: torch.device | None = None,
    ) -> None:
        if size < 1 or not len(pictures):
            raise ValueError(f"batches of {size} from {len(pictures)} pictures: both must be at least 1")
        self.pictures = pictures
        self.size = size
        self.twins = twins
        self._device = device or torch.device("cpu")

    def __getitem__(self, iteration: int) -> Batch:
        """The batch of this iteration, counted from 0."""
        picks = picked(self.twins.seed, iteration, count=len(self.pictures), size=self.size)
        twins = [
            self.twins.make(self.pictures[pick], int(pick), iteration=iteration, position=position)
            for position, pick in enumerate(picks)
        ]
        marred = torch.from_numpy(np.stack([twin.marred for twin in twins])) * 255
        mask = torch.from_numpy(np.stack([twin.mask for twin in twins]))[:, None].float()
        return Batch(picks, self.normals(picks), self._network_input(marred), mask.to(self._device))

    def normals(self, picks: NDArray[np.intp]) -> Tensor:
        """The pictures themselves: (B, 3, H, W) float32, normalised."""
        return self._network_input(torch.from_numpy(self.pictures[picks]))

    def _network_input(self, images: Tensor) -> Tensor:
        if self._device.type == "cuda":  # from pinned memory a copy goes on beside whatever else the GPU does
            images = images.pin_memory()
        return IMAGENET(images.to(self._device, non_blocking=True)).contiguous(memory_format=torch.channels_last)


def picked(seed: int, iteration: int, *, count: int, size: int) -> NDArray[np.intp]:
    """Indices (size,) of one iteration: every picture once before any comes again, in a new order each time round."""
    if count < size:
        return np.random.default_rng((seed, iteration, _ORDER)).integers(0, count, size).astype(np.intp)
    places = np.arange(iteration * size, (iteration + 1) * size)  # in the endless row of shuffled pictures
    turns = range(iteration * size // count, ((iteration + 1) * size - 1) // count + 1)
    orders = np.concatenate([np.random.default_rng((seed, turn, _ORDER)).permutation(count) for turn in turns])
    return np.asarray(orders[places - turns.start * count], dtype=np.intp)
