"""Each view by what a person reads, run by Streamlit itself."""

import json
import re
import sqlite3
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from core.records.models import versions
from dashboard import cached, words
from dashboard.acknowledging import Answer
from dashboard.serve import build_app, options
from migrations.upgrade import upgrade
from tests.dashboard import seed
from tests.dashboard.conftest import Home
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


def test_the_wall_says_who_acknowledges_and_bears_the_answer_to_the_last_press(line: Plant, at_home: Home) -> None:
    at_home.at(line.settings)
    page = AppTest.from_file(DASHBOARD / "views/line.py", default_timeout=60)
    page.session_state["reviewer"] = "C. Night"
    page.session_state["wall-answer"] = Answer(7, "Not stored: it has closed")
    (wall,) = page.run().get("bidi_component")
    given = json.loads(wall.proto.json)
    assert "C. Night is written beside it" in given["as_who"]
    assert given["answer"] == {"serial": 7, "refused": "Not stored: it has closed"}
    assert "C. Night" not in json.dumps(cached.live().page().document())  # which all viewers share


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
