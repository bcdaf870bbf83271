"""A whole little line in one folder, run by real processes that may be killed."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli import parts
from cli.services.plant import Services
from core.broker.protocol import Lag
from core.line import Camera, line_of
from core.messages import CAMERAS, FRAMES, VERDICTS, FrameInspected
from core.recipes import Recipe
from core.records import models, recipes
from core.records.books import Books, books
from core.records.models import NewModel
from core.settings import Settings
from model.manifest import ModelLimits
from tests.servers import unique
from tests.workers.bench import picture, png, save_model
from workers import bookkeeping, inspection

PATIENCE = 120.0  # s, on a machine that does other work


@dataclass
class Plant:
    """The folder, and what runs in it."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """As the processes read them from `environment`."""
        groups: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, value in self.environment.items():
            group, _, field_ = name.removeprefix("FLAWLINE_").lower().partition("__")
            groups[group][field_] = value
        return Settings.model_validate({"data": self.data, **groups})

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
        """`flawline ARGUMENTS` as a process of its own, on this folder; `more` are further environment variables."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLAWLINE_")}
        own = {"FLAWLINE_DATA": str(self.data), "FLAWLINE_BROKER__LEASE_SECONDS": "2", "OMP_WAIT_POLICY": "passive"}
        own |= {"FLAWLINE_WORKER__RUNTIME": "torch", "FLAWLINE_WORKER__THREADS": "1"}  # what the model is calibrated on
        with (self.data / "processes.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments], env=inherited | own | self.environment | more,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip

    @contextmanager
    def running(self, *arguments: str, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """As `start`; asked to stop at the end."""
        process = self.start(*arguments, **more)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(PATIENCE)

    def teach(self, product: str = "ring") -> None:
        """A small real model that passes everything, active."""
        path = self.data / "model.safetensors"
        sha256 = save_model(path, ModelLimits(t_lo=1e9))
        key = f"model/{product}/{sha256}.safetensors"
        parts.blobs(self.settings).put(key, path.read_bytes())
        now = datetime.now(UTC)
        new = NewModel(product=product, blob=key, sha256=sha256, size=1, recipe_version=1, manifest={}, metrics={})
        with parts.database(self.settings) as database, database.writing() as connection:
            recipes.save(connection, Recipe(product=product), who="test", note="", now=now)
            row = models.register(connection, new, who="test", now=now)
            models.activate(connection, row.id, who="test", note="", now=now)

    def books(self) -> Books:
        with parts.database(self.settings) as database, database.reading() as connection:
            return books(connection, now=datetime.now(UTC))

    def rows(self) -> list[Any]:
        from sqlalchemy import select

        from core.tables import inspections

        with parts.database(self.settings) as database, database.reading() as connection:
            return list(connection.execute(select(inspections).order_by(inspections.c.session, inspections.c.seq)))

    def lag(self) -> int:
        """Records of frames and camera reports that nobody has committed yet."""
        found: list[Lag] = []
        with parts.broker(self.settings) as broker:
            for topic, group in ((FRAMES, inspection.GROUP), (CAMERAS, bookkeeping.GROUP)):
                found += broker.lag(topic, group=group)
        return sum(lag.records for lag in found)

    def told(self) -> list[FrameInspected]:
        """All verdict messages."""
        with parts.broker(self.settings) as broker, broker.consumer(VERDICTS, group=f"test-{time.time_ns()}") as reader:
            found = []
            while messages := reader.poll(1.0, most=1000):
                found += [FrameInspected.from_json(message.value) for message in messages]
        return found

    def said(self) -> str:
        """What the processes wrote."""
        return (self.data / "processes.log").read_text(errors="replace")[-6000:]


def on_servers(servers: Services, database_url: str) -> dict[str, str]:
    """The environment of a line on the shared servers, with topics and pictures of its own."""
    bucket, _, rest = servers["s3"].url.partition("?")
    return servers.environment() | {
        "FLAWLINE_BROKER__PREFIX": f"{unique()}.",
        "FLAWLINE_DATABASE__URL": database_url,
        "FLAWLINE_BLOBS__URL": f"{bucket}/{unique()}?{rest}",
    }


def until(plant: Plant, holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, or fail with what the processes said."""
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit, f"waited {PATIENCE:.0f} s in vain for {what}\n{plant.said()}"
        time.sleep(0.1)


def build(data: Path, *, pictures: int, source: str | None = None, **camera: Any) -> Plant:
    """A line of one camera `top` on a folder of pictures (or another source), with a product that is taught."""
    plant = Plant(data)
    folder = data / "pictures"
    folder.mkdir(parents=True)
    for number in range(pictures):
        (folder / f"{number:03d}.png").write_bytes(png(picture(number)))
    top = Camera(name="top", product="ring", source=source or f"folder:{folder}", gate=False, **camera)
    line = line_of([top], partitions=2)
    (data / "line.toml").write_text(line.to_toml())
    parts.prepare(plant.settings, line)
    plant.teach()
    return plant


def child_of(pid: int, words: str) -> int | None:
    """The child process of `pid` whose command line holds `words`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, IndexError):
                continue
            if parent == pid and words in command:
                return int(entry.name)
    return None


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
