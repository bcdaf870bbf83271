"""Whoever is told, is told everything, in order, at least once; a dead listener costs nobody anything."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services.service import Service
from core.errors import NotAllowed, StoreUnavailable
from core.messages import PartRouted
from tests.conftest import OwnServers
from tests.workers.gate.listeners import Listener, MqttListener, WebListener, gate_of, listening, until
from workers.gate.journal import Entry, Journal
from workers.gate.mqtt import Mqtt
from workers.gate.sender import Sender, Target
from workers.gate.webhook import Webhook, signature


def routed(number: int) -> PartRouted:
    return PartRouted(
        gate="reject-1", session=9, number=number, station="press-2", product="ring", part_id=str(100 + number),
        trigger_seq=100 + number, lot="", triggered_at=10**18, commanded_at=10**18 + 2 * 10**9, routed_at=0,
        deadline_ms=1000, verdict="PASS", reason="", detail="", action="ACCEPT", route="ACCEPTED", score=0.1, t_lo=0.2,
        model="m/1", frames=[["top", 5, number, 1]], flags="BYPASS,FAULT",
    )  # fmt: skip


def entry(number: int) -> Entry:
    return Entry(number, "route", str(routed(number).id), routed(number).to_json())


class Desk:
    """A journal with one listener and the sender between them."""

    def __init__(self, path: Path, listener: Listener) -> None:
        self.path, self.listener = path, listener
        self.journal = Journal(path)
        self.journal.targets([listener.target.name])
        self.sender = Sender(path, listener.target, pause=0.02)

    def write(self, *numbers: int) -> None:
        with self.journal.writing():
            for number in numbers:
                part = routed(number)
                self.journal.routed((part.gate, 9, number), part.to_json(), part_id=part.part_id, views=1)
        self.sender.wake()

    def keys(self, *numbers: int) -> list[str]:
        return [f"reject-1-9-{number}" for number in numbers]

    def wait_for(self, *numbers: int) -> None:
        until(lambda: self.listener.received()[-len(numbers) :] == self.keys(*numbers), f"{numbers} to arrive")


@pytest.fixture(params=["books", "mqtt", "webhook"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, own_servers: OwnServers) -> Iterator[Desk]:
    def server() -> Service:
        return own_servers("mosquitto")["mosquitto"]

    with listening(request.param, server) as listener:
        desk = Desk(tmp_path / "g.sqlite", listener)
        yield desk
        desk.sender.close()
        desk.journal.close()


# --- the contract of every listener --------------------------------------------------------------------------------


def test_everything_is_told_in_order_before_and_after_an_outage(desk: Desk) -> None:
    desk.sender.start()
    desk.write(*range(5))
    desk.wait_for(*range(5))
    desk.listener.take_away()
    desk.write(*range(5, 9))
    until(lambda: desk.sender.trouble, "the sender to notice")
    desk.write(9)  # nobody waits for the dead
    desk.listener.bring_back()
    desk.wait_for(*range(5, 10))
    until(lambda: not desk.sender.trouble, "the trouble to end")
    assert dict.fromkeys(desk.listener.received()).keys() == dict.fromkeys(desk.keys(*range(10))).keys()


def test_a_sender_that_was_killed_after_telling_tells_again_under_the_same_key(desk: Desk) -> None:
    desk.write(0, 1)
    until(lambda: _delivers(desk.listener.target, entry(0)), "the first delivery")  # and then the process died
    desk.sender.start()
    desk.wait_for(0, 1)
    assert desk.listener.received()[-3:] == desk.keys(0, 0, 1)


def test_what_was_told_is_not_told_again_by_the_next_process(desk: Desk) -> None:
    desk.write(0, 1)
    with Journal(desk.path) as earlier:
        earlier.told(desk.listener.target.name, 1)
    desk.sender.start()
    desk.wait_for(1)
    assert desk.listener.received() == desk.keys(1)


def _delivers(target: Target, told: Entry) -> bool:
    try:
        target.deliver(told)
    except StoreUnavailable:  # still connecting
        return False
    return True


# --- MQTT ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def subscriber(own_servers: OwnServers) -> Iterator[MqttListener]:
    listener = MqttListener(own_servers("mosquitto")["mosquitto"])
    yield listener
    listener.close()


def test_mqtt_tells_a_verdict_in_words_that_do_not_change(subscriber: MqttListener) -> None:
    until(lambda: _delivers(subscriber.target, entry(3)), "the broker")
    until(subscriber.received, "the verdict")
    subscriber.target.close()
    told = subscriber.topic("verdict")[0]
    wanted = {"inspection_id": "reject-1-9-3", "trigger_seq": 103, "part_id": "103", "verdict": "PASS", "reason": "",
              "score": 0.1, "model": "m/1", "route": "ACCEPTED", "site": "north", "station": "press-2", "flags":
              ["BYPASS", "FAULT"], "frames": ["top-5-3"], "triggered_at": "2001-09-09T01:46:40.000000+00:00",
              "commanded_at": "2001-09-09T01:46:42.000000+00:00", "routed_at": None}  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    assert not any(retained for topic, _, retained in subscriber.messages if topic.endswith("verdict"))


def test_mqtt_keeps_the_state_for_those_who_come_later_and_says_when_the_gate_stops(subscriber: MqttListener) -> None:
    subscriber.mqtt.show({"line_state": "RUNNING"})
    until(lambda: {"RUNNING"} & {told["line_state"] for told in subscriber.topic("state")}, "the state")
    subscriber.mqtt.close()
    until(lambda: subscriber.topic("state")[-1]["line_state"] == "NOT_INSPECTING", "the last word")
    late = MqttListener(subscriber._server)
    until(lambda: late.topic("state"), "the retained state")
    late.close()
    late.mqtt.close()
    assert late.topic("state")[0]["line_state"] == "NOT_INSPECTING"
    assert late.messages[0][2], "retained"


def test_mqtt_s_last_will_says_it_for_a_gate_that_cannot(subscriber: MqttListener) -> None:
    subscriber.mqtt.show({"line_state": "RUNNING"})
    until(lambda: {"RUNNING"} & {told["line_state"] for told in subscriber.topic("state")}, "the state")
    link = subscriber.mqtt._client.socket()
    assert link is not None
    subscriber.mqtt._client.loop_stop()
    link.close()  # as the kernel does for a killed process: no DISCONNECT is sent
    until(lambda: subscriber.topic("state")[-1].get("detail") == "lost", "the last will")
    assert subscriber.topic("state")[-1]["line_state"] == "NOT_INSPECTING"


def test_mqtt_tells_alarms_on_their_own_topic(subscriber: MqttListener) -> None:
    body = json.dumps({"alarm_id": "a", "kind": "BIN_FULL", "is_active": True}).encode()
    until(lambda: _delivers(subscriber.target, Entry(1, "alarm", "a", body)), "the broker")
    until(lambda: subscriber.topic("alarm"), "the alarm")
    subscriber.target.close()
    assert subscriber.topic("alarm")[0] == {
        "alarm_id": "a", "kind": "BIN_FULL", "is_active": True, "enterprise": "", "site": "north", "area": "area",
        "line": "line", "station": "press-2", "gate": "reject-1",
    }  # fmt: skip


def test_mqtt_never_queues_for_a_broker_that_is_not_there() -> None:
    client = Mqtt(gate_of(mqtt="mqtt://127.0.0.1:1"))
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 is not connected"):
        client.deliver(entry(0))
    client.close()


# --- webhook -------------------------------------------------------------------------------------------------------


@pytest.fixture
def web() -> Iterator[WebListener]:
    listener = WebListener()
    yield listener
    listener.take_away()


def test_a_webhook_is_signed_and_carries_its_key(web: WebListener) -> None:
    web.target.deliver(entry(3))
    ((headers, body),) = web.posts
    assert headers["path"] == "/hook?a=1"
    assert headers["X-Flawline-Event"] == "route"
    assert headers["Idempotency-Key"] == "reject-1-9-3"
    assert headers["X-Flawline-Signature"] == signature("s3cret", body)
    assert json.loads(body)["trigger_seq"] == 103


def test_the_signature_is_the_one_that_others_compute() -> None:
    """RFC 4231, test case 2."""
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature("Jefe", b"what do ya want for nothing?") == f"sha256={wanted}"


def test_without_a_secret_nothing_is_signed(web: WebListener) -> None:
    Webhook(gate_of(webhook=f"http://127.0.0.1:{web._port}/")).deliver(entry(1))
    assert "X-Flawline-Signature" not in web.posts[0][0]


@pytest.mark.parametrize("status", [500, 503, 429, 401, 404, 302])
def test_an_answer_that_may_change_is_waited_for(web: WebListener, status: int) -> None:
    web.answers = [status]
    with pytest.raises(StoreUnavailable, match=str(status)):
        web.target.deliver(entry(0))


@pytest.mark.parametrize("status", [201, 204, 409])
def test_taken_is_taken(web: WebListener, status: int) -> None:
    web.answers = [status]
    web.target.deliver(entry(0))


def test_what_is_refused_for_good_does_not_hold_up_the_rest(tmp_path: Path, web: WebListener) -> None:
    desk = Desk(tmp_path / "g.sqlite", web)
    web.answers = [503, 422]
    desk.write(0, 1)
    desk.sender.start()
    desk.wait_for(1)
    desk.sender.close()
    desk.journal.close()
    assert web.received() == desk.keys(1)
    web.answers = [400]
    with pytest.raises(NotAllowed, match="400"):
        web.target.deliver(entry(0))


def test_a_password_in_the_address_stays_out_of_errors() -> None:
    hook = Webhook(gate_of(webhook="http://user:hidden@127.0.0.1:1/token"))
    with pytest.raises(StoreUnavailable) as problem:
        hook.deliver(entry(0))
    assert "hidden" not in str(problem.value)
    assert "token" not in str(problem.value)


def test_a_sender_ends_even_while_its_listener_is_dead(tmp_path: Path, web: WebListener) -> None:
    dead = Webhook(gate_of(webhook="http://127.0.0.1:1/"))
    with Journal(tmp_path / "g.sqlite") as journal:
        journal.targets(["webhook"])
        with journal.writing():
            journal.routed(("reject-1", 9, 0), routed(0).to_json(), part_id="100", views=1)
    sender = Sender(tmp_path / "g.sqlite", dead, pause=10)
    sender.start()
    until(lambda: sender.trouble, "the sender to notice")
    sender.close()
    assert "tell webhook" not in {thread.name for thread in threading.enumerate()}
