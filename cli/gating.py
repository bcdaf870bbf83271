"""What the gate's commands do: run one gate, order it something, show its state, play its PLC."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import parts
from cli.console import err, escape, out, write_json
from core.broker.open import open_broker
from core.errors import NotAllowed, SettingsInvalid, StoreUnavailable
from core.gates import Gate
from core.health import Health
from core.health_server import serve_health
from core.line import read_line
from core.metrics_open import open_metrics
from core.settings import Settings, read_settings, secret
from core.times import utc_of

if TYPE_CHECKING:
    from workers.gate.journal import Journal
    from workers.gate.report import Report
    from workers.gate.simulated_plc import Mishap

HEARD_WITHIN = 3.0  # s: the gate reads its orders five times a second
HANGS_AFTER = 5.0  # s: one turn takes 20 ms


def run_one_gate(name: str, line_file: Path | None, *, supervised: bool, ready: Path | None) -> None:
    """Run a gate until asked to stop."""
    from workers.gate.report import Report
    from workers.gate.running import Means, journal_path, run_gate
    from workers.supervisor import end_with_parent

    settings, stop = parts.begin()
    if supervised:
        end_with_parent(sys.stdin.fileno())
    line = read_line(line_file or settings.line_path)
    gate = line.find_gate(name)
    means = Means(
        journal_path(settings.data, name),
        lambda: open_broker(settings),
        cameras_m={camera: line.find(camera).distance_m for camera in gate.cameras},
        mqtt_password=_secret_in(gate.mqtt_password_file),
        webhook_secret=_secret_in(gate.webhook_secret_file),
    )
    metrics = open_metrics(settings.metrics, role="gate", name=name)
    health = Health(within=HANGS_AFTER)

    def is_ready() -> None:
        health.ready()
        if ready:
            ready.parent.mkdir(parents=True, exist_ok=True)
            ready.touch()

    def turned(report: Report | None) -> None:
        health.turned()
        if report:
            metrics.gauges(_figures(report))

    # no live cache: a beat waits for a socket, and this loop waits for nobody
    with serve_health(settings.metrics, metrics, health, who=f"gate {name}"):
        run_gate(gate, means, stop, ready=is_ready, turned=turned)


def order_gate(name: str, line_file: Path | None, order: dict[str, Any]) -> None:
    """Give a running gate an order and wait until it has read it. Raises NotAllowed when none runs."""
    settings = read_settings()
    gate = read_line(line_file or settings.line_path).find_gate(name)
    if order["kind"] == "bypass" and not 0 < order["minutes"] <= gate.bypass_most_minutes:
        raise NotAllowed(f"gate {name} allows a bypass of at most {gate.bypass_most_minutes:g} minutes")
    with _journal_of(settings, name) as journal:
        number = journal.order(order)
        limit = time.monotonic() + HEARD_WITHIN
        while not journal.is_taken(number):
            if time.monotonic() > limit and journal.withdraw(number):
                raise NotAllowed(f"gate {name} does not run, or hangs: it has not read the order, which is taken back")
            time.sleep(0.05)
    out.print(f"gate {name} has read it: {order['kind']} by {escape(order['who'])}")


def show_gate(name: str, json_file: Path | None) -> None:
    """A gate's last report."""
    with _journal_of(read_settings(), name) as journal:
        report = journal.recall("report")
        backlog = journal.backlog()
    if report is None:
        raise StoreUnavailable(f"gate {name} has not reported yet")
    report["backlog"] = backlog
    report["age_seconds"] = round((time.time_ns() - report["at"]) / 1e9, 1)
    if json_file:
        write_json(report, json_file)
        return
    out.print(f"gate {name}: {report['line_state']} at {utc_of(report['at']):%H:%M:%S} UTC", highlight=False)
    if report["age_seconds"] > HEARD_WITHIN:
        out.print(f"[red]it has not reported for {report['age_seconds']:.0f} s: does `flawline worker gate` run?[/red]")
    rows: list[tuple[str, Iterable[str]]] = [
        ("flags", report["flags"]),
        ("alarm", (f"{kind}: {why}" for kind, why in report["alarms"].items())),
        ("asks for a stop", (f"{kind}: {why}" for kind, why in report["stop"].items())),
        ("counters", (f"{name} {n}" for name, n in report["counters"].items())),
        ("not told", (f"{who} lacks {n}" for who, n in backlog.items() if n)),
    ]
    for title, said in rows:
        for each in said:
            out.print(f"{title:>16}  {escape(each)}", highlight=False)


def play_plc(gate: Gate, trial: dict[str, Any], mishaps: Iterable[str], json_file: Path | None) -> None:
    """Run parts past a gate and say what became of them."""
    from workers.gate.simulated_plc import SimulatedPlc, Trial, run_belt

    travel = (gate.budget_ms + gate.slack_ms) / 1000
    with SimulatedPlc(gate.modbus_address) as plc:
        wanted = Trial(
            **trial,
            travel=travel,
            has_sensor=gate.reject_sensor,
            mishaps=read_mishaps(mishaps),
            counts_per_s=gate.fastest_m_s * gate.counts_per_m,
        )
        err.print(f"{wanted.parts} parts at {wanted.rate:g} a second, {travel:.2f} s from trigger to gate")
        counts = run_belt(plc, wanted).counts()
    if json_file:
        write_json(counts, json_file)
        return
    for name, n in counts.items():
        out.print(f"{name.replace('_', ' '):>16}  {n}", highlight=False)


def read_mishaps(texts: Iterable[str]) -> dict[int, list["Mishap"]]:
    """`kind@part` texts by part. Raises SettingsInvalid for what nobody can mean."""
    from workers.gate.simulated_plc import Mishap

    found: dict[int, list[Mishap]] = defaultdict(list)
    for text in texts:
        kind, _, part = text.partition("@")
        try:
            found[int(part)].append(Mishap(kind))
        except ValueError as problem:
            known = ", ".join(Mishap)
            raise SettingsInvalid(
                f"mishap {text!r}: write KIND@PART with a part from 0 and one of {known}"
            ) from problem
    return dict(found)


def _journal_of(settings: Settings, name: str) -> "Journal":
    from workers.gate.journal import Journal
    from workers.gate.running import journal_path

    path = journal_path(settings.data, name)
    if not path.exists():
        raise StoreUnavailable(f"gate {name} has no journal at {path}; it never ran with this data folder")
    return Journal(path, busy_seconds=5.0)


def _figures(report: "Report") -> dict[str, float]:
    figures = {f"gate_{name}": float(n) for name, n in report.to_dict()["counters"].items()}
    return figures | {"gate_in_flight": float(report.in_flight), "gate_alarms": float(len(report.alarms))}


def _secret_in(file: Path | None) -> str:
    from pydantic import SecretStr

    return secret(SecretStr(""), file)
