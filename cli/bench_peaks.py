"""What this machine computes at most: OpenVINO's own matrix product, which waits for nothing but arithmetic."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cli.bench_runtimes import Arithmetic
from model.openvino_graph import compiled
from model.runtimes import Precision, RuntimeChoice

if TYPE_CHECKING:  # imported inside functions: only behind the engine does OpenVINO keep from calling out
    import openvino

SIDE = 768  # rows and columns: operands that lie in a cache near by; larger ones are slower again
LEVELS = 256
PEAKS: tuple[Arithmetic, ...] = ("f32", "bf16", "int8")


@dataclass(frozen=True)
class Peak:
    """A matrix product, ready to run on all streams at once. flop: of one call."""

    precision: Arithmetic
    flop: int
    queue: "openvino.AsyncInferQueue"

    def __call__(self) -> None:
        """Multiply on every stream."""
        for _ in range(len(self.queue)):
            self.queue.start_async()
        self.queue.wait_all()


def matrix_product(precision: Arithmetic, *, side: int = SIDE, threads: int | None = None) -> Peak:
    """The product of two square matrices, on the streams that the network has too.

    int8: both sides are quantised, as NNCF quantises a network. Raises RuntimeUnavailable where the CPU lacks bf16.
    """
    import openvino

    taken: Precision = "f32" if precision == "int8" else precision
    ready = compiled(_graph(side, quantised=precision == "int8"), RuntimeChoice("openvino", taken, threads))
    queue = openvino.AsyncInferQueue(ready)
    random = np.random.default_rng(0)
    for request in queue:
        request.set_input_tensor(openvino.Tensor(random.random((side, side), dtype=np.float32)))
    return Peak(precision, 2 * side**3 * len(queue), queue)


def _graph(side: int, *, quantised: bool) -> "openvino.Model":
    import openvino
    from openvino import opset13 as ops

    random = np.random.default_rng(1)
    given = ops.parameter([side, side], np.float32)
    left, right = given, ops.constant(random.random((side, side), dtype=np.float32) * 2 - 1)
    if quantised:
        left = ops.fake_quantize(left, *_range(0.0, 1.0), LEVELS)
        right = ops.fake_quantize(right, *_range(-1.0, 1.0), LEVELS - 1)
    product = ops.matmul(left, right, transpose_a=False, transpose_b=True)
    return openvino.Model([product], [given])


def _range(low: float, high: float) -> tuple[np.float32, ...]:
    return np.float32(low), np.float32(high), np.float32(low), np.float32(high)
