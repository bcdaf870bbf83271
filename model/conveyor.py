"""
Pictures through PyTorch on a GPU: while one batch is computed, the next is copied in and the one before copied out.

Each place on the conveyor has memory of its own on both sides (pinned on the host, or the copies would wait for one
another), a stream, and the network recorded as a CUDA graph for its number of pictures: to start the kernels of a few
pictures one by one takes the CPU longer than they run. A batch that does not fill its place is padded.

Not measured on a GPU. On the CPU the same steps are taken in turn, without pinned memory, stream and graph.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PLACES = (1, 2, 4, 8, 8)  # pictures; the largest there is twice, because only it can follow itself
WARM = 3  # runs before a network is recorded, as PyTorch asks for: cuDNN chooses its algorithms in them

Network = Callable[[Tensor], tuple[Tensor, ...]]
Answers = tuple[NDArray[np.float32], ...]

log = logging.getLogger(__name__)


class Conveyor:
    """A network that takes uint8 pictures of one size, on one device. One thread at a time."""

    def __init__(self, network: Network, size: tuple[int, int], device: torch.device) -> None:
        self._places = [_Place(network, (count, *size, 3), device) for count in PLACES]

    def __call__(self, images: NDArray[np.uint8]) -> list[Answers]:
        """images: (N, H, W, 3). Returns the network's outputs batch by batch, in order, N in all."""
        told: list[Answers] = []
        under_way: deque[_Place] = deque()
        for start, count in cut(len(images)):
            while not (free := [one for one in self._places if one.count >= count and one not in under_way]):
                told.append(under_way.popleft().take())
            place = free[0]  # the smallest: they lie in that order
            place.send(images[start : start + count])
            under_way.append(place)
        return told + [place.take() for place in under_way]


def cut(number: int) -> Iterator[tuple[int, int]]:
    """Where each batch starts and how many pictures it has: full ones, then the rest."""
    most = max(PLACES)
    for start in range(0, number, most):
        yield start, min(most, number - start)


class _Place:
    """Room for so many pictures, and what the network says of them."""

    def __init__(self, network: Network, shape: tuple[int, ...], device: torch.device) -> None:
        self.count = shape[0]
        self._network = network
        self._on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._done = torch.cuda.Event() if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._host = torch.zeros(shape, dtype=torch.uint8, pin_memory=self._on_gpu)
        self._given = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._sent = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        with _turn(self._stream):
            self._outputs = network(self._given)
            if self._stream is not None:
                self._record(self._stream)
        self._told = [torch.zeros(one.shape, dtype=one.dtype, pin_memory=self._on_gpu) for one in self._outputs]

    def send(self, images: NDArray[np.uint8]) -> None:
        """Begin with up to `count` pictures; what a place was sent before must have been taken."""
        self._sent = len(images)
        self._host[: self._sent].copy_(torch.from_numpy(np.ascontiguousarray(images)))
        with _turn(self._stream):
            self._given.copy_(self._host, non_blocking=True)
            if self._graph is None:
                self._outputs = self._network(self._given)
            else:
                self._graph.replay()
            for host, output in zip(self._told, self._outputs, strict=True):
                host.copy_(output, non_blocking=True)
            if self._done is not None:
                self._done.record()

    def take(self) -> Answers:
        """Wait until it is done; copies, so that the place may be used again."""
        if self._done is not None:
            self._done.synchronize()
        return tuple(host[: self._sent].numpy().copy() for host in self._told)

    def _record(self, stream: torch.cuda.Stream) -> None:
        """The network as a graph that reads `given` and writes `outputs`; without one where it cannot be recorded."""
        for _ in range(WARM):
            self._network(self._given)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream):
                outputs = self._network(self._given)
        except RuntimeError as problem:
            log.warning("the network runs kernel by kernel, because it cannot be recorded as a graph: %s", problem)
            return
        self._graph, self._outputs = graph, outputs


@contextmanager
def _turn(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """In inference mode, on the stream if there is one, with float32 as it is on every other runtime."""
    # TF32 would round float32 convolutions to ten bits on a GPU.
    exact = torch.backends.cudnn.flags(allow_tf32=False)
    with torch.inference_mode(), exact, torch.cuda.stream(stream) if stream else nullcontext():
        yield
