"""The dashboard answers as every other role does on its metrics port."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from dashboard.stores import Stores
from migrations.upgrade import upgrade
from tests.dashboard import seed
from tests.dashboard.test_routes import get


def test_healthz_says_why_the_pages_are_empty_and_livez_that_the_server_is_there(tmp_path: Path) -> None:
    settings = seed.settings_in(tmp_path)
    stores = Stores(settings)
    answer = get(stores, "/healthz")
    assert (answer.status, answer.json()["status"]) == (503, "waiting")
    assert "flawline db upgrade" in answer.json()["why"]
    assert get(stores, "/livez").status == 200
    upgrade(settings.database_url)
    assert get(stores, "/healthz").json() == {"status": "ok", "why": "", "who": "dashboard"}
    stores.close()


def test_metrics_is_text_that_a_scraper_reads(stores: Stores) -> None:
    answer = get(stores, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert families["flawline_info"].samples[0].labels["role"] == "dashboard"
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
