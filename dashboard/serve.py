"""The dashboard's server: Streamlit's pages and our own routes in one process (streaming.md §8)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from core.settings import Settings
from dashboard.live import Live
from dashboard.routes import routes
from dashboard.stores import Stores

_LIGHT = {
    "primaryColor": "#1f5fbf", "backgroundColor": "#eceef0", "secondaryBackgroundColor": "#ffffff",
    "textColor": "#15191d", "borderColor": "#d9dde1", "linkColor": "#1f5fbf",
}  # fmt: skip
_DARK = {
    "primaryColor": "#6ea8ff", "backgroundColor": "#0e1113", "secondaryBackgroundColor": "#171b1e",
    "textColor": "#e9ecee", "borderColor": "#2a3035", "linkColor": "#6ea8ff",
}  # fmt: skip


def build_app(settings: Settings) -> st.App:
    """The ASGI application: pages, pictures, live document and health. Nothing is opened until it is asked for."""
    stores = Stores(settings)

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        yield
        stores.close()

    script = Path(__file__).with_name("main.py")
    return st.App(script, routes=routes(stores, Live(stores)), lifespan=lifespan)


def run(settings: Settings) -> None:
    """Serve until a signal ends the process."""
    build_app(settings).run(config=options(settings))


def options(settings: Settings) -> Mapping[str, Any]:
    """Streamlit's own options: no telemetry, no watching of files, no chrome, our colours in light and dark."""
    shown = settings.dashboard
    themes = {f"theme.light.{name}": value for name, value in _LIGHT.items()}
    themes |= {f"theme.dark.{name}": value for name, value in _DARK.items()}
    if shown.theme != "auto":  # one look for everybody: the other theme is not offered
        themes = {f"theme.{name}": value for name, value in (_DARK if shown.theme == "dark" else _LIGHT).items()}
        themes["theme.base"] = shown.theme
    return themes | {
        "theme.font": "Inter, system-ui, sans-serif",
        "theme.headingFont": "Inter, system-ui, sans-serif",
        "theme.baseRadius": "10px",
        "theme.baseFontSize": 14,
        "server.address": shown.host,
        "server.port": shown.port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.disconnectedSessionTTL": 30,
        "server.maxUploadSize": 1,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "logger.hideWelcomeMessage": True,
    }
