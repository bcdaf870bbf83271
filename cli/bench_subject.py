"""What `flawline bench model` measures: a model file with its data set, or the default network on simulated parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cli.bench_accuracy import Exam, read_exam
from cli.bench_path import Way
from cli.bench_peaks import SIDE
from cli.bench_rounds import ROUNDS
from cli.bench_runtimes import Images, Subject
from ingest.encoder import encode_jpeg
from ingest.simulator import Simulator
from model.architecture import Architecture, named
from model.fixture import Fixture
from model.fusion import Second
from model.manifest import Manifest
from model.model_file import load
from model.networks import build_networks
from model.normalisation import IMAGENET
from model.placement import Size
from model.predictor import valid_pixels
from model.remembering import remember
from model.runtimes import RuntimeChoice, open_runtime

FRAME: Size = (1280, 1024)  # width, height
SHOWN = "ring"  # the simulated product
GOLDEN = 64  # pictures at most that int8 is quantised by
RENDERED = 24  # simulated pictures, shown again and again where more are wanted
REMEMBERED = 160  # pictures, more than are looked at for a full memory
METHOD = "rd-e+gii"


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    model, data: files; None for the default network, and for no accuracy. batches: sizes, 1 to 16. seconds: for each
    row. size: of the input, squared, where no model says it. side: of the matrix product. remembered: pictures by which
    the default network's memory is filled.
    """

    model: Path | None = None
    data: Path | None = None
    batches: tuple[int, ...] = (1, 4, 8, 16)
    seconds: float = 3.0
    rounds: int = ROUNDS
    threads: int | None = None
    size: int = 256
    side: int = SIDE
    remembered: int = REMEMBERED


@dataclass(frozen=True)
class Bench:
    """The subject of a run. told: of the model, for the report. manifest, second, valid: of the model file, if any."""

    asked: Asked
    subject: Subject
    told: dict[str, Any]
    manifest: Manifest | None = None
    second: Second | None = None
    valid: NDArray[np.bool_] | None = None
    exam: Exam | None = None


def open_bench(asked: Asked) -> Bench:
    """What is asked for, ready to be measured.

    Raises ModelError for a model file that cannot be used, DatasetEmpty and ValueError for data that does not fit it.
    """
    if asked.model is None:
        return _default(asked)
    file = load(asked.model)
    manifest, second = file.manifest, file.second()
    exam = read_exam(asked.data, manifest) if asked.data else None
    golden = exam.learnt[:GOLDEN] if exam else np.stack(simulated(RENDERED, (manifest.width, manifest.height)))
    teacher, student = file.networks()
    architecture, size = manifest.built(), manifest.size
    subject = Subject(architecture, teacher, student, size, manifest.normalisation, second is not None, golden)
    told = _told(architecture, size, file=str(asked.model))
    return Bench(asked, subject, told, manifest, second, valid_pixels(manifest), exam)


def way_of(bench: Bench) -> Way:
    """One frame's way through this model, on OpenVINO in f32. Raises FixtureMismatch where no frame fits it."""
    asked, manifest, subject = bench.asked, bench.manifest, bench.subject
    fixture = manifest.fitted() if manifest else Fixture.for_pictures([FRAME], budget=asked.size)
    frame = bench.exam.frame if bench.exam else simulated(1, fixture.picture or FRAME, flawed=True)[0]
    fixture.place(frame)
    runtime = open_runtime(
        subject.teacher,
        subject.student,
        size=(fixture.height, fixture.width),
        choice=RuntimeChoice("openvino", threads=asked.threads),
        normalisation=subject.normalisation,
        memory=subject.memory,
    )
    second = bench.second
    if manifest is None:
        golden = np.stack([fixture.apply(picture) for picture in simulated(RENDERED, FRAME)])
        second, _ = remember(runtime, np.resize(golden, (asked.remembered, *golden.shape[1:])), "both")
    size = frame.shape[1], frame.shape[0]
    return Way(encode_jpeg(frame), size, fixture, runtime, second=second, valid=bench.valid)


def simulated(count: int, size: Size, *, flawed: bool = False) -> list[Images]:
    """Parts of the simulator, good ones or flawed ones, (height, width, 3) each; size: width, height."""
    simulator = Simulator(SHOWN, seed=0, defect_rate=float(flawed))
    shown = (simulator.render(number).picture for number in range(count))
    return [np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) for picture in shown]


def _default(asked: Asked) -> Bench:
    """The default network with ImageNet weights and a student that has learnt nothing: as fast as one that has."""
    architecture = named(METHOD)
    networks = build_networks(architecture)
    size = (asked.size, asked.size)
    golden = np.stack(simulated(RENDERED, size))
    subject = Subject(architecture, networks.teacher, networks.student, size, IMAGENET, memory=True, golden=golden)
    return Bench(asked, subject, _told(architecture, size, file=None))


def _told(architecture: Architecture, size: tuple[int, int], *, file: str | None) -> dict[str, Any]:
    return {"file": file, **architecture.to_dict(), "height": size[0], "width": size[1]}
