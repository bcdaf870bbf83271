"""The real server over a seeded line, and a real browser before it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Playwright, Request

from core.line import line_of
from core.records import line
from core.settings import Settings, environment_of
from tests.dashboard.seed import Plant

ROOT = Path(__file__).resolve().parent.parent.parent
SHOTS = ROOT / "test-artefacts" / "dashboard"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
SERVE = "from core.settings import read_settings; from dashboard.serve import run; run(read_settings())"
WALL = (1920, 1080)
TABLET = (1024, 768)
# Streamlit's script asks below a page's own path first where its server is, and logs that it is not there.
EXPECTED = "/_stcore/"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(settings: Settings, log: Path) -> Iterator[str]:
    """The dashboard as a process of its own; gives its address."""
    address = f"http://127.0.0.1:{settings.dashboard.port}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=environment_of(settings), cwd=ROOT, stdout=out, stderr=out
        )
        try:
            _wait_for(f"{address}/healthz", process, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"the dashboard did not start: {log.read_text()[-2000:]}")


@dataclass
class Watched:
    """A browser page that notes what it should never do."""

    page: Page
    address: str
    strangers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Go to one of our pages and wait until our part of it stands."""
        self.page.goto(f"{self.address}{path}")
        self.page.wait_for_selector(".fl-top .chip.state", timeout=60_000)
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a picture of the page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")


@contextmanager
def looking(
    browser: Browser, address: str, *, scheme: Literal["light", "dark"] = "dark", size: tuple[int, int] = WALL
) -> Iterator[Watched]:
    """A fresh browser session; at its end, nothing may have gone elsewhere and nothing may have failed."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    watched = Watched(context.new_page(), address)

    def note_strangers(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            watched.strangers.append(request.url)

    context.on("request", note_strangers)  # watched, not held up: a request held while its page goes is an error
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
    watched.page.on(
        "console",
        lambda said: (
            watched.errors.append(f"{said.text} {said.location}")
            if said.type == "error" and EXPECTED not in str(said.location)
            else None
        ),
    )
    try:
        yield watched
        assert watched.strangers == []
        assert watched.errors == []
    finally:
        context.close()


def chromium(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))


def show_cameras(plant: Plant, number: int) -> None:
    """Let the line have its first `number` cameras."""
    with plant.database.writing() as connection:
        line.register(connection, line_of(plant.cameras[:number]), now=datetime.now(UTC))
