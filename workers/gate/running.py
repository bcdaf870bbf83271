"""Puts one gate together from its table and runs it: image, Modbus, journal, ears, and those who are told."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from core.broker.protocol import Broker
from core.gates import Gate
from core.stop import Stop
from workers.gate.books import Books
from workers.gate.hearing import Hearing
from workers.gate.image import Image
from workers.gate.journal import Journal
from workers.gate.modbus import ModbusServer
from workers.gate.mqtt import Mqtt
from workers.gate.process import Around, GateLoop, Inbox
from workers.gate.report import Report
from workers.gate.sender import Sender, Target
from workers.gate.webhook import Webhook

log = logging.getLogger(__name__)


def journal_path(data: Path, gate: str) -> Path:
    """Where a gate keeps its journal in the data folder."""
    return data / "gates" / f"{gate}.sqlite"


@dataclass(frozen=True)
class Means:
    """What a gate is given from outside: its journal's path, how to reach the broker, where its cameras are, secrets.

    cameras_m: metres from the trigger to each camera along the belt.
    """

    journal: Path
    open_broker: Callable[[], Broker]
    cameras_m: Mapping[str, float] = field(default_factory=dict)
    mqtt_password: str = ""
    webhook_secret: str = ""


def run_gate(
    gate: Gate, means: Means, stop: Stop, *, ready: Callable[[], None] = lambda: None,
    turned: Callable[[Report | None], None] = lambda _: None,
) -> None:  # fmt: skip
    """Run a gate until asked to stop. Raises SettingsInvalid or StoreUnavailable when it cannot start.

    turned: after each turn, with None, and a few times a second with the gate's state.
    """
    inbox = Inbox()
    image = Image(inbox.put)
    with ExitStack() as parts:
        journal = parts.enter_context(Journal(means.journal))
        mqtt = Mqtt(gate, means.mqtt_password) if gate.mqtt else None
        targets: list[Target] = [Books(means.open_broker)]
        targets += [mqtt] if mqtt else []
        targets += [Webhook(gate, means.webhook_secret)] if gate.webhook else []
        journal.targets(target.name for target in targets)
        senders = {target.name: Sender(means.journal, target) for target in targets}
        hearing = Hearing(means.open_broker, f"gate-{gate.name}", inbox.put)

        def show(report: Report) -> None:
            turned(report)
            if mqtt:
                mqtt.show(report.to_dict())

        def wake() -> None:
            for sender in senders.values():
                sender.wake()

        server = ModbusServer(image, gate.modbus_address)
        around = Around(
            wake=wake, show=show, troubles=lambda: _troubles(senders),
            dead=lambda: [name for name, is_alive in (("modbus", server.is_alive), ("hearing", hearing.is_alive))
                          if not is_alive],
            cameras_m=means.cameras_m,
        )  # fmt: skip
        loop = GateLoop(gate, image, journal, inbox, around=around)  # first of all: what was under way gets its route
        for sender in senders.values():
            sender.start()
            parts.callback(sender.close)
        hearing.start()
        parts.callback(hearing.close)
        parts.enter_context(server)
        log.info("gate %s rejects what is not proved good; PLC at %s", gate.name, gate.modbus)
        loop.turn(0)
        ready()
        loop.run(stop, lambda: turned(None))


def _troubles(senders: dict[str, Sender]) -> dict[str, str]:
    return {name: sender.trouble for name, sender in senders.items() if sender.trouble}
