"""
The golden memory: how far each place of a part is from every golden part at the same place (rd-e.md, section 13).

A witness beside the student: it needs no training and errs elsewhere. Each cell is compared with the cells of the
golden parts within REACH of it, so parts must lie in about the same place; a part that lies elsewhere is far from all.

The search here is PyTorch's: it learns, and serves the runtime `torch`. OpenVINO has its own (model.openvino_search),
in less than half of the time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from numpy.typing import NDArray
from torch import Tensor

from model.anomaly_map import STRIDES, MapMaker
from model.threads import on_one_thread

REACH = 1  # cells of stride 8, in each direction
AROUND = 2 * REACH + 1
MOST_PARTS = 60
FEWEST = 8  # parts that tell where distances are usual
FOLDS = 5
CALM = 3.0  # mean strays that are added everywhere: a place that hardly strays on few parts is not that sure
FLATTEST = 0.05  # of the mean spread of the channels
PIECE = 4  # pictures searched at once

Search = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A runtime's way of finding what GoldenMemory.distances finds, with the same arguments and answers."""


@dataclass(frozen=True)
class GoldenMemory:
    """Standardised features of golden parts.

    bank: (cells, parts, C) float32, cells row by row; the parts lie side by side in memory, which is how a search wants
    to read them: nothing has to be turned over or kept twice. mean, spread: (C,) of the features before. usual, strays:
    (rows, columns), what good parts' distances are at each place, and how far they stray from it.
    """

    bank: Tensor
    mean: Tensor
    spread: Tensor
    usual: Tensor
    strays: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.usual.shape[0], self.usual.shape[1]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "GoldenMemory":
        """From the golden features of N parts, (N, C, h, w)."""
        given = torch.from_numpy(features)
        mean = given.mean(dim=(0, 2, 3))
        spread = given.std(dim=(0, 2, 3), correction=0)
        # A channel that hardly moves on good parts must not outvote the others, nor leave half precision.
        spread = spread.clamp_min(max(FLATTEST * float(spread.mean()), 1e-3))
        scaled = (given - mean[:, None, None]) / spread[:, None, None]
        bank = _side_by_side(scaled.flatten(2).permute(2, 0, 1).half().float())  # as precise as a model file keeps it
        place = features.shape[2:]
        return cls(bank, mean, spread, torch.zeros(place), torch.ones(place))

    @classmethod
    def learnt(cls, features: NDArray[np.float32]) -> tuple["GoldenMemory", NDArray[np.float32]]:
        """A memory that also knows where distances are usual, and the distances of its own parts, (N, h, w).

        features: of N parts, (N, C, h, w). Each part is held against a memory of the parts of the other FOLDS, so that
        all are remembered and none is compared with itself. Edges and reflections differ on every good part, and would
        outweigh a real flaw on a quiet place (rd-e.md §13). With fewer than FEWEST parts nothing can be said of single
        places.
        """
        memory = cls.of(features)
        found = np.zeros((len(features), *memory.shape), np.float32)
        places = np.arange(len(features)) % min(FOLDS, len(features))
        for fold in range(int(places.max()) + 1):
            others = features[places != fold]
            if len(others):
                found[places == fold] = cls.of(others).distances(features[places == fold])
        if len(features) < FEWEST:
            return memory, found
        usual, strays = (_smoothed(values) for values in (found.mean(axis=0), found.std(axis=0)))
        strays = strays + np.float32(CALM * float(strays.mean()))
        settled = replace(memory, usual=torch.from_numpy(usual), strays=torch.from_numpy(strays))
        return settled, np.asarray((found - usual) / strays, dtype=np.float32)

    def on(self, device: torch.device) -> "GoldenMemory":
        """The same with what is searched on another device; usual and strays stay where maps are made."""
        return replace(self, bank=self.bank.to(device), mean=self.mean.to(device), spread=self.spread.to(device))

    @cached_property
    def bank_squares(self) -> Tensor:
        """(cells, 1, parts): squared lengths of what is remembered."""
        return (self.bank * self.bank).sum(-1)[:, None, :]

    def require_numbers(self) -> None:
        """Raise ValueError if anything that is remembered is no finite number: a search might pass it over."""
        if not bool(self.bank_squares.isfinite().all()):  # one for each cell of each part, and of any use to all
            raise ValueError("the golden memory holds values that are no finite numbers; train the model again")

    def tensors(self, name: str = "memory") -> dict[str, Tensor]:
        """What a model file keeps under a name; the bank in half precision."""
        kept = {part: getattr(self, part).clone() for part in ("mean", "spread", "usual", "strays")}
        return {f"{name}.{part}": tensor for part, tensor in (kept | {"bank": self.bank.half().contiguous()}).items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], shape: tuple[int, int], name: str = "memory") -> "GoldenMemory":
        """Back from a model file. Raises ValueError when something is missing or does not fit."""
        try:
            parts = ("bank", "mean", "spread", "usual", "strays")
            bank, mean, spread, usual, strays = (tensors[f"{name}.{part}"] for part in parts)
        except KeyError as problem:
            raise ValueError(f"the golden memory lacks {problem}") from problem
        fits = bank.ndim == 3 and bank.shape[0] == shape[0] * shape[1] and bank.shape[2:] == mean.shape == spread.shape
        fits = fits and usual.shape == strays.shape == shape
        if not fits or not all(bool(tensor.isfinite().all()) for tensor in (bank, mean, spread, usual, strays)):
            raise ValueError(f"the golden memory {tuple(bank.shape)} does not fit {shape[0]}x{shape[1]} cells")
        return cls(_side_by_side(bank.float()), mean.float(), spread.float(), usual.float(), strays.float())

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of each cell to the nearest golden one, less what is usual at its place, in units of what strays.

        features: (B, C, h, w). Returns (B, h, w) float32, from the root mean square over the channels; NaN where a
        feature is no finite number.
        """
        return np.concatenate([self._search(features[at : at + PIECE]) for at in range(0, len(features), PIECE)])

    def _search(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The distances of a few pictures: what is asked for one of them takes nine times its features' memory."""
        features_here = torch.from_numpy(features).to(self.bank.device)
        given = ((features_here.movedim(1, -1) - self.mean) / self.spread).contiguous()  # (B, h, w, C)
        # Asked from the bank's side, so that the bank is read once: which cells around each bank cell come near it?
        padded = F.pad(given, (0, 0, REACH, REACH, REACH, REACH))
        asked = padded.unfold(1, AROUND, 1).unfold(2, AROUND, 1).permute(1, 2, 0, 4, 5, 3)
        asked = asked.reshape(len(self.bank), -1, given.shape[-1])
        squares = torch.baddbmm(self.bank_squares, asked, self.bank.mT, alpha=-2)  # (cells, asked, parts)
        own = (given * given).sum(-1).movedim(0, -1)
        return self.settled(squares.amin(dim=2).cpu().numpy(), own.cpu().numpy(), batch=len(given))

    def settled(self, nearest: NDArray[np.float32], own: NDArray[np.float32], *, batch: int) -> NDArray[np.float32]:
        """The last step of every search: from what each bank cell has found to distances in units of what strays.

        nearest: (cells, B · 9) float32, for the cells around each bank cell, row by row, the least of the bank's
        squared length less twice the product. own: (h, w, B), the squared lengths of the cells that were asked for;
        no finite number where a feature is none. Returns (B, h, w) float32, NaN there, even if `nearest` has lost it.
        """
        (rows, columns), channels = self.shape, len(self.mean)
        around = nearest.reshape(rows, columns, batch, AROUND, AROUND)
        best = np.full((rows, columns, batch), np.inf, dtype=np.float32)
        for down in range(AROUND):
            for right in range(AROUND):
                y, x = down - REACH, right - REACH  # the cell asked for lies so far from the bank's cell
                there = around[max(0, -y) : rows - max(0, y), max(0, -x) : columns - max(0, x), :, down, right]
                here = best[max(0, y) : rows + min(0, y), max(0, x) : columns + min(0, x)]
                np.minimum(here, there, out=here)
        with np.errstate(invalid="ignore"):  # of what is no number the last line takes care
            found = np.sqrt(np.maximum(best + own, 0) / channels)
            found = (found - self.usual.numpy()[..., None]) / self.strays.numpy()[..., None]
        return np.moveaxis(np.where(np.isfinite(own), found, np.nan), -1, 0).astype(np.float32)


def _side_by_side(bank: Tensor) -> Tensor:
    """The same (cells, parts, C), with the parts next to one another in memory."""
    return bank.mT.contiguous().mT


def _smoothed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


class MemoryMaps:
    """Distances as maps of the input's size, upsampled and smoothed as the student's are.

    search: the memory's own if None. Raises ValueError for a memory that has not the cells of one of the strides.
    """

    def __init__(self, memory: GoldenMemory, size: tuple[int, int], search: Search | None = None) -> None:
        self._search = search or memory.distances
        self._maker = MapMaker(*size)
        cells = [(size[0] // stride, size[1] // stride) for stride in STRIDES]
        if memory.shape not in cells:
            raise ValueError(
                f"a memory of {memory.shape[0]}x{memory.shape[1]} cells does not fit {size[0]}x{size[1]} px"
            )
        self._level = cells.index(memory.shape)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """features: (B, C, h, w). Returns (B, H, W) float32; NaN for a picture with a feature that is not finite."""
        return self.of_cells(self.cells(features))

    def cells(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The distances (B, h, w) of features (B, C, h, w)."""
        with on_one_thread():
            return self._search(features)

    def of_cells(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maps (B, H, W) of distances (B, h, w)."""
        return self._maker.one_level(distances, self._level)
