"""What runs the inspection network: PyTorch or OpenVINO, behind one small interface."""

import importlib.util
import logging
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.backbones import check_size
from model.conveyor import Conveyor
from model.errors import RuntimeUnavailable
from model.inspection_network import InspectionNetwork
from model.memory import GoldenMemory, Search
from model.normalisation import IMAGENET, Normalisation

RuntimeName = Literal["auto", "openvino", "torch"]
Precision = Literal["f32", "bf16", "f16"]
Distances = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

DTYPES: dict[Precision, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
LARGEST_BATCH = 16
"""Pictures that pass through PyTorch at once; larger batches are cut, for memory's sake."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fingerprint:
    """What a calibration holds for: scores of another runtime, version, kind of device or precision are others."""

    runtime: str
    version: str
    device: str
    precision: str


class Runtime(Protocol):
    """Runs one inspection network at one input size; not safe to share between threads."""

    size: tuple[int, int]
    fingerprint: Fingerprint

    def look(self, images: NDArray[np.uint8]) -> "Seen":
        """images: (N, H, W, 3) uint8 RGB of the runtime's size."""
        ...

    def distances(self, images: NDArray[np.uint8]) -> Distances:
        """The distances alone."""
        ...

    def search(self, memory: GoldenMemory) -> Search:
        """How features that this runtime gives are looked up in a memory; may be called beside `look`.

        Raises ValueError for a memory that holds a value that is no finite number.
        """
        ...


@dataclass(frozen=True)
class Seen:
    """What a network says of N pictures.

    distances: D_1, D_2, D_3, (N, H_k, W_k) float32. features: (N, C, H / 8, W / 8) float32, None without a memory; a
    view of numbers that lie channels last, as the memory compares them.
    """

    distances: Distances
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class RuntimeChoice:
    """How the network is run; threads: None for all cores."""

    runtime: RuntimeName = "auto"
    precision: Precision = "f32"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"{self.threads} threads cannot run anything; give 1 or more, or none for all cores")


def open_runtime(
    teacher: nn.Module,
    student: nn.Module,
    *,
    size: tuple[int, int],
    choice: RuntimeChoice | None = None,
    normalisation: Normalisation = IMAGENET,
    memory: bool = False,
) -> Runtime:
    """Teacher and student on the runtime they are deployed on; both are copied, so training may go on.

    size: height, width of the input. memory: also give golden features. choice: `auto` takes PyTorch where there is a
    GPU and OpenVINO elsewhere. Raises RuntimeUnavailable, and ValueError for a size that the networks cannot take.
    """
    check_size(*size)
    choice = choice or RuntimeChoice()
    if chosen_runtime(choice) == "torch":
        network = InspectionNetwork(
            teacher, student, normalisation=normalisation, memory=memory, dtype=DTYPES[choice.precision]
        )
        return TorchRuntime(network, size, choice)
    if importlib.util.find_spec("openvino") is None:
        raise RuntimeUnavailable("OpenVINO is not installed; install flawline[model] or choose the runtime torch")
    from model.openvino_runtime import OpenVinoRuntime  # heavy, and not needed beside a GPU

    network = InspectionNetwork(teacher, student, normalisation=normalisation, memory=memory)
    return OpenVinoRuntime(network, size, choice)


class TorchRuntime:
    """PyTorch, on the GPU where there is one."""

    def __init__(self, network: InspectionNetwork, size: tuple[int, int], choice: RuntimeChoice) -> None:
        self.size = size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._threads = choice.threads
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self._conveyor = Conveyor(self._network, size, self._device) if self._device.type == "cuda" else None
        self.fingerprint = Fingerprint("torch", torch.__version__, self._device.type, choice.precision)

    def distances(self, images: NDArray[np.uint8]) -> Distances:
        """See Runtime."""
        return self.look(images).distances

    def look(self, images: NDArray[np.uint8]) -> Seen:
        """See Runtime."""
        check_images(images, self.size)
        parts = self._conveyor(images) if self._conveyor else self._on_the_cpu(images)
        first, second, third, *features = (np.concatenate(level) for level in zip(*parts, strict=True))
        return Seen((first, second, third), *(np.moveaxis(found, -1, 1) for found in features))

    def _on_the_cpu(self, images: NDArray[np.uint8]) -> list[tuple[NDArray[np.float32], ...]]:
        starts = range(0, len(images), LARGEST_BATCH)
        before = torch.get_num_threads()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            return [self._run(images[start : start + LARGEST_BATCH]) for start in starts]
        finally:
            torch.set_num_threads(before)

    def search(self, memory: GoldenMemory) -> Search:
        """See Runtime; the maps are made on the CPU."""
        there = memory.on(self._device)
        there.require_numbers()
        return there.distances

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        given = torch.from_numpy(np.ascontiguousarray(images))
        with torch.inference_mode():
            return tuple(output.numpy() for output in self._network(given))


def check_images(images: NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Raise ValueError for another shape or type than the network takes."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*size, 3) or not len(images):
        raise ValueError(
            f"the model takes uint8 pictures of shape (N, {size[0]}, {size[1]}, 3) with N >= 1, "
            f"not {images.dtype} {images.shape}; bring them into the model's fixture first"
        )


def chosen_runtime(choice: RuntimeChoice) -> Literal["openvino", "torch"]:
    """What `auto` means on this machine."""
    if choice.runtime != "auto":
        return choice.runtime
    if torch.cuda.is_available():
        return "torch"
    if importlib.util.find_spec("openvino") is None:
        log.warning("OpenVINO is not installed: inspecting with PyTorch on the CPU, which takes several times as long")
        return "torch"
    return "openvino"
