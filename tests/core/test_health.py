"""What a process says of itself, and that anybody who asks over HTTP gets it."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from core.errors import SettingsInvalid
from core.health import Health
from core.health_server import answer, serve_health
from core.metrics import Metrics
from core.metrics_open import open_metrics
from core.settings import MetricsSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.getheader("Content-Type", ""), reply.read()
    finally:
        connection.close()


@contextmanager
def served(health: Health) -> Iterator[int]:
    settings = MetricsSettings(port=free_port())
    metrics = open_metrics(settings, role="inspection", name="inspection-1", cameras=["a"])
    with serve_health(settings, metrics, health, who="inspection inspection-1"):
        yield settings.port


def test_a_process_is_starting_until_it_is_ready() -> None:
    clock = Clock()
    health = Health(within=10, clock=clock)
    clock.now += 500  # loading a model takes as long as it takes
    assert health.state().status == "starting"
    assert health.state().alive
    health.ready()
    assert health.state().ok


def test_a_loop_that_does_not_turn_hangs_and_is_well_again_when_it_turns() -> None:
    clock = Clock()
    health = Health(within=10, clock=clock)
    health.ready()
    clock.now += 10.1
    assert health.state().status == "hanging"
    assert not health.state().alive
    assert "no turn for 10 s" in health.state().why
    health.turned()
    assert health.state().ok


def test_a_process_that_waits_for_a_store_says_for_which_and_is_alive() -> None:
    clock = Clock()
    health = Health(within=10, clock=clock)
    health.ready()
    for _ in range(5):
        clock.now += 9
        health.waits_for("the database does not answer")
        assert health.state().why == "the database does not answer"
        assert (health.state().ok, health.state().alive) == (False, True)
    health.turned()
    assert health.state().ok


EVENTS = st.lists(st.sampled_from(["ready", "turned", "waits", "time"]), max_size=20)


@given(EVENTS)
def test_it_is_ok_exactly_when_ready_and_the_last_turn_is_young_and_waited_for_nothing(events: list[str]) -> None:
    clock = Clock()
    health = Health(within=10, clock=clock)
    ready, waits, last = False, False, clock.now
    for event in events:
        if event == "time":
            clock.now += 6
            continue
        if event == "waits":
            health.waits_for("x")
        else:
            getattr(health, event)()
        ready, last = ready or event == "ready", clock.now
        waits = {"waits": True, "turned": False}.get(event, waits)
    assert health.state().ok == (ready and not waits and clock.now - last <= 10)
    assert health.state().ok <= health.state().alive


def test_healthz_says_why_in_json_and_by_its_status() -> None:
    clock = Clock()
    health = Health(within=10, clock=clock)
    with served(health) as port:
        status, media, body = ask(port, "/healthz")
        assert (status, media, json.loads(body)["status"]) == (503, "application/json", "starting")
        health.ready()
        status, _, body = ask(port, "/healthz")
        said = json.loads(body)
        assert (status, said["status"], said["why"], said["who"]) == (200, "ok", "", "inspection inspection-1")
        health.waits_for("Kafka does not answer")
        status, _, body = ask(port, "/healthz?verbose=1")
        assert (status, json.loads(body)["why"]) == (503, "Kafka does not answer")
        assert ask(port, "/livez")[0] == 200
        clock.now += 11
        assert ask(port, "/livez")[0] == 503


def test_metrics_is_text_that_a_scraper_reads() -> None:
    with served(Health()) as port:
        status, media, body = ask(port, "/metrics")
    assert status == 200
    assert media.startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"flawline_info", "flawline_healthy", "flawline_frames", "process_resident_memory_bytes"} <= names


def test_head_gets_no_body_and_other_paths_are_not_there() -> None:
    with served(Health()) as port:
        assert ask(port, "/livez", "HEAD")[::2] == (200, b"")
        assert ask(port, "/etc/passwd")[0] == 404
        assert ask(port, "/healthz", "POST")[0] == 501


def test_a_taken_port_is_refused_with_a_sentence_that_names_the_setting() -> None:
    with (
        served(Health()) as port,
        pytest.raises(SettingsInvalid, match=r"FLAWLINE_METRICS__PORT"),
        serve_health(MetricsSettings(port=port), Metrics(), Health()),
    ):
        pytest.fail("two on one port")


def test_a_host_that_is_not_this_machine_is_refused() -> None:
    settings = MetricsSettings(host="192.0.2.1", port=free_port())
    with pytest.raises(SettingsInvalid, match=r"192\.0\.2\.1"), serve_health(settings, Metrics(), Health()):
        pytest.fail("served elsewhere")


def test_the_port_is_free_again_afterwards_and_may_be_taken_at_once() -> None:
    settings = MetricsSettings(port=free_port())
    for _ in range(3):
        with serve_health(settings, Metrics(), Health()):
            assert ask(settings.port, "/livez")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(settings.port, "/livez")


def test_port_0_serves_nowhere() -> None:
    before = set(threading.enumerate())
    with serve_health(MetricsSettings(), Metrics(), Health()):
        # What an earlier test left may end meanwhile: nothing new is what counts.
        assert set(threading.enumerate()) <= before


def test_a_caller_that_says_nothing_holds_nobody_up() -> None:
    health = Health()
    with served(health) as port, socket.create_connection(("127.0.0.1", port)):
        assert ask(port, "/livez")[0] == 200


def test_answers_of_a_process_without_figures_are_empty_and_not_an_error() -> None:
    assert answer("/metrics", Metrics(), Health())[::2] == (200, b"")
