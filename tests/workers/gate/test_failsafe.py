"""The fail-safe table of domain.md §3.2, a test for each row, as docs/gate.md prints it.

Where a row is about another process, this file tests what the gate does without it; each such test says where the other
side is tested.
"""

import re
from pathlib import Path

import pytest

from core.verdicts import InvalidReason
from tests.workers.gate.bench import told
from tests.workers.gate.plant import START, Plant
from workers.gate.events import Listening
from workers.gate.image import Coil, Input

ROOT = Path(__file__).resolve().parents[3]
FAILSAFE = "REJECTED_FAILSAFE"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.sqlite"


def run(plant: Plant, seq: int, verdict: str = "", **more: object) -> str:
    """One part from trigger to gate; its route and reason. verdict "": none comes."""
    plant.trigger(seq)
    if verdict:
        plant.hear(told(seq, verdict, **more))
    plant.pass_time(1040)
    (passes,) = plant.results().values()
    found = plant.route_of(seq)
    assert passes == found.startswith("ACCEPTED")
    return found


def test_verdict_late_or_lost(path: Path) -> None:
    """REJECTED_FAILSAFE; the line goes on, and stops at 3 in a row."""
    plant = Plant(path)
    assert run(plant, 1) == f"{FAILSAFE} LATE"
    plant.hear(told(1))
    assert plant.route_of(1) == f"{FAILSAFE} LATE", "the late PASS is evidence"
    assert run(plant, 2) == f"{FAILSAFE} LATE"
    assert plant.stops() == set()
    assert run(plant, 3) == f"{FAILSAFE} LATE"
    assert plant.stops() == {"LATE_VERDICT"}
    assert plant.alarms()["LATE_VERDICT"] == "3 in a row"


def test_more_than_half_a_percent_without_a_verdict(path: Path) -> None:
    """The other half of that row: six of the last thousand."""
    plant = Plant(path, deadline_ms=20)
    seq = 0
    for _ in range(6):
        assert plant.stops() == set()
        for verdict in ("", *["PASS"] * 5):
            seq += 1
            plant.trigger(seq)
            if verdict:
                plant.hear(told(seq, verdict))
            plant.pass_time(40)
            plant.results()
    assert plant.stops() == {"NO_VERDICT_RATE"}


def test_worker_or_gpu_dead(path: Path) -> None:
    """REJECTED_FAILSAFE; after 5 s without any verdict the line is not inspecting and stops.

    That another worker takes the partition, and how soon: tests/line (kills of real workers) and
    tests/core/broker/test_contract.py (a silent member loses its partitions).
    """
    plant = Plant(path, stop_late=0, stop_late_percent=0)
    for seq in range(1, 5):
        assert run(plant, seq) == f"{FAILSAFE} LATE"
    assert plant.stops() == set()
    assert run(plant, 5) == f"{FAILSAFE} LATE"
    assert plant.stops() == {"NOT_INSPECTING"}
    assert plant.on(Input.NOT_INSPECTING)
    plant.order("reset")
    assert run(plant, 6, "PASS") == "ACCEPTED", "the standby worker has taken over"


def test_kafka_down(path: Path) -> None:
    """REJECTED_FAILSAFE, alarm BROKER_DOWN; the gate itself lacks nothing.

    A gate process whose broker is nowhere: test_gate_process.py. The edge spool: tests/core/broker/test_spool*.py.
    """
    plant = Plant(path)
    plant.inbox.put(Listening("no verdicts are heard: kafka does not answer"))
    assert run(plant, 1) == f"{FAILSAFE} LATE"
    assert "kafka does not answer" in plant.alarms()["BROKER_DOWN"]
    assert plant.stops() == set(), "configurable"
    plant.inbox.put(Listening(""))
    assert run(plant, 2, "PASS") == "ACCEPTED"
    assert "BROKER_DOWN" not in plant.alarms()


def test_postgres_down(path: Path) -> None:
    """The gate knows no database: its package imports none. Here a verdict is told only once it is in the books, so
    without the database none comes, and the parts are REJECTED_FAILSAFE.

    That workers wait and skip nothing: tests/workers/test_runtime.py and tests/line.
    """
    sources = [source.read_text() for source in (ROOT / "workers/gate").glob("*.py")]
    assert not any(re.search(r"sqlalchemy|core\.database|core\.records|core\.live", text) for text in sources)
    assert run(Plant(path), 1) == f"{FAILSAFE} LATE"


def test_dashboard_down(path: Path) -> None:
    """No effect: there is no word between them but through the books and the journal."""
    sources = [source.read_text() for source in (ROOT / "workers/gate").glob("*.py")]
    assert not any(re.search(r"dashboard\b.*import|import dashboard|streamlit", text) for text in sources)
    assert run(Plant(path), 1, "PASS") == "ACCEPTED"


def test_camera_lost(path: Path) -> None:
    """No picture, no verdict, REJECTED_FAILSAFE, stop. One lost camera of two is a missing view.

    The alarm CAMERA_LOST itself: the watch, tests/workers/test_watch.py.
    """
    plant = Plant(path, cameras=["top", "side"])
    for seq in range(1, 4):
        plant.trigger(seq)
        plant.hear(told(seq))
        plant.pass_time(1040)
        plant.results()
        assert plant.route_of(seq) == f"{FAILSAFE} VIEW_MISSING"
    assert plant.stops() == {"LATE_VERDICT"}


def test_camera_frozen_or_invalid_three_in_a_row(path: Path) -> None:
    """REJECTED_FAILSAFE; the third stops the line. That a frozen picture is INVALID: tests/ingest/test_gate.py."""
    plant = Plant(path)
    for seq in range(1, 4):
        assert plant.stops() == set()
        assert run(plant, seq, "INVALID", reason="FROZEN") == f"{FAILSAFE} FROZEN"
    assert plant.stops() == {"IMAGE_INVALID_RUN"}


@pytest.mark.parametrize("reason", list(InvalidReason))
def test_light_low_and_every_other_unfit_picture(path: Path, reason: str) -> None:
    """INVALID keeps the part off the line whatever the reason; the light's baseline is ingest's: tests/ingest."""
    assert run(Plant(path), 1, "INVALID", reason=reason) == f"{FAILSAFE} {reason}"


def test_recipe_is_not_the_plc_s_product(path: Path) -> None:
    """No PASS, stop."""
    plant = Plant(path, product_codes={"ring": 1, "board": 2})
    plant.trigger(1, product_code=2)
    plant.hear(told(1))
    plant.pass_time(1040)
    assert plant.results() == {1: False}
    assert plant.route_of(1) == f"{FAILSAFE} RECIPE_MISMATCH"
    assert plant.stops() == {"WRONG_PRODUCT"}


@pytest.mark.parametrize(("unqualified", "route"), [("withhold", f"{FAILSAFE} NOT_QUALIFIED"), ("flag", "ACCEPTED")])
def test_challenge_overdue(path: Path, unqualified: str, route: str) -> None:
    """PASS withheld, or only flagged: the site's choice."""
    plant = Plant(path, challenge_hours=10 / 3600, unqualified=unqualified)
    assert run(plant, 1, "PASS") == "ACCEPTED"
    plant.pass_time(8_500)
    assert plant.on(Input.CHALLENGE_DUE)
    plant.pass_time(1_000)
    assert run(plant, 2, "PASS") == route
    assert plant.on(Input.NOT_QUALIFIED)
    assert "CHALLENGE_OVERDUE" in plant.alarms()


def test_challenge_failed(path: Path) -> None:
    """The same, from the moment on when somebody says so."""
    plant = Plant(path)
    plant.order("disqualify")
    assert run(plant, 1, "PASS") == f"{FAILSAFE} NOT_QUALIFIED"


@pytest.mark.parametrize("jump", [-86_400, 86_400, -START // 10**9 + 1])
def test_clock_jump(path: Path, jump: int) -> None:
    """Deadlines are unaffected: the PASS in time accepts, the late one does not, and the duration on record is true."""
    plant = Plant(path)
    plant.trigger(1)
    plant.wall += jump * 10**9
    plant.hear(told(1))
    plant.pass_time(999)
    assert plant.results() == {}
    plant.pass_time(40)
    assert plant.results() == {1: True}
    (part,) = plant.routes()
    assert 0 < part.commanded_at - part.triggered_at < 1_100_000_000
    plant.trigger(2)
    plant.pass_time(1040)
    plant.hear(told(2))
    assert plant.results() == {2: False}


def test_disk_full(path: Path) -> None:
    """A journal that cannot be written withholds PASS, rejects go on, and nothing is forgotten once there is room.

    Levels of 85 and 95 %, and that pictures go before rows: tests/workers/test_housekeeping.py, test_watch.py.
    """
    plant = Plant(path)
    pages = plant.journal._raw.execute("PRAGMA page_count").fetchone()[0]
    plant.journal._raw.execute(f"PRAGMA max_page_count = {pages}")  # as SQLite meets a full disk
    seqs = range(1, 60)
    for seq in seqs:
        plant.trigger(seq)
        plant.hear(told(seq))
        plant.pass_time(1040)
        plant.results()
        if plant.on(Input.FAULT):
            break
    assert "full" in plant.alarms()["GATE_FAULT"]
    assert seq < seqs[-1]
    plant.trigger(seq + 1)
    plant.hear(told(seq + 1))
    plant.pass_time(1040)
    assert plant.results() == {seq + 1: False}
    plant.journal._raw.execute("PRAGMA max_page_count = 1000000")
    plant.pass_time(500)
    assert sorted(part.trigger_seq for part in plant.routes()) == list(range(1, seq + 2))
    assert run(plant, seq + 2, "PASS") == "ACCEPTED"


def test_bypass_active(path: Path) -> None:
    """ACCEPTED_BYPASS, marked, by its own flag, until its end; then nothing passes before a challenge."""
    plant = Plant(path)
    plant.order("bypass", minutes=0.1, control="two people look")
    assert plant.on(Input.BYPASS)
    assert run(plant, 1, "FAIL") == "ACCEPTED_BYPASS"
    assert run(plant, 2) == "ACCEPTED_BYPASS LATE"
    part = plant.routes()[0]
    assert part.bypass.startswith("lead-")
    assert "BYPASS" in part.flags
    assert "lead" in plant.alarms()["BYPASS_ACTIVE"]
    plant.pass_time(6_000)
    assert not plant.on(Input.BYPASS)
    assert run(plant, 3, "PASS") == f"{FAILSAFE} NOT_QUALIFIED"
    assert "BYPASS_EXPIRED" in plant.alarms()
    plant.order("qualify")
    assert run(plant, 4, "PASS") == "ACCEPTED"


def test_power_cycle(path: Path) -> None:
    """What was under way is rejected; the gate is not qualified until a challenge passes; a bypass is over."""
    plant = Plant(path)
    plant.order("bypass", minutes=10, control="two people look")
    plant.trigger(1)
    plant.hear(told(1))
    plant.journal.close()
    again = Plant(path, qualified=False)
    assert again.route_of(1) == f"{FAILSAFE} POWER_CYCLE"
    assert (again.on(Input.NOT_QUALIFIED), again.on(Input.BYPASS)) == (True, False)
    again.hear(told(1))
    assert run(again, 2, "PASS") == f"{FAILSAFE} NOT_QUALIFIED"
    again.order("qualify")
    assert run(again, 3, "PASS") == "ACCEPTED"


def test_plc_silent(path: Path) -> None:
    """Not in the table, but of its kind: a PLC whose heart stands still gets FAULT and no PASS."""
    plant = Plant(path)
    plant.beats = False
    plant.pass_time(2_100)
    assert run(plant, 1, "PASS") == f"{FAILSAFE} INTERNAL_ERROR"
    assert plant.on(Input.FAULT)
    plant.beats = True
    plant.pass_time(100)
    assert run(plant, 2, "PASS") == "ACCEPTED"


@pytest.mark.parametrize("coil", [Coil.BIN_FULL, Coil.LOW_AIR])
def test_a_gate_that_cannot_reject_asks_for_a_stop(path: Path, coil: Coil) -> None:
    """MI-5."""
    plant = Plant(path)
    plant.write(coil, on=True)
    assert plant.stops() == {coil.name}


def test_the_manual_prints_each_row_of_the_table() -> None:
    rows = ("verdict late or lost", "worker or GPU dead", "Kafka down", "PostgreSQL down", "dashboard down",
            "camera lost", "camera frozen, INVALID 3 in a row", "light below 85 %", "product judged is not the PLC's",
            "challenge overdue or failed", "clock jumps", "disk full", "bypass active", "power cycle")  # fmt: skip
    manual = (ROOT / "docs/gate.md").read_text()
    assert [row for row in rows if f"| {row}" not in manual] == []
