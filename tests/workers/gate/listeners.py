"""Real listeners that a test can take away and bring back: a broker, an MQTT subscriber, a web server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cli.services.service import Service, free_ports
from core.broker.memory import MemoryBroker
from core.broker.protocol import Topic
from core.errors import StoreUnavailable
from core.gates import Gate
from core.messages import ROUTES, PartRouted
from workers.gate.books import Books
from workers.gate.mqtt import Mqtt
from workers.gate.sender import Target
from workers.gate.webhook import Webhook

PATIENCE = 30.0


def until(holds: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.01)


def gate_of(**values: object) -> Gate:
    """A gate of a small plant."""
    return Gate.model_validate(
        {"name": "reject-1", "cameras": ["top"], "deadline_ms": 1000, "station": "press-2", "site": "north"} | values
    )


class Listener(Protocol):
    """One kind of listener, with a target of ours that tells it."""

    target: Target

    def received(self) -> list[str]:
        """The keys of the routes that arrived, in order, repetitions included."""
        ...

    def take_away(self) -> None: ...

    def bring_back(self) -> None: ...


class BookListener:
    """Topic `routes` of a memory broker."""

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._broker.apply([Topic(ROUTES, 1)])
        self._is_away = False
        self.target: Target = Books(self._open)
        self._consumer = self._broker.consumer(ROUTES, group="test")
        self._found: list[str] = []

    def _open(self) -> MemoryBroker:
        if self._is_away:
            raise StoreUnavailable("no broker there")
        return self._broker

    def received(self) -> list[str]:
        for message in self._consumer.poll(0):
            assert message.key == str(PartRouted.from_json(message.value).id)
            self._found.append(message.key)
        return self._found

    def take_away(self) -> None:
        self._is_away = True
        self.target.close()

    def bring_back(self) -> None:
        self._is_away = False


class MqttListener:
    """A subscriber of a Mosquitto of this test's own."""

    def __init__(self, server: Service) -> None:
        self._server = server
        gate = gate_of(mqtt=server.url)
        self.mqtt = Mqtt(gate, seconds=2.0)
        self.target: Target = self.mqtt
        self.messages: list[tuple[str, Any, bool]] = []
        self._connect()

    def _connect(self) -> None:
        is_on = threading.Event()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=True)
        client.on_subscribe = lambda *_: is_on.set()
        client.on_message = self._take
        place = urlsplit(self._server.url)
        client.connect(place.hostname or "", place.port or 0)
        client.loop_start()
        until(client.is_connected, "MQTT")
        client.subscribe("flawline/#", qos=1)
        assert is_on.wait(PATIENCE)
        self._client = client

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, json.loads(message.payload), message.retain))

    def topic(self, last: str) -> list[dict[str, Any]]:
        return [payload for topic, payload, _ in self.messages if topic == f"flawline/north/area/line/press-2/{last}"]

    def received(self) -> list[str]:
        return [payload["inspection_id"] for payload in self.topic("verdict")]

    def take_away(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._server.kill()

    def bring_back(self) -> None:
        self._server.start()
        self._connect()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class WebListener:
    """A web server that notes what is posted to it, and answers as it is told."""

    secret: str = "s3cret"
    answers: list[int] = field(default_factory=list)  # for the next requests; then 200
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._port = free_ports(1)
        self.target: Target = Webhook(
            gate_of(webhook=f"http://127.0.0.1:{self._port}/hook?a=1"), self.secret, seconds=2.0
        )
        self.bring_back()

    def bring_back(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = owner.answers.pop(0) if owner.answers else 200
                if status == 200:
                    owner.posts.append((dict(self.headers) | {"path": self.path}, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", self._port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def take_away(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def received(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.posts if headers["X-Flawline-Event"] == "route"]


@contextmanager
def listening(kind: str, server: Callable[[], Service]) -> Iterator[Listener]:
    """A listener of that kind; `server` starts a Mosquitto."""
    if kind == "books":
        yield BookListener()
    elif kind == "webhook":
        web = WebListener()
        yield web
        web.take_away()
    else:
        subscriber = MqttListener(server())
        yield subscriber
        subscriber.close()
