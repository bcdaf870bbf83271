"""What a line leaves behind when it has worked: rows of every kind, pictures, models, a line file."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from core.blobs.keys import Kind, frame_key
from core.blobs.open import open_blobs
from core.database import open_database
from core.line import Camera, line_of
from core.records import inspections, line, models, sessions
from core.records.audit import Change, write
from core.settings import Settings
from core.verdicts import MachineVerdict
from tests.core.records.rows import NOON, SESSION, captured, frame_id, inspected, reported

VERDICTS = (MachineVerdict.PASS, MachineVerdict.FAIL, MachineVerdict.REVIEW, MachineVerdict.NO_VERDICT)
FRAMES = 40
MODEL = b"weights" * 3000
LINE = line_of([Camera(name="ring-top", product="ring", source="simulator:ring")])


def work(settings: Settings) -> None:
    """Forty parts over two days, their pictures, a model, the camera's own count, an audit entry."""
    settings.data.mkdir(exist_ok=True)
    settings.line_path.write_text(LINE.to_toml())
    blobs = open_blobs(settings)
    blobs.put("model/ring.safetensors", MODEL)
    for seq in range(FRAMES):
        at = captured(seq).captured_at
        blobs.put(frame_key(Kind.FRAME, frame_id(seq), at, "jpg"), f"picture {seq}".encode())
        blobs.put(frame_key(Kind.RING, frame_id(seq), at, "jpg"), b"small")
    model = models.NewModel(
        product="ring", blob="model/ring.safetensors", sha256=hashlib.sha256(MODEL).hexdigest(), size=len(MODEL),
        recipe_version=1, manifest={"name": "ä"}, metrics={})  # fmt: skip
    with open_database(settings.database_url) as database, database.writing() as connection:
        line.register(connection, LINE, now=NOON)
        models.register(connection, model, who="test", now=NOON)
        inspections.record(connection, [inspected(seq, VERDICTS[seq % 4]) for seq in range(FRAMES)])
        later = captured(0, session=SESSION + 1, captured_at=SESSION + 86_400 * 10**9)
        inspections.record(connection, [inspected(0, MachineVerdict.FAIL, later)])
        sessions.report(connection, reported(FRAMES, state="ENDED"))
        write(connection, Change(at=NOON + timedelta(days=1), who="O'Brien\\", action="test", subject="\\.\n\t'$1"))


@contextmanager
def writing_on(settings: Settings) -> Iterator[list[int]]:
    """Records one part after the other from another thread; gives the numbers of those that are in the books."""
    done: list[int] = []
    stop = threading.Event()

    def write_rows() -> None:
        with open_database(settings.database_url) as database:
            seq = 1000
            while not stop.is_set():
                with database.writing() as connection:
                    inspections.record(connection, [inspected(seq, MachineVerdict.FAIL)])
                done.append(seq)
                seq += 1
                time.sleep(0.002)

    thread = threading.Thread(target=write_rows)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
