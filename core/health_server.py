"""Where a process says how it does: /healthz, /livez and /metrics on a port of its own.

/healthz  200 while the process does its work, 503 while it starts, waits for a store or hangs: for people, for Docker
/livez    503 only while it hangs: for what restarts processes, because a restart cures no store that is away
/metrics  the figures
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from core.errors import SettingsInvalid
from core.health import Health
from core.metrics import Metrics
from core.settings import MetricsSettings

TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"


@contextmanager
def serve_health(settings: MetricsSettings, metrics: Metrics, health: Health, *, who: str = "") -> Iterator[None]:
    """Answer on `metrics.host` and `metrics.port` from a thread; do nothing where the port is 0.

    who: role and name of the process, as the answers show it. Raises SettingsInvalid when the port is taken.
    """
    if not settings.port:
        yield
        return
    metrics.watch(health)
    server = _listen(settings, _handler(metrics, health, who))
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(path: str, metrics: Metrics, health: Health, who: str = "") -> tuple[int, str, bytes]:
    """Status, media type and body for a path, without its query."""
    if path == "/metrics":
        return 200, TEXT, metrics.exposition()
    state = health.state()
    fine = {"/healthz": state.ok, "/livez": state.alive}.get(path)
    if fine is None:
        return 404, JSON, b'{"error": "ask /healthz, /livez or /metrics"}\n'
    said = {"status": state.status, "why": state.why, "who": who, "turn_age_seconds": round(state.turn_age_seconds, 3)}
    return 200 if fine else 503, JSON, json.dumps(said).encode() + b"\n"


def _listen(settings: MetricsSettings, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        daemon_threads = True

    try:
        return Server((settings.host, settings.port), handler)
    except OSError as problem:
        raise SettingsInvalid(
            f"/healthz cannot be served at {settings.host}:{settings.port}: {problem.strerror or problem}; stop what "
            "uses the port, or set FLAWLINE_METRICS__PORT to another one (0 = nowhere)") from problem  # fmt: skip


def _handler(metrics: Metrics, health: Health, who: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # s: a caller that says nothing holds no thread for ever
        server_version, sys_version = "flawline", ""

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: one line for each scrape would bury the log."""

        def _reply(self, *, with_body: bool) -> None:
            status, media, body = answer(self.path.partition("?")[0], metrics, health, who)
            self.send_response(status)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler
