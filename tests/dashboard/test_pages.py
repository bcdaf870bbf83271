"""Each view by what a person reads, run by Streamlit itself."""

import json
import re
import sqlite3
from html import unescape
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from core.alarms import Cause, Kind
from core.records import alerts
from core.records.models import versions
from dashboard import acknowledging, words
from dashboard.serve import build_app, options
from migrations.upgrade import upgrade
from tests.dashboard import seed
from tests.dashboard.conftest import NOON, Home
from tests.dashboard.seed import Plant
from tests.dashboard.test_drawing import read

DASHBOARD = Path(__file__).parent.parent.parent / "dashboard"
VIEWS = ("line", "review", "models")


def run(page: str) -> AppTest:
    return AppTest.from_file(DASHBOARD / page, default_timeout=60).run()


def view(name: str) -> AppTest:
    return run(f"views/{name}.py")


def said(page: AppTest) -> str:
    """All that stands on a page: HTML, what the components were given, and Streamlit's own texts."""
    parts = [block.proto.body for block in page.get("html")]
    for component in page.get("bidi_component"):
        slots = json.loads(component.proto.json)["slots"]
        parts += list(slots.values())
    parts += [button.label for button in page.button] + [warning.value for warning in page.warning]
    return unescape(read(" ".join(parts)))


def calm(page: AppTest) -> None:
    """No traceback and no red box."""
    assert not page.exception
    assert not page.error


def test_the_entry_shows_the_bar_and_the_line(line: Plant, at_home: Home) -> None:
    at_home.at(line.settings)
    page = run("main.py")
    calm(page)
    shown = said(page)
    assert "flawline" in shown
    assert "ring, board, weave · model" in shown
    assert "shift ·" in shown
    assert "board-side" in shown


def test_the_line_says_what_each_camera_does(line: Plant, at_home: Home) -> None:
    at_home.at(line.settings)
    page = view("line")
    calm(page)
    shown = said(page)
    for name in seed.NAMES[:4]:
        assert name in shown
    assert "NOT INSPECTING" in shown  # nothing has reported since the seeded noon
    assert "Its parts are rejected." in shown
    assert words.ATTENTION in shown


def lost(plant: Plant, *cameras: str) -> None:
    causes = [Cause(kind=Kind.CAMERA_LOST, subject=name, what=f"{name} is lost", why="", do="") for name in cameras]
    plant.watch(*causes, at=NOON)


def acknowledged(plant: Plant) -> list[tuple[object, ...]]:
    with plant.database.reading() as connection:
        found = alerts.standing(connection)
        audit = connection.execute(text("SELECT who, subject, reason FROM audit_log WHERE action='alert.acknowledge'"))
        written = {tuple(row) for row in audit}
    seen = [(alert.acknowledged_by, f"CAMERA_LOST {alert.subject}", alert.note) for alert in found]
    assert {row for row in seen if row[0]} == written
    return sorted(seen, key=lambda row: str(row[1]))


def asked(number: object) -> AppTest:
    """The Line page after somebody has pressed Acknowledge at these alerts."""
    page = AppTest.from_file(DASHBOARD / "views/line.py", default_timeout=60)
    page.session_state["alerts-asked"] = number
    return page.run()


def test_an_alert_is_acknowledged_with_name_and_note_and_then_says_so(fresh: Plant, at_home: Home) -> None:
    at_home.at(fresh.settings)
    lost(fresh, "a", "b")
    page = asked([1])
    calm(page)
    assert "a is lost" in said(page)
    page.text_input(key="alerts-note").set_value("  cable  ordered ")
    calm(page.button(key="alerts-sure").click().run())
    assert acknowledged(fresh) == [("A. Reviewer", "CAMERA_LOST a", "cable ordered"), (None, "CAMERA_LOST b", "")]
    again = asked([1])
    assert "seen by A. Reviewer: cable ordered" in said(again)
    assert words.NONE_TO_ACKNOWLEDGE in [note.value for note in again.markdown]
    assert "alerts-sure" not in [button.key for button in again.button]


def test_alerts_told_as_one_are_acknowledged_together_and_one_that_closed_holds_up_no_other(
    fresh: Plant, at_home: Home
) -> None:
    at_home.at(fresh.settings)
    lost(fresh, "a", "b", "c")
    page = asked([1, 2, 3])
    with fresh.database.writing() as connection:
        alerts.acknowledge(connection, 2, who="Ben", note="", now=NOON)
        connection.execute(text("UPDATE alerts SET closed_at = raised_at WHERE id = 3"))
    assert not page.button(key="alerts-sure").click().run().exception
    assert acknowledged(fresh) == [("A. Reviewer", "CAMERA_LOST a", ""), ("Ben", "CAMERA_LOST b", "")]
    (refused,) = page.error
    assert "alert 2 (CAMERA_LOST) was acknowledged by Ben before; alert 3 (CAMERA_LOST) has closed" in refused.value
    assert words.NONE_TO_ACKNOWLEDGE in [note.value for note in page.markdown]


def test_the_question_stays_whatever_runs_the_page_again(fresh: Plant, at_home: Home) -> None:
    at_home.at(fresh.settings)
    lost(fresh, "a")
    page = asked([1])
    page.text_input(key="alerts-note").set_value("cable ordered")
    page.run()
    calm(page.button(key="alerts-sure").click().run())
    assert acknowledged(fresh) == [("A. Reviewer", "CAMERA_LOST a", "cable ordered")]
    assert [toast.value for toast in page.toast] == [words.ACKNOWLEDGED.format(who="A. Reviewer")]
    assert "alerts-sure" not in [button.key for button in page.run().button]


def test_without_the_database_nothing_is_acknowledged_and_the_note_waits(fresh: Plant, at_home: Home) -> None:
    at_home.at(fresh.settings)
    lost(fresh, "a")
    page = asked([1])
    page.text_input(key="alerts-note").set_value("cable ordered")
    other = sqlite3.connect(fresh.settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        page.button(key="alerts-sure").click().run()
    finally:
        other.close()
    assert not page.exception
    assert [refused.value.partition(":")[0] for refused in page.error] == ["Not stored"]
    assert acknowledged(fresh) == [(None, "CAMERA_LOST a", "")]
    calm(page.button(key="alerts-sure").click().run())
    assert acknowledged(fresh) == [("A. Reviewer", "CAMERA_LOST a", "cable ordered")]


@pytest.mark.parametrize("message", [None, 7, {}, {"alerts": None}, {"alerts": ["1", -1, 1 << 70, 1.5]}])
def test_what_is_no_number_of_an_alert_asks_for_nothing(message: object) -> None:
    acknowledging.ask(message)
    assert not st.session_state.get("alerts-asked")
    st.session_state.clear()


def test_the_desk_shows_the_oldest_part_and_its_keys(line: Plant, at_home: Home) -> None:
    at_home.at(line.settings)
    page = view("review")
    calm(page)
    shown = said(page)
    assert "G Good false reject" in shown
    assert "1 Contamination" in shown
    assert "undecided" in shown


def test_models_say_what_is_proved_and_can_be_rolled_back(fresh: Plant, at_home: Home) -> None:
    at_home.at(fresh.settings)
    page = view("models")
    calm(page)
    shown = said(page)
    assert "220 good parts held out prove that at most" in shown
    back = next(button for button in page.button if button.label.startswith("Roll back"))
    calm(back.click().run())
    with fresh.database.reading() as connection:
        newer, older = versions(connection, "board")
        audit = connection.execute(text("SELECT who, reason FROM audit_log ORDER BY id DESC LIMIT 1")).one()
    assert (str(newer.state), str(older.state)) == ("ROLLED_BACK", "ACTIVE")
    assert tuple(audit) == ("A. Reviewer", f"rolled back from {newer.version}")


def test_a_model_is_activated_only_with_a_reason(fresh: Plant, at_home: Home) -> None:
    at_home.at(fresh.settings)
    with fresh.database.reading() as connection:
        newer, older = versions(connection, "board")
    page = view("models")
    page.button(key=f"sure-{older.id}").click().run()
    assert [warning.value for warning in page.warning] == [words.NOTE_NEEDED]
    page.text_input(key=f"why-{older.id}").set_value("the new one calls dust a scratch")
    calm(page.button(key=f"sure-{older.id}").click().run())
    with fresh.database.reading() as connection:
        assert [str(row.state) for row in versions(connection, "board")] == ["ROLLED_BACK", "ACTIVE"]
        note = connection.execute(text("SELECT reason FROM audit_log ORDER BY id DESC LIMIT 1")).scalar_one()
    assert note == "the new one calls dust a scratch"
    assert newer.id != older.id


@pytest.mark.parametrize(
    ("name", "told"),
    [("line", words.EMPTY_LINE), ("review", words.REVIEW_EMPTY), ("models", words.MODELS_EMPTY)],
)
def test_an_empty_database_instructs(tmp_path: Path, at_home: Home, name: str, told: str) -> None:
    settings = seed.settings_in(tmp_path)
    upgrade(settings.database_url)
    at_home.at(settings)
    page = view(name)
    calm(page)
    assert told in said(page)


@pytest.mark.parametrize("name", VIEWS)
def test_without_tables_a_page_says_how_to_make_them(tmp_path: Path, at_home: Home, name: str) -> None:
    at_home.at(seed.settings_in(tmp_path))
    page = view(name)
    calm(page)
    assert words.NOT_MIGRATED in said(page)
    assert "flawline db upgrade" in said(page)


@pytest.mark.parametrize("name", VIEWS)
def test_a_locked_database_is_told_calmly(fresh: Plant, at_home: Home, name: str) -> None:
    at_home.at(fresh.settings)
    fresh.database.close()
    file = fresh.settings.database_url.removeprefix("sqlite:///")
    other = sqlite3.connect(file, isolation_level=None)
    try:
        other.execute("PRAGMA journal_mode=DELETE")  # readers wait for a writer, as on a share
        other.execute("BEGIN EXCLUSIVE")
        page = view(name)
    finally:
        other.close()
    calm(page)
    assert words.BUSY in said(page)
    assert "Traceback" not in said(page)


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_streamlit_is_told_our_colours_and_no_telemetry(tmp_path: Path, theme: seed.Theme) -> None:
    told = options(seed.settings_in(tmp_path, theme=theme))
    assert told["browser.gatherUsageStats"] is False
    assert told["server.fileWatcherType"] == "none"
    assert told["client.toolbarMode"] == "minimal"
    assert told["server.address"] == "127.0.0.1"
    assert ("theme.base" in told) == (theme != "auto")
    known = {"theme.light.backgroundColor", "theme.dark.backgroundColor"}
    assert (known <= told.keys()) == (theme == "auto")


def test_the_app_can_be_built_before_there_is_a_database(tmp_path: Path) -> None:
    assert build_app(seed.settings_in(tmp_path / "nowhere")) is not None
    assert not (tmp_path / "nowhere").exists()


def test_every_text_on_the_pages_is_one_of_ours() -> None:
    for name in ("line", "review", "models"):
        source = (DASHBOARD / "views" / f"{name}.py").read_text()
        shown = re.findall(r"st\.(?:write|info|warning|error|button|text_input)\((\S+)", source)
        assert all(not text.startswith(('"', 'f"')) for text in shown), name


def test_the_style_follows_the_design_language() -> None:
    sheet = (DASHBOARD / "assets" / "look.css").read_text()
    for name in ("ground", "card", "pass", "review", "fail", "system", "accent"):
        assert re.search(rf"--{name}: light-dark\(#[0-9a-f]{{3,6}}, #[0-9a-f]{{3,6}}\)", sheet)
    assert "http" not in "".join(path.read_text() for path in (DASHBOARD / "assets").glob("*.css"))
