"""What runs the inspection network in `flawline bench model`: each way it can be run here, or why it cannot."""

import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.architecture import Architecture
from model.cost import cost_of
from model.errors import RuntimeUnavailable
from model.inspection_network import InspectionNetwork
from model.normalisation import Normalisation
from model.openvino_graph import offers
from model.openvino_runtime import OpenVinoRuntime
from model.quantising import quantised
from model.runtimes import Distances, Precision, Runtime, RuntimeChoice, TorchRuntime

Arithmetic = Literal["f32", "bf16", "int8"]
Images = NDArray[np.uint8]

EAGER, OPENVINO, ONNX, COMPILED = "eager PyTorch", "OpenVINO", "ONNX Runtime", "torch.compile"
COMPILERS = ("g++", "clang++", "c++")
OPSET = 17


@dataclass(frozen=True)
class Subject:
    """The networks that are measured.

    architecture: of both. size: height, width of the input. memory: golden features are wanted too. golden: good
    pictures at that size, (N, H, W, 3) uint8, by which int8 is quantised.
    """

    architecture: Architecture
    teacher: nn.Module
    student: nn.Module
    size: tuple[int, int]
    normalisation: Normalisation
    memory: bool
    golden: Images

    def network(self) -> InspectionNetwork:
        """Both as one network, new: a runtime may change what it is given."""
        return InspectionNetwork(self.teacher, self.student, normalisation=self.normalisation, memory=self.memory)


@dataclass(frozen=True)
class Contestant:
    """One way to run the network. precision: of its arithmetic, which says what the machine could do at most."""

    name: str
    precision: Arithmetic
    distances: Callable[[Images], Distances]
    runtime: Runtime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What it is called, and its precision."""
        return self.name, self.precision


@dataclass(frozen=True, slots=True)
class Absent:
    """A way that this machine or installation does not offer, and why."""

    name: str
    precision: Arithmetic
    why: str


Maker = Callable[[Subject, int | None], Contestant]


def assemble(
    subject: Subject, *, threads: int | None = None, makers: Sequence[tuple[str, Arithmetic, Maker]] = ()
) -> Iterator[Contestant | Absent]:
    """Every way in turn, made ready or excused; eager PyTorch comes first, for all others are compared with it."""
    for name, precision, make in makers or MAKERS:
        try:
            yield make(subject, threads)
        except RuntimeUnavailable as problem:
            yield Absent(name, precision, str(problem))


def flop_per_picture(subject: Subject) -> int:
    """Floating-point operations of the convolutions for one picture, two for each multiply-add."""
    return 2 * cost_of(subject.architecture, subject.size).macs


def _eager(subject: Subject, threads: int | None) -> Contestant:
    runtime = TorchRuntime(subject.network(), subject.size, RuntimeChoice("torch", threads=threads))
    return Contestant(EAGER, "f32", runtime.distances, runtime)


def _openvino(precision: Literal["f32", "bf16"]) -> Maker:
    def make(subject: Subject, threads: int | None) -> Contestant:
        choice = RuntimeChoice("openvino", precision, threads)
        runtime = OpenVinoRuntime(subject.network(), subject.size, choice)
        return Contestant(OPENVINO, precision, runtime.distances, runtime)

    return make


def _int8(subject: Subject, threads: int | None) -> Contestant:
    network = subject.network()
    graph = quantised(network, subject.golden)
    beside: Precision = "bf16" if offers("bf16") else "f32"  # what is not quantised is then as fast as it can be
    choice = RuntimeChoice("openvino", beside, threads)
    runtime = OpenVinoRuntime(network, subject.size, choice, quantised=graph)
    return Contestant(OPENVINO, "int8", runtime.distances, runtime)


def _onnx(subject: Subject, threads: int | None) -> Contestant:
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeUnavailable(f"{' and '.join(missing)} not installed; install flawline[bench]")
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="flawline-bench-") as folder:
        path = Path(folder) / "network.onnx"
        _export(subject, path)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def distances(images: Images) -> Distances:
        first, second, third = session.run(["d1", "d2", "d3"], {"images": images})
        return first, second, third

    return Contestant(ONNX, "f32", distances)


def _export(subject: Subject, path: Path) -> None:
    network = subject.network().eval()
    names = ["d1", "d2", "d3", *(["features"] if subject.memory else [])]
    example = torch.zeros((2, *subject.size, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter by tracing is marked as old; the new one needs a further package for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=False,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
            opset_version=OPSET,
        )


def _compiled(subject: Subject, threads: int | None) -> Contestant:
    if not any(shutil.which(name) for name in COMPILERS):
        raise RuntimeUnavailable(f"no C++ compiler here: torch.compile needs one of {', '.join(COMPILERS)}")
    network = subject.network().eval().to(memory_format=torch.channels_last)
    run: Any = torch.compile(network, dynamic=False)  # stands for the network in all that a runtime asks of it
    runtime = TorchRuntime(run, subject.size, RuntimeChoice("torch", threads=threads))
    return Contestant(COMPILED, "f32", runtime.distances)


MAKERS: tuple[tuple[str, Arithmetic, Maker], ...] = (
    (EAGER, "f32", _eager),
    (OPENVINO, "f32", _openvino("f32")),
    (OPENVINO, "bf16", _openvino("bf16")),
    (OPENVINO, "int8", _int8),
    (ONNX, "f32", _onnx),
    (COMPILED, "f32", _compiled),
)
