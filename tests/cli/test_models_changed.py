from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.services.plant import Services
from core.database import open_database
from core.live_open import open_live
from core.records import models
from core.settings import read_settings
from migrations.upgrade import upgrade
from tests.cli.conftest import Run
from tests.dashboard.seed import register_models
from tests.servers import unique


def test_activating_a_model_tells_the_workers_through_the_cache(
    data: Path, flawline: Run, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_LIVE__URL", servers["redis"].url)
    monkeypatch.setenv("FLAWLINE_BROKER__PREFIX", unique() + ".")
    data.mkdir()
    settings = read_settings()
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database:
        with database.writing() as connection:
            register_models(connection, "ring", datetime.now(UTC))
        with database.reading() as connection:
            older = next(row for row in models.versions(connection, "ring") if row.state != "ACTIVE")
    with open_live(settings) as live:
        before = live.models_version()
        code, said = flawline("models", "activate", older.id, "--note", "the new one rejects too much")
        assert (code, "is now judged by model" in said) == (0, True)
        assert live.models_version() not in (None, before)


def test_a_cache_that_is_away_keeps_nobody_from_activating_a_model(
    data: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_LIVE__URL", "redis://127.0.0.1:1/0")
    data.mkdir()
    settings = read_settings()
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as connection:
        register_models(connection, "ring", datetime.now(UTC))
    assert flawline("models", "activate", 1, "--note", "as before")[0] == 0
