"""OpenVINO on the CPU: two to three times as fast there as PyTorch.

The graph is handed to OpenVINO's PyTorch front end directly. `openvino.convert_model` would do the same and report its
use to a server on the way; a factory's machine must not call out.
"""

import warnings

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from model.anomaly_map import STRIDES
from model.golden_features import STRIDE
from model.inspection_network import InspectionNetwork
from model.memory import GoldenMemory, Search
from model.openvino_graph import Lanes
from model.openvino_search import OpenVinoSearch
from model.runtimes import Distances, Fingerprint, RuntimeChoice, Seen, check_images

EXAMPLE_SIZE = (64, 64)  # what is traced; the graph is the same at any size, and small pictures are quick
QUANTISED = "int8"


class OpenVinoRuntime:
    """A compiled graph from pictures to distances, for one input size.

    Pictures go through one by one, many side by side and few on all cores each (Lanes): a picture's answer does not
    depend on its neighbours.

    quantised: the network's graph in int8 (model/quantising.py), to be run in its place; what has stayed in floating
    point in it runs in the chosen precision.
    """

    def __init__(
        self,
        network: InspectionNetwork,
        size: tuple[int, int],
        choice: RuntimeChoice,
        *,
        quantised: openvino.Model | None = None,
    ) -> None:
        self.size = size
        self._features = network.features
        self._choice = choice
        self._lanes = Lanes(convert(network, size) if quantised is None else quantised, choice)
        self.fingerprint = Fingerprint("openvino", _version(), "cpu", QUANTISED if quantised else choice.precision)

    def distances(self, images: NDArray[np.uint8]) -> Distances:
        """See Runtime."""
        return self.look(images).distances

    def look(self, images: NDArray[np.uint8]) -> Seen:
        """See Runtime."""
        check_images(images, self.size)
        height, width = self.size
        shapes = [(height // stride, width // stride) for stride in STRIDES]
        first, second, third = (np.full((len(images), *shape), np.nan, dtype=np.float32) for shape in shapes)
        features = None
        if self._features is not None:
            shape = (len(images), height // STRIDE, width // STRIDE, self._features.channels)
            features = np.empty(shape, dtype=np.float32)  # NaN in the distances is enough, should one be left out
        self._lanes(images, [output for output in (first, second, third, features) if output is not None])
        return Seen((first, second, third), None if features is None else np.moveaxis(features, -1, 1))

    def search(self, memory: GoldenMemory) -> Search:
        """See Runtime."""
        return OpenVinoSearch(memory, self._choice)


def convert(network: InspectionNetwork, size: tuple[int, int]) -> openvino.Model:
    """The network as an OpenVINO graph for one picture at a time, (1, H, W, 3) uint8."""
    example = torch.zeros((2, *EXAMPLE_SIZE, 3), dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing is marked as superseded by torch.export, which takes four times as long here for the same graph.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.trace", category=FutureWarning)
        traced = torch.jit.trace(network.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # named, because OpenVINO keeps no reference of its own
        graph: openvino.Model = frontend.convert(frontend.load(decoder))
    graph.reshape({graph.inputs[0]: openvino.PartialShape([1, *size, 3])})
    _sum_squares_in_place(graph)
    return graph


def _sum_squares_in_place(graph: openvino.Model) -> None:
    """Each sum of squares becomes the square of a length, which OpenVINO finds without writing the squares first.

    The cosines of feature maps have such sums; to write their squares took a fiftieth of the time in bf16 and int8.
    """
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "ReduceSum":
            continue
        product = node.input_value(0).get_node()
        if product.get_type_name() == "Multiply" and product.input_value(0) == product.input_value(1):
            length = ops.reduce_l2(product.input_value(0), node.input_value(1), keep_dims=node.get_keep_dims())
            node.output(0).replace(ops.multiply(length, length).output(0))


def _version() -> str:
    return str(openvino.get_version()).split("-", maxsplit=1)[0]
