"""The golden memory's search as an OpenVINO graph: one matrix product for each cell, on all cores.

Always in float32, whatever the network's precision: the distances are small differences of large squares.
"""

from dataclasses import replace

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from model.memory import AROUND, PIECE, REACH, GoldenMemory
from model.openvino_graph import compiled
from model.runtimes import RuntimeChoice

ANY = -1  # pictures at once; a graph for each number would set the bank's size aside once more


class OpenVinoSearch:
    """GoldenMemory.distances on OpenVINO: the same to a rounding of float32, on all cores.

    The bank is an input that is read where the memory has it: as a constant the graph would keep a second copy, of 86
    MB for 120 parts of 32x32 cells, and be no faster. Nor are there streams, each of which would set that much aside.
    Raises ValueError for a memory that holds a value that is no finite number.
    """

    def __init__(self, memory: GoldenMemory, choice: RuntimeChoice) -> None:
        memory.require_numbers()
        self._memory = memory
        ready = compiled(search_graph(memory), replace(choice, precision="f32"), aim="LATENCY")
        self._request = ready.create_infer_request()
        self._kept = memory.bank.mT.numpy(), memory.bank_squares.numpy()  # OpenVINO reads these, and owns neither
        for number, values in enumerate(self._kept, start=1):
            self._request.set_input_tensor(number, openvino.Tensor(values, shared_memory=True))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See GoldenMemory.distances. One thread at a time."""
        given = np.moveaxis(features, 1, -1)  # (B, h, w, C), as the network's graph gives it
        wanted = (*self._memory.shape, len(self._memory.mean))
        if given.shape[1:] != wanted or given.dtype != np.float32:
            raise ValueError(f"features {given.dtype} {given.shape[1:]} do not fit the golden memory's {wanted}")
        return np.concatenate([self._search(given[at : at + PIECE]) for at in range(0, len(given), PIECE)])

    def _search(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        self._request.infer({0: np.ascontiguousarray(given)}, share_inputs=True)
        nearest, own = (self._request.get_output_tensor(output).data for output in range(2))
        return self._memory.settled(nearest, own, batch=len(given))


def search_graph(memory: GoldenMemory) -> openvino.Model:
    """From a few parts' features to what GoldenMemory.settled needs.

    Inputs: features (B, h, w, C), bank (cells, C, parts), its squares (cells, 1, parts). Outputs: what each bank cell
    finds around it, (cells, 9 · B), and the cells' own squared lengths, (h, w, B). As GoldenMemory does it: asked from
    the bank's side, so that the bank is read once for all parts. A value that is no number may be lost on the way to
    the first output, never on that to the second.
    """
    (rows, columns), (cells, parts, channels) = memory.shape, memory.bank.shape
    features = ops.parameter([ANY, rows, columns, channels], np.float32)
    bank = ops.parameter([cells, channels, parts], np.float32)
    squares = ops.parameter([cells, 1, parts], np.float32)
    centred = ops.subtract(ops.transpose(features, _whole(1, 2, 0, 3)), ops.constant(memory.mean.numpy()))
    given = ops.divide(centred, ops.constant(memory.spread.numpy() / np.float32(-2)))  # (h, w, B, C); -2 is exact
    own = ops.multiply(ops.reduce_sum(ops.multiply(given, given), _whole(3)), ops.constant(np.float32(0.25)))
    asked = ops.reshape(_around(given, rows, columns), _whole(cells, -1, channels), special_zero=False)
    found = ops.add(ops.matmul(asked, bank, transpose_a=False, transpose_b=False), squares)  # (cells, 9 · B, parts)
    return openvino.Model([ops.reduce_min(found, _whole(2)), own], [features, bank, squares], "golden memory")


def _around(given: openvino.Node, rows: int, columns: int) -> openvino.Node:
    """Each cell's neighbourhood, row by row, in its channels: (h, w, B, C) to (h, w, B, 9 · C).

    First along the rows, then across them: two steps of three copies take less time than one of nine.
    """
    edge = _whole(REACH, REACH, 0, 0)
    padded = ops.pad(given, edge, edge, "constant", ops.constant(np.float32(0)))
    beside = ops.concat([_cut(padded, 1, right, columns) for right in range(AROUND)], 3)
    return ops.concat([_cut(beside, 0, down, rows) for down in range(AROUND)], 3)


def _cut(given: openvino.Node, axis: int, start: int, length: int) -> openvino.Node:
    return ops.slice(given, _whole(start), _whole(start + length), _whole(1), _whole(axis))


def _whole(*values: int) -> openvino.Node:
    return ops.constant(np.array(values, dtype=np.int64))
