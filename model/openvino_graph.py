"""OpenVINO graphs on the CPU: made ready in a named precision, and run one picture after the other."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from model.errors import RuntimeUnavailable
from model.runtimes import Precision, RuntimeChoice

DEVICE = "CPU"
CAPABILITIES: dict[Precision, str] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
Aim = Literal["THROUGHPUT", "LATENCY"]
WAITING = 3  # pictures for each stream, with the one in work: with one, a stream that is done waits for its next


class Lanes:
    """A graph for one picture, compiled twice: for many at a time, and for few.

    Many go side by side on OpenVINO's streams: a picture's answer cannot depend on its neighbours, and where other
    programs want the same cores this took two thirds of the time that one large batch on all cores together took (ms
    per picture on 2 busy cores: 96 instead of 151 in f32, 52 instead of 75 in bf16). A picture that comes alone would
    leave the other streams' cores idle; it goes through the second graph, which puts all cores to one picture. That one
    is compiled at opening, or the first part after a change of model would wait for it: 0.3 s and 40 MB for the default
    network, whose weights OpenVINO packs once for each.

    Both graphs gave the same bits wherever this was tried, but OpenVINO does not promise it: how the work is cut may
    depend on the number of threads. Tests hold them to 1e-3 of the spread of good parts' scores.

    Not safe to share between threads.
    """

    def __init__(self, graph: openvino.Model, choice: RuntimeChoice) -> None:
        many = compiled(graph, choice)
        self._streams = int(many.get_property("NUM_STREAMS"))
        self._many = self._few = openvino.AsyncInferQueue(many, WAITING * self._streams)
        if self._streams > 1:  # a single one has all cores already
            self._few = openvino.AsyncInferQueue(compiled(graph, choice, aim="LATENCY"), 1)

    def __call__(self, inputs: NDArray[np.generic], outputs: Sequence[NDArray[np.float32]]) -> None:
        """Every picture in turn. inputs: (N, ...). outputs: (N, ...) for each of the graph's outputs, to be written.

        The graph reads and writes them where they lie: to copy them took up to a twentieth of the time of int8.
        """
        queue = self._few if self.takes_few(len(inputs)) else self._many
        for index in range(len(inputs)):
            here = slice(index, index + 1)
            request = queue[queue.get_idle_request_id()]  # the one that starts next
            for number, output in enumerate(outputs):
                request.set_output_tensor(number, openvino.Tensor(output[here], shared_memory=True))
            given = np.ascontiguousarray(inputs[here])
            queue.start_async([given], userdata=(given, outputs), share_inputs=True)  # OpenVINO itself keeps neither
        queue.wait_all()

    def takes_few(self, count: int) -> bool:
        """Whether so many pictures go through one by one, each on all cores: where half of the streams would idle."""
        return 2 * count <= self._streams


def compiled(graph: openvino.Model, choice: RuntimeChoice, *, aim: Aim = "THROUGHPUT") -> openvino.CompiledModel:
    """A graph made ready for the CPU: on as many streams side by side as OpenVINO finds best, or all cores for one.

    Raises RuntimeUnavailable where this CPU lacks the chosen precision, or OpenVINO takes another one.
    """
    require_offered(choice.precision)
    # The precision is always named: by itself OpenVINO takes bfloat16 on a CPU that has it.
    settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": choice.precision, "PERFORMANCE_HINT": aim}
    if choice.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = choice.threads
    ready = core().compile_model(graph, DEVICE, settings)
    taken = ready.get_property("INFERENCE_PRECISION_HINT").to_string()
    if taken != choice.precision:
        raise RuntimeUnavailable(f"OpenVINO took precision {taken} where {choice.precision} was asked for")
    return ready


def offers(precision: Precision) -> bool:
    """Whether this CPU computes in a precision."""
    return CAPABILITIES[precision] in core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def require_offered(precision: Precision) -> None:
    """Raise RuntimeUnavailable where this CPU does not compute in a precision."""
    if not offers(precision):
        raise RuntimeUnavailable(f"this CPU has no {precision} arithmetic for OpenVINO; choose f32")


@cache
def core() -> openvino.Core:
    """The one core of this process.

    Each core gives the thread that first uses it a signal stack of its own, and frees it when it goes. Two that go in
    the order in which they came leave that thread with freed memory: the next SIGTERM is a segmentation fault.
    """
    return openvino.Core()
