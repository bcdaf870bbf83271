"""What `flawline chaos` knows beforehand, pictures whose verdict is certain, and how every row is held against it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sqlalchemy import select

from cli import parts
from core.broker.protocol import Broker, Message
from core.database import Database
from core.messages import FRAMES, VERDICTS, FrameCaptured, FrameId, FrameInspected
from core.recipes import Recipe
from core.records import models, recipes
from core.records.models import NewModel
from core.settings import Settings
from core.tables import inspections
from core.times import ns_of
from core.verdicts import MachineVerdict
from ingest.encoder import encode_jpeg
from ingest.simulator import Simulator
from model.architecture import Architecture
from model.backbones import build_encoder
from model.fixture import Fixture
from model.manifest import CalibrationRecord, Manifest, ModelLimits
from model.model_file import save, tensors_of
from model.networks import assemble
from model.pictures import decode_picture
from model.predictor import Predictor

PRODUCT = "ring"
SIDE = 64  # px; a small network, so that the machine's time goes into what is tested here
DISTINCT = 48  # pictures; each travels many times, as another part
GOOD, BAD, BROKEN = "good", "bad", "broken"  # the end of a part's id says how it must end
BROKEN_EVERY = 97


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of the parts. Each number but `rows` and `told` must be 0."""

    rows: int
    told: int
    lost: int
    untold: int
    duplicated: int
    false_pass: int
    contradictions: int
    disordered: int
    by_verdict: dict[str, int]


def teach(settings: Settings, folder: Path) -> dict[str, bytes]:
    """Make a model that is certain of these pictures, active; returns the pictures by how each must end.

    The network is untrained: what it says means nothing, but it says the same of the same picture each time. The limit
    lies in the widest gap between two scores, so that no rounding of a batch moves a picture across it.
    """
    simulator = Simulator(PRODUCT, seed=11, defect_rate=0.3)
    encoded = [encode_jpeg(simulator.render(number).picture) for number in range(DISTINCT)]
    pictures = [decode_picture(data, "picture") for data in encoded]
    architecture = Architecture()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        networks = assemble(architecture, build_encoder(architecture), seed=5)
    height, width = pictures[0].shape[:2]
    fixture = Fixture("none", None, SIDE, SIDE, (width, height))
    manifest = Manifest(architecture=architecture.to_dict(), height=SIDE, width=SIDE, fixture=fixture.to_dict())
    runtime = settings.worker.runtime
    predictor = Predictor.from_networks(networks.teacher, networks.student, manifest, runtime=runtime, threads=1)
    scores = [seen.score for seen in predictor(np.stack([predictor.fixture.apply(one) for one in pictures]))]
    limit = _widest_gap(scores)
    record = CalibrationRecord(scores=tuple(scores), fingerprint=predictor.fingerprint)
    told = manifest.model_copy(update={"calibration": record, "limits": ModelLimits(t_lo=limit, t_hi=limit)})
    path = folder / "chaos.safetensors"
    _activate(settings, path, save(path, tensors_of(networks.teacher, networks.student), told))
    return {
        f"{number:02d}-{GOOD if score <= limit else BAD}": data
        for number, (data, score) in enumerate(zip(encoded, scores, strict=True))
    }


def lay_out(pictures: dict[str, bytes], folder: Path, cameras: Sequence[str], frames: int) -> set[tuple[str, str]]:
    """One file per part, of all cameras together `frames`; returns camera and part id of each. Links, not copies."""
    store = folder / "distinct"
    store.mkdir(parents=True)
    for name, data in pictures.items():
        (store / name).write_bytes(data)
    (store / BROKEN).write_bytes(next(iter(pictures.values()))[:2000])
    names = sorted(pictures)
    expected: set[tuple[str, str]] = set()
    for camera in cameras:
        (folder / camera).mkdir()
    for number in range(frames):
        camera = cameras[number % len(cameras)]
        broken = number % BROKEN_EVERY == BROKEN_EVERY - 1
        name = BROKEN if broken else names[number % len(names)]
        part = f"{number:07d}-{name.rpartition('-')[2]}"
        os.link(store / name, folder / camera / f"{part}.jpg")
        expected.add((camera, part))
    return expected


def check(database: Database, broker: Broker, expected: set[tuple[str, str]]) -> Verdicts:
    """Hold every row and every verdict message against what must be."""
    t = inspections.c
    wanted = select(t.camera, t.session, t.seq, t.part_id, t.verdict, t.captured_at, t.inspected_at, t.deadline_ms)
    with database.reading() as connection:
        rows = connection.execute(wanted).all()
    seen = Counter((row.camera, row.part_id) for row in rows)
    passed = [row for row in rows if row.verdict == MachineVerdict.PASS]
    false_rows = sum(not row.part_id.endswith(f"-{GOOD}") or _late(row) for row in passed)
    verdicts: dict[FrameId, set[str]] = {FrameId(row.camera, row.session, row.seq): {row.verdict} for row in rows}
    told: set[FrameId] = set()
    false_told = 0
    for message in map(FrameInspected.from_json, (one.value for one in _read(broker, VERDICTS))):
        told.add(message.id)
        verdicts.setdefault(message.id, set()).add(message.verdict)
        false_told += message.verdict == MachineVerdict.PASS and not message.part_id.endswith(f"-{GOOD}")
    in_books = {FrameId(row.camera, row.session, row.seq) for row in rows}
    return Verdicts(
        rows=len(rows),
        told=len(told),
        lost=len(expected - seen.keys()),
        untold=len(in_books - told),
        duplicated=sum(count - 1 for count in seen.values()) + len(seen.keys() - expected),
        false_pass=false_rows + false_told,
        contradictions=sum(len(words) > 1 for words in verdicts.values()),
        disordered=_disordered(broker),
        by_verdict=dict(Counter(str(row.verdict) for row in rows)),
    )


def _disordered(broker: Broker) -> int:
    """Frames that came into the log for the first time behind a later one of the same camera and session."""
    seen: set[FrameId] = set()
    newest: dict[tuple[str, int], int] = {}
    found = 0
    for message in _read(broker, FRAMES):
        frame = FrameCaptured.of(message.headers).id
        if frame not in seen:
            seen.add(frame)
            session = (frame.camera, frame.session)
            found += frame.seq < newest.get(session, -1)
            newest[session] = max(frame.seq, newest.get(session, -1))
    return found


def _read(broker: Broker, topic: str) -> Iterator[Message]:
    with broker.consumer(topic, group="chaos-check") as reader:
        while messages := reader.poll(5.0, most=256):
            yield from messages
            reader.commit({message.partition: message.offset + 1 for message in messages})


def _late(row: Any) -> bool:
    due = ns_of(row.captured_at) + row.deadline_ms * 1_000_000 + 1000  # the books keep microseconds
    return bool(row.deadline_ms) and ns_of(row.inspected_at) > due


def _widest_gap(scores: Sequence[float]) -> float:
    """The middle of the widest gap in the upper half of the scores: some pictures fail, most pass."""
    ordered = sorted(scores)[len(scores) // 2 :]
    low, high = max(pairwise(ordered), key=lambda pair: pair[1] - pair[0])
    return (low + high) / 2


def _activate(settings: Settings, path: Path, sha256: str) -> None:
    key = f"model/{PRODUCT}/{sha256}.safetensors"
    parts.blobs(settings).put(key, path.read_bytes())
    size, now = path.stat().st_size, parts.now()
    new = NewModel(product=PRODUCT, blob=key, sha256=sha256, size=size, recipe_version=1, manifest={}, metrics={})
    with parts.database(settings) as database, database.writing() as connection:
        recipes.save(connection, Recipe(product=PRODUCT), who="chaos", note="", now=now)
        row = models.register(connection, new, who="chaos", now=now)
        models.activate(connection, row.id, who="chaos", note="untrained, certain of its pictures", now=now)
