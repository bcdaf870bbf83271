"""OpenVINO on the CPU: two to three times as fast there as PyTorch.

The graph is handed to OpenVINO's PyTorch front end directly. `openvino.convert_model` would do the same and report its
use to a server on the way; a factory's machine must not call out.
"""

import warnings
from functools import cache

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from model.anomaly_map import STRIDES
from model.errors import RuntimeUnavailable
from model.golden_features import STRIDE
from model.inspection_network import InspectionNetwork
from model.runtimes import Distances, Fingerprint, Precision, RuntimeChoice, Seen, check_images

DEVICE = "CPU"
EXAMPLE_SIZE = (64, 64)  # what is traced; the graph is the same at any size, and small pictures are quick
CAPABILITIES: dict[Precision, str] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
QUANTISED = "int8"


class OpenVinoRuntime:
    """A compiled graph from pictures to distances, for one input size.

    Pictures go through one by one, side by side on OpenVINO's streams: a picture's answer cannot depend on its
    neighbours, and where other programs want the same cores this took two thirds of the time that one large batch on
    all cores together took (ms per picture on 2 busy cores: 96 instead of 151 in f32, 52 instead of 75 in bf16).

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
        ready = compiled(convert(network, size) if quantised is None else quantised, choice)
        self._queue = openvino.AsyncInferQueue(ready)  # as many requests as OpenVINO finds best
        self._queue.set_callback(_collect)
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
            features = np.full(shape, np.nan, dtype=np.float32)
        for index in range(len(images)):
            place = [output[index] for output in (first, second, third, features) if output is not None]
            self._queue.start_async([np.ascontiguousarray(images[index : index + 1])], place)
        self._queue.wait_all()
        return Seen((first, second, third), None if features is None else np.moveaxis(features, -1, 1))


def _collect(request: openvino.InferRequest, place: list[NDArray[np.float32]]) -> None:
    for output, level in enumerate(place):
        level[...] = request.get_output_tensor(output).data[0]


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
    return graph


def compiled(graph: openvino.Model, choice: RuntimeChoice) -> openvino.CompiledModel:
    """A graph made ready for the CPU, on as many streams side by side as OpenVINO finds best.

    Raises RuntimeUnavailable where this CPU lacks the chosen precision, or OpenVINO takes another one.
    """
    if not offers(choice.precision):
        raise RuntimeUnavailable(f"this CPU has no {choice.precision} arithmetic for OpenVINO; choose f32")
    # The precision is always named: by itself OpenVINO takes bfloat16 on a CPU that has it.
    settings: dict[str, str | int] = {
        "INFERENCE_PRECISION_HINT": choice.precision,
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    if choice.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = choice.threads
    ready = _core().compile_model(graph, DEVICE, settings)
    taken = ready.get_property("INFERENCE_PRECISION_HINT").to_string()
    if taken != choice.precision:
        raise RuntimeUnavailable(f"OpenVINO took precision {taken} where {choice.precision} was asked for")
    return ready


def offers(precision: Precision) -> bool:
    """Whether this CPU computes in a precision."""
    return CAPABILITIES[precision] in _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> openvino.Core:
    """The one core of this process.

    Each core gives the thread that first uses it a signal stack of its own, and frees it when it goes. Two that go in
    the order in which they came leave that thread with freed memory: the next SIGTERM is a segmentation fault.
    """
    return openvino.Core()


def _version() -> str:
    return str(openvino.get_version()).split("-", maxsplit=1)[0]
