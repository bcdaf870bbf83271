"""OpenVINO on the CPU: two to three times as fast there as PyTorch.

The graph is handed to OpenVINO's PyTorch front end directly. `openvino.convert_model` would do the same and report its
use to a server on the way; a factory's machine must not call out.
"""

import warnings

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from model.errors import RuntimeUnavailable
from model.inspection_network import InspectionNetwork
from model.runtimes import Distances, Fingerprint, Precision, RuntimeChoice, batches, joined

DEVICE = "CPU"
EXAMPLE_SIZE = (64, 64)  # what is traced; the graph is the same at any size, and small pictures are quick
CAPABILITIES: dict[Precision, str] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}


class OpenVinoRuntime:
    """A compiled graph from pictures to distances; any batch size, one input size."""

    def __init__(self, network: InspectionNetwork, size: tuple[int, int], choice: RuntimeChoice) -> None:
        self.size = size
        core = openvino.Core()
        _require(core, choice.precision)
        graph = convert(network, size)
        # The precision is always named: by itself OpenVINO takes bfloat16 on a CPU that has it.
        settings: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": choice.precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if choice.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = choice.threads
        compiled = core.compile_model(graph, DEVICE, settings)
        taken = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if taken != choice.precision:
            raise RuntimeUnavailable(f"OpenVINO took precision {taken} where {choice.precision} was asked for")
        self._request = compiled.create_infer_request()
        self.fingerprint = Fingerprint("openvino", _version(), "cpu", taken)

    def distances(self, images: NDArray[np.uint8]) -> Distances:
        """See Runtime."""
        return joined([self._run(batch) for batch in batches(images, self.size)])

    def _run(self, images: NDArray[np.uint8]) -> Distances:
        self._request.infer([np.ascontiguousarray(images)])
        # Copies: the request writes into the same memory next time.
        first, second, third = (np.array(self._request.get_output_tensor(k).data, dtype=np.float32) for k in range(3))
        return first, second, third


def convert(network: InspectionNetwork, size: tuple[int, int]) -> openvino.Model:
    """The network as an OpenVINO graph for (?, H, W, 3) uint8."""
    example = torch.zeros((2, *EXAMPLE_SIZE, 3), dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing is marked as superseded by torch.export, which takes four times as long here for the same graph.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.trace", category=FutureWarning)
        traced = torch.jit.trace(network.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # named, because OpenVINO keeps no reference of its own
        graph: openvino.Model = frontend.convert(frontend.load(decoder))
    graph.reshape({graph.inputs[0]: openvino.PartialShape([-1, *size, 3])})
    return graph


def _require(core: openvino.Core, precision: Precision) -> None:
    offered = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if CAPABILITIES[precision] not in offered:
        raise RuntimeUnavailable(f"this CPU has no {precision} arithmetic for OpenVINO; choose f32")


def _version() -> str:
    return str(openvino.get_version()).split("-", maxsplit=1)[0]
