"""Tells an MQTT broker: verdicts, alarms, and the gate's state, which its last will takes back (domain.md §10.2).

flawline/SITE/AREA/LINE/STATION/verdict  QoS 1, not retained
flawline/SITE/AREA/LINE/STATION/state    QoS 1, retained; last will: NOT_INSPECTING
flawline/SITE/AREA/LINE/STATION/alarm    QoS 1, not retained
"""

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from core.errors import StoreUnavailable
from core.gates import Gate
from core.verdicts import LineState
from workers.gate.journal import Entry
from workers.gate.telling import TOLD, place, told_of

SECONDS = 5.0
PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt:
    """One connection, made again for ever by its own thread."""

    name = "mqtt"

    def __init__(self, gate: Gate, password: str = "", *, seconds: float = SECONDS) -> None:
        self._gate, self._seconds = gate, seconds
        self._lock = threading.Lock()
        self._state = self._gone("starting")
        parts = urlsplit(gate.mqtt)
        self._where = f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"flawline-{gate.station}-{gate.name}")
        self._client.will_set(self.topic("state"), self._gone("lost"), qos=1, retain=True)
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), password or unquote(parts.password or "") or None)
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.reconnect_delay_set(1, 15)
        self._client.on_connect = lambda *_: self._show()
        self._client.connect_async(parts.hostname or "", parts.port or PORTS[parts.scheme], keepalive=10)
        self._client.loop_start()

    def topic(self, last: str) -> str:
        """The gate's topic of that kind."""
        gate = self._gate
        return f"flawline/{gate.site}/{gate.area}/{gate.line}/{gate.station}/{last}"

    def show(self, state: Mapping[str, Any]) -> None:
        """The gate's state, now and after every reconnection; never waits."""
        with self._lock:
            self._state = json.dumps(place(self._gate) | dict(state))
        self._show()

    def deliver(self, entry: Entry) -> None:
        """Return when the broker has it. Raises StoreUnavailable."""
        if entry.kind not in TOLD:
            return
        if not self._client.is_connected():  # the client would queue it without bound
            raise StoreUnavailable(f"MQTT broker {self._where} is not connected")
        kind = "verdict" if entry.kind == "route" else "alarm"
        sent = self._client.publish(self.topic(kind), json.dumps(told_of(self._gate, entry)), qos=1)
        try:
            sent.wait_for_publish(self._seconds)
        except (RuntimeError, ValueError) as problem:
            raise StoreUnavailable(f"MQTT broker {self._where}: {problem}") from problem
        if not sent.is_published():
            raise StoreUnavailable(f"MQTT broker {self._where} did not acknowledge within {self._seconds:g} s")

    def close(self) -> None:
        """Say that nobody inspects any more, and leave; the last will is for those who cannot."""
        with self._lock:
            self._state = self._gone("stopped")
        if self._client.is_connected():
            self._client.publish(self.topic("state"), self._state, qos=1, retain=True).wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _show(self) -> None:
        with self._lock:
            state = self._state
        if self._client.is_connected():
            self._client.publish(self.topic("state"), state, qos=1, retain=True)

    def _gone(self, why: str) -> str:
        return json.dumps(place(self._gate) | {"line_state": LineState.NOT_INSPECTING, "detail": why})
