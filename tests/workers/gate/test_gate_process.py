"""A real gate process, a simulated PLC over Modbus, verdicts over a real log: end to end, with kills and outages."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.gating import read_mishaps
from cli.main import main
from cli.services.service import free_ports
from core.broker.local import LocalBroker
from core.broker.protocol import Topic
from core.errors import SettingsInvalid
from core.gate_messages import read
from core.gates import Gate
from core.line import Camera, line_of
from core.messages import ROUTES, VERDICTS, PartRouted
from tests.conftest import OwnServers
from tests.workers.gate.bench import told
from tests.workers.gate.listeners import MqttListener, WebListener, until
from workers.gate.image import Input
from workers.gate.journal import Journal
from workers.gate.orders import QUALIFY, ordered
from workers.gate.running import journal_path
from workers.gate.simulated_plc import Mishap, SimulatedPlc, Travelling, Trial, run_belt

PATIENCE = 60.0
FAILSAFE = "REJECTED_FAILSAFE"


class Plant:
    """One gate in one folder, run by `flawline worker gate`."""

    def __init__(self, data: Path, **gate: object) -> None:
        self.data = data
        values = {"name": "g", "cameras": ["top"], "deadline_ms": 500, "modbus": f"127.0.0.1:{free_ports(1)}"}
        self.gate = Gate.model_validate(values | gate)
        camera = Camera(name="top", product="ring", source="simulator:ring")
        (data / "line.toml").write_text(line_of([camera], gates=[self.gate]).to_toml())
        self.broker_url = "local:"
        self.frame = 0

    @property
    def log(self) -> Path:
        return self.data / "log.sqlite"

    def make_topics(self) -> None:
        with LocalBroker(self.log) as broker:
            broker.apply([Topic(VERDICTS, 1), Topic(ROUTES, 1)])

    def flawline(self, *arguments: str) -> "subprocess.Popen[bytes]":
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLAWLINE_")}
        own = {"FLAWLINE_DATA": str(self.data), "FLAWLINE_BROKER__URL": self.broker_url}
        with (self.data / "said.log").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments], env=inherited | own, stdin=subprocess.DEVNULL, stdout=said,
                stderr=said)  # fmt: skip

    def do(self, *arguments: str) -> int:
        return self.flawline(*arguments).wait(PATIENCE)

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        ready = self.data / "ready"
        ready.unlink(missing_ok=True)
        process = self.flawline("worker", "gate", "g", "--ready", str(ready))
        try:
            until(lambda: ready.exists() or process.poll() is not None, "the gate to start")
            assert process.poll() is None, self.said()
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(PATIENCE)

    def qualify(self) -> None:
        """As `flawline gate qualify` does it."""
        with Journal(journal_path(self.data, "g"), busy_seconds=5.0) as journal:
            order = journal.order(ordered(QUALIFY, who="lead", why="challenge passed"))
            until(lambda: journal.is_taken(order), "the gate to read its order")

    def say(self, part: int, verdict: str = "PASS") -> None:
        self.frame += 1
        with LocalBroker(self.log) as broker, broker.producer() as producer:
            producer.send(VERDICTS, told(part, verdict, seq=self.frame).to_json(), partition=0)

    def routes(self) -> dict[int, str]:
        """What the books were told, by trigger number: route and reason. No trigger twice."""
        found: dict[int, str] = {}
        with LocalBroker(self.log) as broker, broker.consumer(ROUTES, group=f"t{time.time_ns()}") as consumer:
            while messages := consumer.poll(0.05, most=256):
                for message in messages:
                    part = read(message.value)
                    if not isinstance(part, PartRouted):
                        continue
                    word = f"{part.route} {part.reason}".strip()
                    assert found.setdefault(part.trigger_seq, word) == word
        return found

    def report(self) -> Any:
        with Journal(journal_path(self.data, "g"), busy_seconds=5.0) as journal:
            return journal.recall("report")

    def lacks(self, target: str) -> int:
        with Journal(journal_path(self.data, "g"), busy_seconds=5.0) as journal:
            return journal.backlog()[target]

    def said(self) -> str:
        return (self.data / "said.log").read_text(errors="replace")[-4000:]


@contextmanager
def plc_of(plant: Plant) -> Iterator[SimulatedPlc]:
    """A PLC at the gate whose heart has begun to beat."""
    with SimulatedPlc(plant.gate.modbus_address) as plc:
        scan(plc, 0.3)
        yield plc


def scan(plc: SimulatedPlc, seconds: float) -> None:
    """Let the PLC cycle for so long."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        plc.scan()
        time.sleep(0.005)


def until_heard(plc: SimulatedPlc, plant: Plant) -> None:
    """Wait until the gate hears verdicts: its broker alarm is gone."""
    limit = time.monotonic() + PATIENCE
    while 'verdicts are heard"' not in plant.said():
        assert time.monotonic() < limit, plant.said()
        plc.scan()
        time.sleep(0.02)


def at_gate(plc: SimulatedPlc, parts: list[Travelling]) -> list[bool]:
    """Let the parts travel past their deadline, then act on each."""
    limit = time.monotonic() + PATIENCE
    while any(part.answer is None for part in parts) and time.monotonic() < limit:
        plc.scan()
        time.sleep(0.005)
    return [plc.at_gate(part) for part in parts]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_a_day_in_the_life_of_a_gate(plant: Plant) -> None:
    """PASS in time is accepted; FAIL, late and missing are rejected; a killed gate rejects what was under way."""
    plant.make_topics()
    plant.say(1)  # yesterday's
    with plant.running() as process, plc_of(plant) as plc:
        until_heard(plc, plant)
        plant.qualify()
        scan(plc, 0.3)
        good, bad, missing, stale = (plc.trigger(seq) for seq in (10, 11, 12, 13))
        plant.say(10)
        plant.say(11, "FAIL")
        assert at_gate(plc, [good, bad, missing, stale]) == [True, False, False, False]
        plant.say(12)  # too late
        plc.trigger(14)
        plant.say(14)
        scan(plc, 0.2)  # heard, and under way
        process.kill()
        process.wait(PATIENCE)
    with plant.running(), plc_of(plant) as plc:
        until_heard(plc, plant)
        unproved = plc.trigger(15)
        plant.say(15)
        assert at_gate(plc, [unproved]) == [False], "not qualified after a power cycle"
        plant.qualify()
        scan(plc, 0.3)
        again = plc.trigger(16)
        plant.say(16)
        assert at_gate(plc, [again]) == [True]
        until(lambda: 16 in plant.routes(), "the books to be told")
        report = plant.report()
    assert plant.routes() == {
        10: "ACCEPTED", 11: "REJECTED", 12: f"{FAILSAFE} LATE", 13: f"{FAILSAFE} LATE",
        14: f"{FAILSAFE} POWER_CYCLE", 15: f"{FAILSAFE} NOT_QUALIFIED", 16: "ACCEPTED",
    }  # fmt: skip
    assert report["steps"] == {"NEXT": 2}, "the sequence went on"


@pytest.mark.parametrize("url", ["kafka://127.0.0.1:1", "local:/proc/no/log.sqlite"])
def test_a_gate_without_a_broker_starts_and_rejects_everything(plant: Plant, url: str) -> None:
    """Nobody at that port, no place for a log: the gate needs none of it, and ends when asked."""
    plant.broker_url = url
    with plant.running() as process, plc_of(plant) as plc:
        plant.qualify()
        scan(plc, 0.3)
        parts = [plc.trigger(seq) for seq in (1, 2, 3)]
        assert at_gate(plc, parts) == [False] * 3
        assert [part.answer.code for part in parts if part.answer] == [5] * 3
        scan(plc, 0.5)
        assert plc.inputs[Input.STOP_REQUEST]
        assert plant.lacks("books") >= 3
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_broker_that_goes_away_costs_parts_and_never_a_record(plant: Plant) -> None:
    plant.make_topics()
    with plant.running(), plc_of(plant) as plc:
        until_heard(plc, plant)
        plant.qualify()
        scan(plc, 0.3)
        first = plc.trigger(1)
        plant.say(1)
        assert at_gate(plc, [first]) == [True]
        until(lambda: 1 in plant.routes(), "the books to be told")
        away = plant.data / "away"
        away.mkdir()
        for file in plant.data.glob("log.sqlite*"):
            file.rename(away / file.name)
        second = plc.trigger(2)
        assert at_gate(plc, [second]) == [False]
        until(lambda: "books" in plant.report()["troubles"], "the gate to notice")
        for file in away.iterdir():
            file.rename(plant.data / file.name)
        until(lambda: plant.routes().get(2) == f"{FAILSAFE} LATE", "the books to be told what they missed")


def test_a_frozen_gate_gives_no_pass_and_lies_to_nobody_when_it_thaws(plant: Plant) -> None:
    plant.make_topics()
    with plant.running() as process, plc_of(plant) as plc:
        until_heard(plc, plant)
        plant.qualify()
        scan(plc, 0.3)
        part = plc.trigger(1)
        plant.say(1)
        scan(plc, 0.2)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.0)  # past the deadline and the margin
        assert plc.at_gate(part) is False
        os.kill(process.pid, signal.SIGCONT)
        scan(plc, 1.0)
        until(lambda: 1 in plant.routes(), "the books to be told")
        assert plant.routes()[1] in {f"{FAILSAFE} LATE", "UNCONFIRMED LATE"}


def test_a_belt_on_which_much_goes_wrong(plant: Plant) -> None:
    """A PASS for every part that is announced; only those whose trigger was in order go by."""
    plant.make_topics()
    mishaps = {2: [Mishap.SKIP], 4: [Mishap.DOUBLE], 6: [Mishap.STRAY], 8: [Mishap.NO_ACK]}
    with plant.running(), plc_of(plant) as plc:
        until_heard(plc, plant)
        plant.qualify()
        scan(plc, 0.3)
        trial = Trial(parts=8, rate=10, travel=0.8, mishaps=mishaps)
        belt = run_belt(plc, trial, on_trigger=lambda part: plant.say(part.seq))
        until(lambda: len(plant.routes()) >= 8, "the books to be told")
        found = plant.routes()
    assert {part.seq: part.accepted for part in belt.parts} == {
        1: True, 2: True, 4: True, 5: False, 6: True, 7 ^ 0x4000_0000: False, 8: True,
    }  # fmt: skip
    assert belt.counts()["rejected"] == 3
    wrong = {3, 5, 7 ^ 0x4000_0000}
    assert {seq for seq, word in found.items() if word == f"{FAILSAFE} TRIGGER_ERROR"} == wrong | {7}
    assert {seq for seq, word in found.items() if word == "ACCEPTED"} == {1, 2, 4, 6, 8}


def test_a_plc_that_acknowledges_nothing_any_more_gets_a_stop_request(tmp_path: Path) -> None:
    plant = Plant(tmp_path, confirm_ms=200)
    with plant.running(), plc_of(plant) as plc:
        belt = run_belt(plc, Trial(parts=3, rate=10, travel=1.2, mishaps={0: [Mishap.NO_ACK, Mishap.BIN_FULL]}))
        assert belt.counts()["accepted"] == 0
        assert belt.stops > 0
        scan(plc, 0.5)
        assert {"GATE_UNCONFIRMED", "BIN_FULL"} <= plant.report()["stop"].keys()


def test_the_simulated_plc_can_be_played_from_the_command_line(plant: Plant) -> None:
    out = plant.data / "belt.json"
    with plant.running():
        played = ("--parts", "3", "--rate", "10", "--mishap", "skip@1", "--json", str(out))
        assert plant.do("gate", "simulate-plc", "g", *played) == 0, plant.said()
        assert plant.do("gate", "state", "g", "--json", str(plant.data / "state.json")) == 0
    counts = json.loads(out.read_text())
    assert (counts["parts"], counts["triggered"], counts["accepted"], counts["rejected"]) == (3, 2, 0, 3)
    state = json.loads((plant.data / "state.json").read_text())
    assert state["counters"]["triggers"] == 3
    assert state["backlog"]["books"] >= 3
    assert state["age_seconds"] < 10


def test_listeners_hear_of_routes_alarms_and_the_end_from_a_real_gate(tmp_path: Path, own_servers: OwnServers) -> None:
    mqtt = MqttListener(own_servers("mosquitto")["mosquitto"])
    mqtt.mqtt.close()
    web = WebListener()
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    address = f"http://127.0.0.1:{web._port}/hook"
    place = {"site": "north", "station": "press-2"}
    plant = Plant(tmp_path, webhook=address, webhook_secret_file=str(secret), mqtt=mqtt._server.url, **place)
    with plant.running() as process:
        with plc_of(plant) as plc:
            part = plc.trigger(1)
            at_gate(plc, [part])
            scan(plc, 0.3)
            until(lambda: web.received() and mqtt.received(), "the route")
            until(lambda: mqtt.topic("state")[-1].get("counters", {}).get("triggers"), "the state")
            assert mqtt.topic("state")[-1]["line_state"] == "DEGRADED"
        process.kill()
        process.wait(PATIENCE)
        until(lambda: mqtt.topic("state")[-1].get("detail") == "lost", "the last will")
    mqtt.close()
    assert web.received() == mqtt.received()
    kinds = {json.loads(body)["kind"] for headers, body in web.posts if headers["X-Flawline-Event"] == "alarm"}
    web.take_away()
    assert "CHALLENGE_DUE" in kinds
    assert "LATE_VERDICT" in kinds


Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said_to(plant: Plant, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """Runs `flawline gate …` in this process, which is quicker: its exit code and words."""
    monkeypatch.setenv("FLAWLINE_DATA", str(plant.data))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["flawline", "gate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), " ".join((told.out + told.err).split())

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("state", "g"), "never ran with this data folder"),
        (("qualify", "g", "--who", "lead", "--why", "passed"), "never ran with this data folder"),
        (("qualify", "other", "--who", "lead", "--why", "passed"), "the line has no gate"),
        (("simulate-plc", "g"), "no gate answers"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(said_to: Said, arguments: tuple[str, ...], said: str) -> None:
    code, words = said_to(*arguments)
    assert code in {2, 3}
    assert said in words


def test_a_mishap_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="one of skip, double"):
        read_mishaps(["rain@1"])
    assert read_mishaps(["skip@1", "double@1"]) == {1: [Mishap.SKIP, Mishap.DOUBLE]}


def test_orders_reach_a_gate_and_stand_for_somebody(plant: Plant, said_to: Said) -> None:
    who = ("--who", "A. Lead", "--why", "cleaning")
    with plant.running(), plc_of(plant):
        assert said_to("bypass", "g", *who, "--minutes", "500", "--control", "c")[1].endswith("at most 60 minutes")
        assert said_to("bypass", "g", *who)[0] == 2
        assert said_to("bypass", "g", *who, "--control", "two people") == (0, "gate g has read it: bypass by A. Lead")
        until(lambda: "BYPASS_ACTIVE" in plant.report()["alarms"], "the bypass")
        code, words = said_to("state", "g")
        assert code == 0
        assert "BYPASS_ACTIVE: by A. Lead: cleaning" in words
        assert said_to("bypass", "g", *who, "--minutes", "0")[0] == 0
        assert said_to("reset", "g", "--who", " ", "--why", "w")[0] == 2
        assert said_to("reset", "g", *who)[0] == 0
        assert said_to("qualify", "g", "--failed", *who)[1] == "gate g has read it: disqualify by A. Lead"
    assert "taken back" in said_to("qualify", "g", *who)[1]


def test_a_gate_that_follows_its_belt_waits_out_a_line_stop_and_accepts_nothing_once_the_encoder_lost_count(
    tmp_path: Path,
) -> None:
    """A PASS for every part. The belt stands for two seconds at the second one, and loses count at the eighth."""
    by_belt = {"deadline_ms": 0, "distance_m": 1, "fastest_m_s": 1, "counts_per_m": 2000, "margin_ms": 300}
    plant = Plant(tmp_path, **by_belt)
    plant.make_topics()
    with plant.running(), plc_of(plant) as plc:
        until_heard(plc, plant)
        plant.qualify()
        scan(plc, 0.3)
        mishaps = {1: [Mishap.STAND], 7: [Mishap.ENCODER_RESET]}
        trial = Trial(parts=8, rate=4, travel=1.0, counts_per_s=2000, mishaps=mishaps)
        belt = run_belt(plc, trial, on_trigger=lambda part: plant.say(part.seq))
        until(lambda: len(plant.routes()) >= 8, "the books to be told")
        found = plant.routes()
        assert "encoder" in plant.report()["alarms"]["GATE_FAULT"]
    accepted = {part.seq: part.accepted for part in belt.parts}
    assert [accepted[seq] for seq in (1, 2, 3, 6, 7, 8)] == [True] * 3 + [False] * 3
    assert [found[seq] for seq in (1, 2, 3)] == ["ACCEPTED"] * 3
    assert all(found[seq].startswith(FAILSAFE) for seq in (6, 7, 8))
    waited = [part.answer.after for part in belt.parts[:2] if part.answer]
    assert min(waited) > 2.0, "by time their deadline would have run out"
