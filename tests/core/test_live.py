"""The live cache: what is shown is read back, what is old fades, and whatever becomes of Redis, nobody is held up."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from cli.services.plant import Services
from core import redis_live
from core.errors import SettingsInvalid
from core.live import Beat, Glimpse, Live, NoLive
from core.live_open import open_live
from core.messages import FrameCaptured
from core.metrics import Metrics
from core.records.inspections import Inspected, RegionRow
from core.redis_live import PAUSE_SECONDS, RedisLive
from core.settings import BrokerSettings, LiveSettings, Settings, read_settings
from core.verdicts import Limits, MachineVerdict
from tests.conftest import OwnServers
from tests.servers import unique

START = 1_790_000_000_000_000_000
BEAT = Beat("inspection", "w1", START, START + 7)


class Counts(Metrics):
    """What the cache tells of its failures."""

    def __init__(self) -> None:
        self.failed = 0

    def live_failed(self, count: int = 1) -> None:
        self.failed += count


class Clock:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def row(camera: str = "top", seq: int = 1, verdict: MachineVerdict = MachineVerdict.FAIL) -> Inspected:
    frame = FrameCaptured(
        station="s1", camera=camera, session=START, seq=seq, captured_at=START + seq * 1001, product="ring", lot="4",
        width=640, height=480, deadline_ms=900,
    )  # fmt: skip
    return Inspected(
        frame=frame, verdict=verdict, inspected_at=START + seq * 1001 + 5, worker="openvino", size=7, score=0.1 + 0.2,
        limits=Limits(0.4, 0.6), model_id=3, model_version="1", recipe_version=2, predict_ms=21.5,
        picture=f"frame/{camera}/{seq}.jpg", thumb=f"thumb/{camera}/{seq}.jpg", heat="heat/1.png", heat_min=0.0,
        heat_max=0.9, regions=(RegionRow(x=1, y=2, width=3.5, height=4, area=9, peak=0.9, mean=0.5),),
    )  # fmt: skip


def small(seq: int) -> bytes:
    return b"\xff\xd8" + bytes([seq])


def glimpse(camera: str = "top", seq: int = 1, verdict: MachineVerdict = MachineVerdict.FAIL) -> Glimpse:
    return Glimpse(row(camera, seq, verdict), small(seq))


def eventually(true: Callable[[], bool], *, within: float = 15.0) -> bool:
    limit = time.monotonic() + within
    while time.monotonic() < limit:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def live(servers: Services) -> Iterator[RedisLive]:
    with RedisLive(servers["redis"].url, prefix=unique() + ":") as opened:
        yield opened


# What each cache promises, also where there is none


def use(live: Live) -> None:
    """Ask everything of a cache."""
    live.show([])
    live.show([glimpse("a"), glimpse("b", 2), Glimpse(row("c"))])
    live.newest([])
    live.newest(["a", "nobody", ""])
    live.small("thumb/a/1.jpg")
    live.beat(BEAT)
    live.beats()
    live.models_changed()
    live.models_version()


@pytest.fixture(params=["none", "redis", "port nobody listens at", "host that does not exist", "no password"])
def any_live(request: pytest.FixtureRequest, servers: Services) -> Iterator[Live]:
    port = servers["redis"].port
    opened: dict[str, Callable[[], Live]] = {
        "none": NoLive,
        "redis": lambda: RedisLive(f"redis://127.0.0.1:{port}/0", prefix=unique()),
        "port nobody listens at": lambda: RedisLive("redis://127.0.0.1:1/0"),
        "host that does not exist": lambda: RedisLive("redis://redis.invalid:6379/0"),
        "no password": lambda: RedisLive(f"redis://stranger:wrong@127.0.0.1:{port}/0"),
    }
    with opened[request.param]() as live:
        yield live


def test_nothing_raises_and_what_is_not_known_is_none(any_live: Live) -> None:
    use(any_live)
    assert any_live.small("thumb/never/1.jpg") is None
    assert "nobody" not in any_live.newest(["nobody"])
    any_live.close()
    any_live.close()


def test_a_cache_that_is_none_or_away_answers_nothing() -> None:
    for live in (NoLive(), RedisLive("redis://127.0.0.1:1/0")):
        assert (live.newest(["a"]), live.small("a/b"), live.beats(), live.models_version()) == ({}, None, None, None)


# What Redis holds


@pytest.mark.parametrize("verdict", list(MachineVerdict))
def test_a_row_is_read_back_as_it_was_shown(live: RedisLive, verdict: MachineVerdict) -> None:
    shown = replace(row(verdict=verdict), reason="LATE", detail="é\n\x00", score=None, limits=None, regions=())
    live.show([Glimpse(shown), glimpse("side")])
    assert live.newest(["top", "side", "other"]) == {"top": shown, "side": row("side")}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=5), max_size=6))
def test_whatever_the_order_and_the_batches_the_newest_capture_of_a_camera_stays(
    servers: Services, batches: list[list[tuple[str, int]]]
) -> None:
    with RedisLive(servers["redis"].url, prefix=unique() + ":") as live:
        for batch in batches:
            live.show([glimpse(camera, seq) for camera, seq in batch])
        wanted: dict[str, int] = {}
        for camera, seq in (one for batch in batches for one in batch):
            wanted[camera] = max(seq, wanted.get(camera, 0))
        assert {camera: found.frame.seq for camera, found in live.newest(["a", "b"]).items()} == wanted


def test_small_pictures_are_found_by_their_key_those_of_passes_only_of_the_newest(live: RedisLive) -> None:
    live.show(
        [glimpse(seq=1), glimpse(seq=2, verdict=MachineVerdict.PASS), glimpse(seq=3, verdict=MachineVerdict.PASS)]
    )
    assert live.small("thumb/top/1.jpg") == small(1)
    assert live.small("thumb/top/2.jpg") is None
    assert live.small("thumb/top/3.jpg") == small(3)
    assert live.small("frame/top/3.jpg") is None


def test_a_process_that_beats_is_seen_and_fades_when_it_stops(live: RedisLive, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.beats() == []
    live.beat(Beat("watch", "x", START, START))
    monkeypatch.setattr(redis_live, "BEAT_SECONDS", 1)
    live.beat(BEAT)
    live.beat(replace(BEAT, at=START + 9))
    assert live.beats() == [replace(BEAT, at=START + 9), Beat("watch", "x", START, START)]
    assert eventually(lambda: live.beats() == [Beat("watch", "x", START, START)])


def test_what_is_shown_fades_so_that_no_page_shows_an_old_verdict(
    live: RedisLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_live, "ROW_SECONDS", 1)
    live.show([glimpse()])
    assert live.newest(["top"])
    assert eventually(lambda: live.newest(["top"]) == {})


def test_nothing_that_is_shown_stays_for_ever(live: RedisLive, servers: Services) -> None:
    live.show([glimpse()])
    live.beat(BEAT)
    with Redis.from_url(servers["redis"].url) as redis:
        kept = {key: redis.ttl(key) for key in redis.keys(f"{live._prefix}*")}
    assert {key for key, life in kept.items() if life < 0} == {f"{live._prefix}beats".encode()}
    assert len(kept) == 4


def test_a_change_of_models_is_noticed_each_time(live: RedisLive) -> None:
    seen = [live.models_version()]
    for _ in range(3):
        live.models_changed()
        seen.append(live.models_version())
    assert len(set(seen)) == 4
    assert seen[-1] == live.models_version()


def test_lines_that_share_a_redis_do_not_see_each_other(servers: Services) -> None:
    def settings_of(prefix: str) -> Settings:
        return Settings(live=LiveSettings(url=servers["redis"].url), broker=BrokerSettings(prefix=prefix))

    with open_live(settings_of(unique())) as one, open_live(settings_of(unique())) as other:
        one.show([glimpse()])
        one.beat(BEAT)
        assert one.newest(["top"])
        assert other.newest(["top"]) == {}
        assert other.beats() == []


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff\xfe", b'{"frame": null}', b"[1, 2]"])
def test_what_a_stranger_or_another_version_wrote_reads_as_no_answer(
    servers: Services, live: RedisLive, value: bytes
) -> None:
    with Redis.from_url(servers["redis"].url) as redis:
        redis.hset(f"{live._prefix}cam:top", "row", value)
        redis.set(f"{live._prefix}cam:side", value)  # of another type altogether
    assert live.newest(["top"]) == {}
    assert live.newest(["side"]) == {}


def test_a_row_under_another_cameras_name_is_not_that_cameras(servers: Services, live: RedisLive) -> None:
    live.show([glimpse("top")])
    with Redis.from_url(servers["redis"].url) as redis:
        redis.copy(f"{live._prefix}cam:top", f"{live._prefix}cam:side")
    assert set(live.newest(["top", "side"])) == {"top"}


# Redis away


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port/0", "redis://[::1/0"])
def test_a_url_that_nobody_can_mean_is_refused_with_its_name(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FLAWLINE_LIVE__URL"):
        RedisLive(url)


def test_after_a_failure_it_is_counted_and_left_alone_for_some_seconds() -> None:
    clock, counts = Clock(), Counts()
    live = RedisLive("redis://127.0.0.1:1/0", metrics=counts, clock=clock)
    use(live)
    assert counts.failed == 1
    clock.now += PAUSE_SECONDS - 0.01
    use(live)
    assert counts.failed == 1
    clock.now += 0.02
    use(live)
    assert counts.failed == 2


def test_a_frozen_redis_costs_a_fraction_of_a_second_once_and_is_used_again_when_it_thaws(
    own_servers: OwnServers,
) -> None:
    redis = own_servers("redis")["redis"]
    clock, counts = Clock(), Counts()
    with RedisLive(redis.url, metrics=counts, clock=clock) as live:
        live.show([glimpse(seq=1)])
        assert live.newest(["top"])
        redis.freeze()
        began = time.monotonic()
        for _ in range(100):
            use(live)
        assert counts.failed == 1
        assert time.monotonic() - began < 5
        assert live.newest(["top"]) == {}
        redis.thaw()
        clock.now += PAUSE_SECONDS + 1
        live.show([glimpse(seq=2)])
        assert live.newest(["top"])["top"].frame.seq == 2
        assert counts.failed == 1


def test_a_killed_redis_is_missed_and_an_empty_new_one_is_filled_again(own_servers: OwnServers) -> None:
    redis = own_servers("redis")["redis"]
    clock, counts = Clock(), Counts()
    with RedisLive(redis.url, metrics=counts, clock=clock) as live:
        live.models_changed()
        seen = live.models_version()
        live.show([glimpse()])
        redis.kill()
        assert live.newest(["top"]) == {}
        assert live.models_version() is None
        use(live)
        assert counts.failed == 1
        redis.start()
        clock.now += PAUSE_SECONDS + 1
        assert live.newest(["top"]) == {}
        assert live.models_version() == 0
        live.models_changed()
        assert live.models_version() not in (0, seen)
        live.show([glimpse()])
        live.beat(BEAT)
        assert live.newest(["top"]) == {"top": row()}
        assert live.beats() == [BEAT]
        assert counts.failed == 1


def test_a_full_or_read_only_redis_is_a_cache_that_does_not_answer(own_servers: OwnServers) -> None:
    redis = own_servers("redis")["redis"]
    counts = Counts()
    with Redis.from_url(redis.url) as admin, RedisLive(redis.url, metrics=counts) as live:
        admin.config_set("maxmemory-policy", "noeviction")
        admin.config_set("maxmemory", "1")
        live.show([glimpse()])
        assert counts.failed == 1


# Redis with a password


def test_a_password_from_its_file_opens_a_redis_that_asks_for_one(own_servers: OwnServers, tmp_path: Path) -> None:
    url = own_servers("redis")["redis"].url
    with Redis.from_url(url) as admin:
        admin.execute_command("ACL", "SETUSER", "line", "on", ">by name", "~*", "+@all")
        admin.config_set("requirepass", "hush")
    file = tmp_path / "redis"
    file.write_text("hush\n")
    by_file, by_name = {"password_file": file}, {"username": "line", "password": "by name"}
    for account in ({"password": "hush"}, by_file, by_name):
        with open_live(Settings(live=LiveSettings.model_validate({"url": url} | account))) as live:
            live.show([glimpse()])
            assert live.newest(["top"]) == {"top": row()}


@pytest.mark.parametrize("given", [{}, {"password": "hushed"}, {"username": "nobody", "password": "hushed"}])
def test_a_wrong_password_is_a_cache_that_does_not_answer_and_is_never_shown(
    given: dict[str, str], servers_with_password: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(live=LiveSettings.model_validate({"url": servers_with_password} | given))
    counts = Counts()
    with open_live(settings, counts) as live:
        assert live.newest(["top"]) == {}
    assert counts.failed == 1
    assert "does not answer" in caplog.text
    assert "hush" not in caplog.text + repr(settings)


@pytest.fixture
def servers_with_password(own_servers: OwnServers) -> str:
    url = str(own_servers("redis")["redis"].url)
    with Redis.from_url(url) as admin:
        admin.config_set("requirepass", "hush")
    return url


@pytest.mark.parametrize("name", ["USERNAME", "PASSWORD", "PASSWORD_FILE"])
def test_a_password_in_the_url_and_apart_is_refused_without_showing_either(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAWLINE_LIVE__URL", "redis://:hush@host:6379/0")
    monkeypatch.setenv(f"FLAWLINE_LIVE__{name}", "hushed")
    with pytest.raises(SettingsInvalid, match=r"FLAWLINE_LIVE: .*take it out of the URL") as refused:
        read_settings()
    assert "hush" not in f"{refused.value} {refused.value.__cause__}"


def test_a_password_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    given = LiveSettings(url="redis://127.0.0.1:1/0", password_file=tmp_path / "missing")
    with pytest.raises(SettingsInvalid, match="missing"):
        open_live(Settings(live=given))
