"""
The networks in int8, by post-training quantisation (rd-e.md, section 10): offered to be measured, not yet to inspect.

Only convolutions change, and of these only where it pays: depthwise ones, and those of a few channels on large maps,
take as long in int8 as in bfloat16, and cost half of the accuracy that int8 costs. Cosines, distances, gates and golden
features stay in floating point: on normal pixels a cosine lies so near 1 that 256 steps would leave nothing of the
distances.
"""

import importlib.util
import io
import logging
from contextlib import redirect_stdout
from types import ModuleType

import numpy as np
import openvino
from numpy.typing import NDArray

from model.errors import RuntimeUnavailable
from model.inspection_network import InspectionNetwork
from model.openvino_runtime import convert
from model.runtimes import check_images

INPUT_AXIS = {"Convolution": 1, "ConvolutionBackpropData": 0}
"""Kinds of convolution that are quantised, and where their weights have the input channels."""
FEWEST_CHANNELS = 32
OWN = "__module.features"  # the golden features' scope in a converted graph


def quantised(network: InspectionNetwork, golden: NDArray[np.uint8]) -> openvino.Model:
    """The network's graph with its convolutions in int8, for OpenVinoRuntime.

    golden: (N, H, W, 3) uint8 RGB good pictures at the input size; their activations give the ranges. Raises
    RuntimeUnavailable without NNCF, ValueError for pictures that are none.
    """
    nncf = _nncf()
    if golden.ndim != 4:
        raise ValueError(f"quantisation needs golden pictures (N, H, W, 3), not {golden.shape}")
    size = (golden.shape[1], golden.shape[2])
    check_images(golden, size)
    graph = convert(network, size)
    untouched = [node.get_friendly_name() for node in graph.get_ops() if not _pays(node)]
    with redirect_stdout(io.StringIO()):  # it draws bars, whatever its log level
        found: openvino.Model = nncf.quantize(
            graph,
            nncf.Dataset([golden[index : index + 1] for index in range(len(golden))]),
            subset_size=len(golden),
            ignored_scope=nncf.IgnoredScope(names=untouched),
        )
    return found


def quantised_types(graph: openvino.Model) -> set[str]:
    """The kinds of operation that are given quantised values in a graph."""
    return {
        reader.get_node().get_type_name()
        for node in graph.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for reader in node.output(0).get_target_inputs()
    }


def _pays(node: openvino.Node) -> bool:
    axis = INPUT_AXIS.get(node.get_type_name())
    if axis is None or node.get_friendly_name().startswith(OWN):
        return False
    channels: int = node.input_value(1).get_partial_shape()[axis].get_length()
    return channels >= FEWEST_CHANNELS


def _nncf() -> ModuleType:
    if importlib.util.find_spec("nncf") is None:
        raise RuntimeUnavailable("NNCF is not installed, which int8 needs; install flawline[bench]")
    ours = logging.getLoggerClass()
    nncf = importlib.import_module("nncf")
    # It makes its own class that of every later logger, and its set_log_level would quieten handlers that are not its.
    logging.setLoggerClass(ours)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
