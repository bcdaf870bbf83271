"""One seeded line for all tests that only read, a fresh one for those that write."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Browser, sync_playwright

from core.settings import Settings, environment_of
from dashboard.stores import Stores
from tests.dashboard import seed
from tests.dashboard.browser import chromium
from tests.dashboard.seed import Plant

NOON = datetime(2026, 11, 24, 12, 30, 40, tzinfo=UTC)


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Four cameras that have judged 80 parts each, the last at NOON. Read only."""
    made = seed.plant(seed.settings_in(tmp_path_factory.mktemp("line")), cameras=4, now=NOON)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Plant]:
    """Two cameras of one's own."""
    made = seed.plant(seed.settings_in(tmp_path), cameras=2, now=NOON, parts=40)
    yield made
    made.database.close()


@pytest.fixture
def stores(line: Plant) -> Iterator[Stores]:
    """What the pages hold of the seeded line."""
    held = Stores(line.settings)
    yield held
    held.close()


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator["Home"]:
    """Makes the pages of this process read a certain installation."""
    st.cache_resource.clear()
    st.cache_data.clear()
    yield Home(monkeypatch)
    st.cache_resource.clear()
    st.cache_data.clear()


class Home:
    """The environment under which the pages find their settings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def at(self, settings: Settings) -> None:
        """From now on, the pages read these settings."""
        for name, value in environment_of(settings).items():
            if name.startswith("FLAWLINE_"):
                self._patch.setenv(name, value)
