"""`flawline bench model`: how fast this machine runs the network itself, every way it can, and what that costs."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from cli.bench_accuracy import accuracy, auroc_lost, judge, largest_difference
from cli.bench_path import timed_frames
from cli.bench_peaks import PEAKS, matrix_product
from cli.bench_rounds import in_rounds
from cli.bench_runtimes import (
    EAGER,
    MAKERS,
    OPENVINO,
    Absent,
    Arithmetic,
    Contestant,
    Images,
    Maker,
    assemble,
    flop_per_picture,
)
from cli.bench_subject import Asked, Bench, open_bench, way_of
from cli.bench_tables import Names, Timed, figure, path_figures, percent, reasons, speed_rows, targets
from cli.console import err, escape, out, progress
from model.anomaly_map import MapMaker
from model.errors import RuntimeUnavailable
from model.fixture import FixtureMismatch
from model.threads import ThreadChooser

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "openvino", "onnxruntime", "nncf")
PRODUCT = "matrix product"  # beside the runtimes, in the same rounds
NAMES = {"default": (OPENVINO, "f32"), "half": (OPENVINO, "bf16"), "quantised": (OPENVINO, "int8")}

Makers = Sequence[tuple[str, Arithmetic, Maker]]


@dataclass(frozen=True)
class Field:
    """Who takes part, who cannot, and how far each one's raw maps are from eager PyTorch's."""

    contestants: list[Contestant]
    absent: list[Absent]
    differences: dict[tuple[str, str], float]


def run_bench(asked: Asked, *, makers: Makers = MAKERS) -> dict[str, Any]:
    """Measure; the report. Raises ModelError for a model that cannot be run, ValueError for data that does not fit."""
    bench = open_bench(asked)
    field = _field(bench, makers)
    # PyTorch's threads spin: beside other programs one is faster than all of them, and eager is to have its best.
    cores = asked.threads or len(os.sched_getaffinity(0))
    with ThreadChooser(cores, fixed=asked.threads is not None):
        threads = torch.get_num_threads()
        timed = _timed(bench, field)
    exam = _examined(bench, field)
    path = _path(bench)
    names = Names(**NAMES, batch=max(asked.batches))
    found = targets(timed, names, auroc_lost=auroc_lost(exam, "int8"), path_ratio=path.get("times_network"))
    return {
        "model": bench.told | {"gflop_per_image": timed.flop / 1e9},
        "machine": _machine() | {"pytorch_threads": threads},
        "peaks_gflops": {name: float(np.median(speeds)) / 1e9 for name, speeds in timed.peaks.items()},
        "runtimes": _rows(asked, field, timed),
        "accuracy": exam,
        "frame": path,
        "targets": [target.to_dict() for target in found],
    }


def _field(bench: Bench, makers: Makers) -> Field:
    contestants: list[Contestant] = []
    absent: list[Absent] = []
    differences: dict[tuple[str, str], float] = {}
    raw = MapMaker(*bench.subject.size, smooth=False)
    pictures = _largest_batch(bench)
    reference = None
    for one in assemble(bench.subject, threads=bench.asked.threads, makers=makers):
        if isinstance(one, Absent):
            absent.append(one)
            continue
        maps = raw(one.distances(pictures))
        reference = maps if reference is None else reference
        differences[one.key] = largest_difference(maps, reference)
        contestants.append(one)
    return Field(contestants, absent, differences)


def _timed(bench: Bench, field: Field) -> Timed:
    asked, many = bench.asked, _largest_batch(bench)
    work: dict[tuple[str, str, int], Callable[[], object]] = {}
    for one in field.contestants:
        for batch in asked.batches:
            work[*one.key, batch] = lambda one=one, batch=batch: one.distances(many[:batch])  # type: ignore[misc]
    flop: dict[str, int] = {}
    for precision in PEAKS:
        try:
            product = matrix_product(precision, side=asked.side, threads=asked.threads)
        except RuntimeUnavailable:
            continue  # the runtime of this precision says why
        work[PRODUCT, precision, 0], flop[precision] = product, product.flop
    with progress() as tell:
        seconds = in_rounds(
            work, seconds=asked.seconds, rounds=asked.rounds,
            after_round=lambda done: tell("measuring", done, asked.rounds, {}))  # fmt: skip
    peaks = {name: [flop[name] / spent for spent in seconds.pop((PRODUCT, name, 0))] for name in flop}
    return Timed(seconds, peaks, flop_per_picture(bench.subject), (EAGER, "f32"))


def _largest_batch(bench: Bench) -> Images:
    golden = bench.subject.golden
    return np.resize(golden, (max(bench.asked.batches), *golden.shape[1:]))


def _rows(asked: Asked, field: Field, timed: Timed) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "runtime": one.name,
            "precision": one.precision,
            "why_not": None,
            "largest_map_difference": field.differences[one.key],
            "batches": [timed.row((*one.key, batch)) for batch in asked.batches],
        }
        for one in field.contestants
    ]
    rows += [
        {"runtime": one.name, "precision": one.precision, "why_not": one.why, "largest_map_difference": None,
         "batches": []}
        for one in field.absent
    ]  # fmt: skip
    return rows


def _examined(bench: Bench, field: Field) -> dict[str, Any] | None:
    if bench.exam is None:
        return None
    judged = {}
    for one in field.contestants:
        if one.name == OPENVINO:
            err.print(f"judging {len(bench.exam.tests)} test pictures in {one.precision}")
            judged[one.precision] = judge(one, bench.exam, bench.second, bench.valid)
    return accuracy({str(name): found for name, found in judged.items()}, bench.exam)


def _path(bench: Bench) -> dict[str, Any]:
    try:
        way = way_of(bench)
        frames = timed_frames(way, seconds=bench.asked.seconds * 2)
    except FixtureMismatch as problem:
        return {"why_not": f"no frame that this model's fixture takes: {problem}"}
    width, height = way.picture
    told = {"why_not": None, "picture": f"{width}x{height}", "input": f"{way.fixture.width}x{way.fixture.height}"}
    return told | {"frames": len(frames)} | path_figures(frames)


def _machine() -> dict[str, Any]:
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name", ""),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def print_report(result: dict[str, Any]) -> None:
    """For people: a table of the runtimes, one of a frame's stages, and what was promised."""
    model, machine = result["model"], result["machine"]
    out.print(
        f"{model['backbone']} {model['width']}x{model['height']}, {model['gflop_per_image']:.2f} GFLOP per image; "
        f"{machine['processor']}, {machine['cores']} cores ({', '.join(machine['flags'])})",
        soft_wrap=True,
    )
    peaks = ", ".join(f"{name} {speed:.0f}" for name, speed in result["peaks_gflops"].items())
    out.print(f"OpenVINO's own matrix product, GFLOP/s: {peaks}", soft_wrap=True)
    out.print(f"threads on which PyTorch is fastest now: {machine['pytorch_threads']}")
    heads = ("runtime", "precision", "batch", "ms/image", "images/s", "x eager", "roofline")
    _print_table(heads, speed_rows(result))
    for reason in reasons(result):
        out.print(escape(reason), soft_wrap=True)
    _print_accuracy(result)
    _print_frame(result["frame"])
    for target in result["targets"]:
        said = {True: "[green]reached[/]", False: "[yellow]not reached[/]", None: "[blue]not measured[/]"}
        out.print(f"{said[target['reached']]} {escape(target['what'])}: {figure(target['found'], 3)}, "
                  f"wanted {target['wanted']}", soft_wrap=True)  # fmt: skip


def _print_accuracy(result: dict[str, Any]) -> None:
    found = result["accuracy"]
    if found is None:
        out.print("no accuracy: it needs a model file and its data set (--model, --data)")
        return
    heads = ("precision", "image AUROC", "other verdicts", "largest map difference")
    rows = [
        [name, figure(row["image_auroc"], 4), f"{row['verdict_flips']} ({percent(row['verdict_flip_share'])})",
         f"{row['largest_map_difference']:.4f}"]
        for name, row in found["precisions"].items()
    ]  # fmt: skip
    _print_table(heads, rows)
    out.print(f"{found['good']} good and {found['defective']} defective test pictures; limits by "
              f"{escape(found['calibrated_on'])}", soft_wrap=True)  # fmt: skip


def _print_frame(frame: dict[str, Any]) -> None:
    if frame["why_not"]:
        out.print(escape(frame["why_not"]), soft_wrap=True)
        return
    rows = [[stage, f"{ms:.2f}"] for stage, ms in frame["stages_ms"].items()]
    rows.append(["in all", f"{frame['total_ms']:.2f}"])
    _print_table((f"a frame of {frame['picture']}", "ms"), rows)
    out.print(f"in all {frame['times_network']:.2f} times the network alone")


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)
