"""A set of servers in one folder, with ports that stay theirs."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from cli.services.servers import S3, S3_KEY, S3_SECRET, Kafka, Mosquitto, Postgres, Redis
from cli.services.service import Service, free_ports
from core.errors import SettingsInvalid

KINDS: dict[str, type[Service]] = {kind.name: kind for kind in (Kafka, Postgres, Redis, S3, Mosquitto)}
SERVICES = tuple(KINDS)


class Services(AbstractContextManager["Services"]):
    """Servers by name. Ports are chosen once, by what is free, and kept in `folder`/ports.json.

    As a context manager they are up inside it; they are stopped, and their data removed, at its end.
    """

    def __init__(self, folder: Path, names: Sequence[str] = SERVICES) -> None:
        if unknown := [name for name in names if name not in KINDS]:
            raise SettingsInvalid(f"no server is called {', '.join(unknown)}; there are {', '.join(SERVICES)}")
        self.folder = folder.absolute()
        self._names = names
        self._services: dict[str, Service] = {}

    def __getitem__(self, name: str) -> Service:
        if name not in self._services:
            self._services[name] = KINDS[name](self.folder / name, self._port(KINDS[name]))
        return self._services[name]

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down(wipe=True)

    def up(self) -> None:
        """Start all, at once, and return when they answer. Raises StoreUnavailable, SettingsInvalid."""
        for name in self._names:
            self[name].start(wait=False)
        for name in self._names:
            self[name].start()

    def down(self, *, wipe: bool = False) -> None:
        """Stop all; with `wipe` nothing of them stays."""
        for name in reversed(self._names):
            self[name].stop()
            if wipe:
                self[name].wipe()

    def status(self) -> dict[str, dict[str, Any]]:
        """By name: url, process id, whether it answers, its log."""
        return {
            name: {"url": s.url, "port": s.port, "pid": s.pid(), "answers": s.answers(), "log": str(s.log)}
            for name, s in ((name, self[name]) for name in self._names)
        }

    def environment(self) -> dict[str, str]:
        """The FLAWLINE_ settings that make a line run on these servers."""
        places = {"kafka": "BROKER", "postgres": "DATABASE", "redis": "LIVE", "s3": "BLOBS"}
        urls = {f"FLAWLINE_{places[name]}__URL": self[name].url for name in self._names if name in places}
        keys = {"FLAWLINE_BLOBS__ACCESS_KEY": S3_KEY, "FLAWLINE_BLOBS__SECRET_KEY": S3_SECRET}
        return urls | (keys if "s3" in self._names else {})

    def _port(self, kind: type[Service]) -> int:
        path = self.folder / "ports.json"
        known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        if kind.name not in known:
            known[kind.name] = free_ports(kind.ports)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known))
        return known[kind.name]
