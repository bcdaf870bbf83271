"""The Line page with the live cache says what it says without, and goes on when the cache goes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import delete

from cli.services.plant import Services
from core.live import Beat, Glimpse, NoLive
from core.live_open import open_live
from core.records import inspections, models
from core.records.inspections import Inspected
from core.settings import BrokerSettings, LiveSettings, Settings
from core.tables import regions
from core.times import ns_of
from core.verdicts import MachineVerdict
from dashboard.drawing.topbar import Running, what_runs
from dashboard.live import Live, Page
from dashboard.queries import cameras, frames
from dashboard.stores import Stores
from tests.conftest import OwnServers
from tests.dashboard import seed
from tests.dashboard.conftest import NOON, Home
from tests.dashboard.seed import Plant
from tests.dashboard.test_pages import view
from tests.dashboard.test_routes import get
from tests.servers import unique

SMALL = b"\xff\xd8\xff small, from the cache"


def cached(settings: Settings, url: str) -> Settings:
    """The same installation with a cache of its own in Redis."""
    return settings.model_copy(update={"live": LiveSettings(url=url), "broker": BrokerSettings(prefix=unique() + ".")})


@pytest.fixture
def stores(fresh: Plant, servers: Services) -> Iterator[Stores]:
    """What the pages hold of a line with a cache."""
    held = Stores(cached(fresh.settings, servers["redis"].url))
    yield held
    held.close()


def judged(plant: Plant, place: int, verdict: MachineVerdict, seconds: float = 0.5) -> Inspected:
    """One more part of a camera as the worker has it: judged by the active model, not in the books yet."""
    camera = plant.cameras[place]
    seq = plant.counted[camera.name]
    plant.counted[camera.name] = seq + 1
    row = seed._row(plant, camera, verdict, ns_of(NOON + timedelta(seconds=seconds)) + 123, seq, 1)
    with plant.database.reading() as connection:
        active = next(one for one in models.versions(connection, camera.product) if one.state == "ACTIVE")
    values = {name: getattr(row, name) for name in row.__slots__}
    return Inspected(**{**values, "model_id": active.id, "model_version": active.version})


def enter(plant: Plant, *rows: Inspected) -> None:
    with plant.database.writing() as connection:
        inspections.record(connection, rows)


def page(stores: Stores) -> Page:
    """The page as nobody has asked for it before."""
    return Live(stores, clock=lambda: NOON + timedelta(seconds=1)).page()


def line(page: Page) -> dict[str, str]:
    """All but the top bar, which counts the workers."""
    return page.slots | {"top": ""}


def without(stores: Stores) -> Page:
    """The same page without the cache."""
    live, stores.live = stores.live, NoLive()
    try:
        return page(stores)
    finally:
        stores.live = live


@pytest.mark.parametrize("verdict", list(MachineVerdict))
def test_a_row_reads_the_same_from_the_worker_as_from_the_books(fresh: Plant, verdict: MachineVerdict) -> None:
    row = judged(fresh, 0, verdict)
    enter(fresh, row)
    with fresh.database.reading() as connection:
        assert cameras.frame_of(row) == frames.newest(connection, row.frame.camera)


@pytest.mark.parametrize("verdict", list(MachineVerdict))
def test_the_page_is_the_same_with_the_cache_and_without(fresh: Plant, stores: Stores, verdict: MachineVerdict) -> None:
    rows = [judged(fresh, 0, verdict), judged(fresh, 1, MachineVerdict.FAIL)]
    enter(fresh, *rows)
    stores.live.show([Glimpse(row, SMALL) for row in rows])
    assert set(stores.live.newest([row.frame.camera for row in rows])) == {row.frame.camera for row in rows}
    assert line(page(stores)) == line(without(stores))


def test_the_tile_is_drawn_from_the_cache_alone(fresh: Plant, stores: Stores) -> None:
    row = judged(fresh, 0, MachineVerdict.FAIL)
    enter(fresh, row)
    stores.live.show([Glimpse(row)])
    before = page(stores).slots["tile:" + row.frame.camera]
    with fresh.database.writing() as connection:
        connection.execute(delete(regions))
    assert page(stores).slots["tile:" + row.frame.camera] == before
    assert without(stores).slots["tile:" + row.frame.camera] != before


def test_what_the_cache_missed_is_never_hidden_by_what_it_has(fresh: Plant, stores: Stores) -> None:
    old, new = judged(fresh, 0, MachineVerdict.PASS, 0.2), judged(fresh, 0, MachineVerdict.FAIL, 0.7)
    enter(fresh, old)
    stores.live.show([Glimpse(old)])
    enter(fresh, new)  # the worker could not reach the cache
    assert line(page(stores)) == line(without(stores))
    assert new.frame.part_id in str(page(stores).slots["rejects"])


def test_a_cache_that_is_older_than_the_books_shows_no_part_of_another_life(fresh: Plant, stores: Stores) -> None:
    stranger = judged(fresh, 0, MachineVerdict.FAIL)
    stores.live.show([Glimpse(stranger)])
    with fresh.database.reading() as connection:
        assert cameras.newest(connection, None, stranger.frame.camera, stranger) is None


def test_small_pictures_come_from_the_cache_while_it_has_them(fresh: Plant, stores: Stores, servers: Services) -> None:
    row = judged(fresh, 0, MachineVerdict.FAIL)
    assert row.thumb is not None
    assert row.picture is not None
    stored = get(stores, f"/api/img/{row.thumb}").body
    stores.live.show([Glimpse(row, SMALL)])
    assert get(stores, f"/api/img/{row.thumb}").body == SMALL
    assert get(stores, f"/api/img/{row.picture}").body != SMALL
    assert get(stores, "/api/img/model/x").status == 404
    with Redis.from_url(servers["redis"].url) as redis:
        prefix = f"flawline:{stores.settings.broker.prefix}"
        redis.delete(*redis.keys(f"{prefix}*"))
    assert get(stores, f"/api/img/{row.thumb}").body == stored


def test_redis_killed_in_the_middle_changes_nothing_on_the_page(fresh: Plant, own_servers: OwnServers) -> None:
    redis = own_servers("redis")["redis"]
    stores = Stores(cached(fresh.settings, redis.url))
    row = judged(fresh, 0, MachineVerdict.REVIEW)
    enter(fresh, row)
    stores.live.show([Glimpse(row, SMALL)])
    before = page(stores)
    without_cache = Stores(fresh.settings)
    stored = get(without_cache, f"/api/img/{row.thumb}").body
    redis.freeze()
    assert line(page(stores)) == line(before)
    redis.kill()
    assert line(page(stores)) == line(before)
    assert get(stores, f"/api/img/{row.thumb}").body == stored
    for held in (stores, without_cache):
        held.close()


# Who works


def test_the_top_bar_counts_the_inspection_workers_that_live(stores: Stores) -> None:
    assert "no inspection workers" in page(stores).slots["top"]
    for role, name in (("inspection", "w1"), ("inspection", "w2"), ("watch", "watch")):
        stores.live.beat(Beat(role, name, 1, 2))
    assert "2 inspection workers" in page(stores).slots["top"]
    assert "inspection worker" not in without(stores).slots["top"]


@pytest.mark.parametrize(
    ("workers", "said"),
    [(None, "model 1"), (0, "no inspection workers"), (1, "1 inspection worker"), (12, "12 inspection workers")],
)
def test_workers_are_told_as_a_person_would(workers: int | None, said: str) -> None:
    assert what_runs(Running(("ring",), ("1",), workers)).endswith(f"· {said}")


def test_a_model_activated_on_the_page_is_told_to_the_workers(fresh: Plant, at_home: Home, servers: Services) -> None:
    settings = cached(fresh.settings, servers["redis"].url)
    at_home.at(settings)
    with open_live(settings) as live:
        before = live.models_version()
        shown = view("models")
        back = next(button for button in shown.button if (button.key or "").startswith("back-"))
        back.click().run()
        assert live.models_version() not in (None, before)


def test_a_cache_that_is_away_does_not_keep_the_pages_from_coming_up(fresh: Plant) -> None:
    stores = Stores(cached(fresh.settings, "redis://127.0.0.1:1/0"))
    assert page(stores) == without(stores)
    stores.close()
