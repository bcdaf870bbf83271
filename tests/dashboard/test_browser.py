"""The pages in a real browser: what a person sees on the wall, and what a key does to the books."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from core.alarms import Cause, Kind
from core.records import alerts
from tests.dashboard import seed
from tests.dashboard.browser import TABLET, WALL, free_port, looking, serving, show_cameras
from tests.dashboard.seed import Feeder, Plant

pytestmark = pytest.mark.browser
LOST = "weave-exit"  # the third camera
PATIENT = 30_000  # ms; the machine may be busy


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Eight cameras on which parts keep coming, but for one that is lost."""
    made = seed.plant(seed.settings_in(tmp_path_factory.mktemp("wall"), port=free_port()), cameras=8)
    feeder = Feeder(made, lost=[LOST])
    feeder.start()
    yield made
    feeder.stop()
    made.database.close()


@pytest.fixture(scope="module")
def address(running: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(running.settings, tmp_path_factory.mktemp("log") / "serve.log") as url:
        yield url


def calls(plant: Plant) -> list[tuple[object, ...]]:
    query = text("SELECT camera, session, seq, call, defect_class, severity, undoes FROM reviews ORDER BY id")
    with plant.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def on_desk(page: Page) -> str:
    """The name of the part on the desk."""
    return str(page.locator(".reel-frame.on").get_attribute("data-item", timeout=PATIENT))


def settle(page: Page) -> None:
    """Wait until a key may decide: nobody can have seen a part that has just come."""
    page.wait_for_timeout(400)


def press(page: Page, key: str) -> None:
    """Press a key on the desk and wait for another part to lie there."""
    before = on_desk(page)
    settle(page)
    page.keyboard.press(key)
    page.wait_for_function(
        "before => document.querySelector('.reel-frame.on')?.dataset.item !== before", arg=before, timeout=PATIENT
    )


@pytest.mark.parametrize(
    ("cameras", "scheme"),
    [(1, "dark"), (2, "light"), (3, "light"), (4, "dark"), (4, "light"), (8, "dark")],
)
def test_the_wall_shows_every_camera_without_scrolling(
    browser: Browser, address: str, running: Plant, cameras: int, scheme: str
) -> None:
    show_cameras(running, cameras)
    with looking(browser, address, scheme="light" if scheme == "light" else "dark") as watched:
        page = watched.open()
        expect(page.locator(".tile")).to_have_count(cameras, timeout=PATIENT)
        page.wait_for_timeout(1500)
        watched.shoot(f"line-{cameras}-{scheme}")
        boxes = [box for tile in page.locator(".tile").all() if (box := tile.bounding_box())]
        assert len(boxes) == cameras
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= WALL[0] for box in boxes)
        assert all(box["y"] + box["height"] <= WALL[1] for box in boxes)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= WALL[1]
        sizes = page.eval_on_selector_all(
            ".tile .verdict", "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert all(size >= 26 for size in sizes)
        loaded = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
        assert any("Inter" in family for family in loaded)


def test_a_lost_camera_loses_its_picture_and_is_the_loudest(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        lost = page.locator(f".tile[data-camera={LOST}]")
        expect(lost).to_have_attribute("data-state", "NOT_INSPECTING", timeout=PATIENT)
        expect(lost).to_contain_text("NOT INSPECTING")
        expect(lost).to_contain_text("Its parts are rejected.")
        expect(lost.locator("img")).to_have_count(0)
        expect(page.locator(".chip.state")).to_contain_text("DEGRADED · 1 of 4 cameras out")
        expect(page.locator(".alert").first).to_contain_text(f"{LOST} is lost")
        expect(page.locator(".alert").first).to_contain_text("CAMERA_LOST · technician")
        size = lost.locator(".word").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 34


def ahead(plant: Plant, *clocks: str) -> None:
    """These clocks run ahead, and no other: an open alert for each."""
    kind = Kind.CLOCK_OFFSET
    causes = [
        Cause(kind=kind, subject=name, what=f"{name} clock is ahead", why="By 2 s.", do="Look.") for name in clocks
    ]
    with plant.database.writing() as connection:
        alerts.keep(connection, causes, looked_at=[kind], now=datetime.now(UTC))


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_an_alert_is_acknowledged_on_the_wall_with_name_and_note(
    browser: Browser, address: str, running: Plant, scheme: str
) -> None:
    show_cameras(running, 4)
    ahead(running, scheme)
    with looking(browser, address, scheme="light" if scheme == "light" else "dark") as watched:
        page = watched.open()
        alert = page.locator(".fl-wall .alert", has_text=f"{scheme} clock")
        alert.get_by_role("button", name="Acknowledge").click(timeout=PATIENT)
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text(f"{scheme} clock is ahead", timeout=PATIENT)
        expect(asked).to_contain_text("A. Reviewer is written beside it", timeout=PATIENT)
        page.keyboard.press("Escape")
        expect(asked).to_be_hidden(timeout=PATIENT)  # and nothing is acknowledged by that
        alert.get_by_role("button", name="Acknowledge").click(timeout=PATIENT)
        page.keyboard.type("the time server is away: opened a ticket")
        watched.shoot(f"acknowledge-{scheme}")
        page.keyboard.press("Enter")
        expect(asked).to_be_hidden(timeout=PATIENT)
        expect(alert).to_contain_text("seen by A. Reviewer: the time server is away: opened a ticket", timeout=PATIENT)
        expect(alert.get_by_role("button")).to_have_count(0)
        watched.shoot(f"acknowledged-{scheme}")
    with running.database.reading() as connection:
        audit = connection.execute(text("SELECT who, subject, reason FROM audit_log ORDER BY id DESC LIMIT 1")).one()
    assert tuple(audit) == ("A. Reviewer", f"CLOCK_OFFSET {scheme}", "the time server is away: opened a ticket")


def test_what_is_typed_about_an_alert_stays_whatever_runs_the_page_and_when_it_is_refused(
    browser: Browser, address: str, running: Plant
) -> None:
    show_cameras(running, 4)
    ahead(running, "first")
    with looking(browser, address) as watched:
        page = watched.open()
        runs: list[str] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda _: runs.append(socket.url)))
        page.reload()
        alert = page.locator(".fl-wall .alert", has_text="first clock")
        alert.get_by_role("button", name="Acknowledge").click(timeout=PATIENT)
        asked = page.get_by_role("dialog")
        note = asked.get_by_role("textbox")
        note.fill("opened a ticket")
        asked.get_by_role("button", name="Not now").focus()
        before = len(runs)
        page.keyboard.press("r")  # Streamlit's own key to run the page again
        page.wait_for_timeout(1500)
        assert len(runs) > before
        expect(note).to_have_value("opened a ticket")
        with running.database.writing() as connection:
            number = next(one.id for one in alerts.standing(connection) if one.subject == "first")
            alerts.acknowledge(connection, number, who="Ben", note="", now=datetime.now(UTC))
        asked.get_by_role("button", name="Acknowledge").click()
        expect(asked.get_by_role("alert")).to_contain_text("was acknowledged by Ben before", timeout=PATIENT)
        expect(note).to_have_value("opened a ticket")
        watched.shoot("acknowledge-refused-dark")
        asked.get_by_role("button", name="Not now").click()
        expect(asked).to_be_hidden()
        ahead(running, "second")
        other = page.locator(".fl-wall .alert", has_text="second clock")
        other.get_by_role("button", name="Acknowledge").click(timeout=PATIENT)
        expect(note).to_have_value("")  # words about another alert are not said of this one
        expect(asked.get_by_role("alert")).to_have_count(0)


def test_the_books_open_beside_the_wall_from_the_card_and_from_a_tile(
    browser: Browser, address: str, running: Plant
) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        held = page.locator(".held")
        page.locator("button.figure").click()
        expect(held.locator("table.books tbody tr")).to_have_count(4, timeout=PATIENT)
        expect(held).to_contain_text("Triggered")
        page.wait_for_timeout(700)
        watched.shoot("books-4-dark")
        tiles = [tile.bounding_box() for tile in page.locator(".tile").all()]
        place = held.bounding_box()
        assert place is not None
        assert all(box is not None and box["x"] + box["width"] <= place["x"] for box in tiles)
        page.keyboard.press("Escape")
        expect(held).to_be_hidden()
        page.locator(".tile[data-camera=ring-top] footer button").click()
        expect(held.locator("table.books tbody tr")).to_have_count(1)


def test_the_wall_lives_and_nothing_jumps(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        tile = page.locator(".tile[data-camera=ring-top]")
        tile.locator("img.photo").wait_for(timeout=PATIENT)
        page.evaluate("document.querySelector('.tile[data-camera=ring-top]').same = 'node'")
        before, place = tile.locator("img.photo").get_attribute("src"), tile.bounding_box()
        page.wait_for_function(
            "src => document.querySelector('.tile[data-camera=ring-top] img.photo').getAttribute('src') !== src",
            arg=before, timeout=PATIENT,
        )  # fmt: skip
        assert page.evaluate("document.querySelector('.tile[data-camera=ring-top]').same") == "node"
        assert page.evaluate("document.querySelector('.tile[data-camera=ring-top] img.photo').naturalWidth") > 0
        assert tile.bounding_box() == place


def test_a_held_picture_stays_while_the_line_goes_on(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        page.locator(".thumb").nth(1).click(timeout=PATIENT)
        held = page.locator(".held")
        expect(held).to_be_visible(timeout=PATIENT)
        expect(held).to_contain_text("FAIL")
        kept = held.locator("img.photo").get_attribute("src")
        live = page.locator(".tile[data-camera=ring-top] img.photo")
        before = live.get_attribute("src")
        page.wait_for_function(
            "src => document.querySelector('.tile[data-camera=ring-top] img.photo').getAttribute('src') !== src",
            arg=before, timeout=PATIENT,
        )  # fmt: skip
        assert held.locator("img.photo").get_attribute("src") == kept
        watched.shoot("line-held")
        shown = held.bounding_box()
        for tile in page.locator(".tile").all():  # no camera is hidden behind it
            box = tile.bounding_box()
            assert box is not None
            assert shown is not None
            assert box["x"] + box["width"] <= shown["x"]
        page.keyboard.press("Escape")
        expect(held).to_be_hidden()


def test_heat_comes_only_on_request(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        page.locator(".thumb").first.click(timeout=PATIENT)
        heat = page.locator(".held img.heat")
        expect(page.locator(".held")).to_be_visible(timeout=PATIENT)
        expect(heat).to_be_hidden()
        page.keyboard.press("o")
        expect(heat).to_be_visible()
        page.wait_for_function("document.querySelector('.held img.heat').naturalWidth > 0", timeout=PATIENT)
        page.wait_for_timeout(700)
        watched.shoot("line-heat")
        page.keyboard.press("Space")
        expect(heat).to_be_hidden()


def test_counters_can_be_of_the_day(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 2)
    with looking(browser, address, scheme="light") as watched:
        page = watched.open()
        expect(page.locator(".counters")).to_contain_text("Parts this shift", timeout=PATIENT)
        page.locator("[data-period=today]").click()
        expect(page.locator(".counters")).to_contain_text("Parts today", timeout=PATIENT)


def test_nothing_looks_live_when_the_server_is_silent(browser: Browser, address: str, running: Plant) -> None:
    show_cameras(running, 4)
    with looking(browser, address) as watched:
        page = watched.open()
        page.locator(".tile img.photo").first.wait_for(timeout=PATIENT)
        page.route("**/api/line.json*", lambda route: route.fulfill(status=502, body=""))
        expect(page.locator(".lost")).to_be_visible(timeout=PATIENT)
        expect(page.locator(".lost")).to_contain_text("does not answer")
        expect(page.locator(".chip.state")).to_contain_text("STATE UNKNOWN", timeout=PATIENT)
        watched.shoot("line-server-silent")
        page.unroute_all(behavior="wait")
        expect(page.locator(".lost")).to_be_hidden(timeout=PATIENT)
        watched.errors.clear()  # the refusals of this test


def test_decisions_by_keyboard_reach_the_database(browser: Browser, address: str, running: Plant) -> None:
    before = len(calls(running))
    with looking(browser, address) as watched:
        page = watched.open("/review")
        good = on_desk(page)
        page.wait_for_timeout(1500)
        watched.shoot("review-dark")
        press(page, "g")
        defect = on_desk(page)
        page.keyboard.press("q")
        press(page, "1")
        press(page, "z")
        assert on_desk(page) == defect
        made = calls(running)[before:]
        assert ["/".join(map(str, row[:3])) for row in made] == [good, defect, defect]
        assert [row[3:6] for row in made] == [
            ("FALSE_REJECT", "", None), ("DEFECT", "Contamination", "CRITICAL"), (None, "", None)
        ]  # fmt: skip
        assert made[2][6] is not None


def test_a_key_held_down_and_a_focused_button_decide_once(browser: Browser, address: str, running: Plant) -> None:
    before = len(calls(running))
    with looking(browser, address) as watched:
        page = watched.open("/review")
        first = on_desk(page)
        settle(page)
        for _ in range(6):
            page.keyboard.down("u")  # a key that repeats
        page.keyboard.up("u")
        page.wait_for_function(
            "before => document.querySelector('.reel-frame.on')?.dataset.item !== before", arg=first, timeout=PATIENT
        )
        page.wait_for_timeout(800)
        assert len(calls(running)) == before + 1
        second = on_desk(page)
        page.locator("[data-call=bad_image]").click()
        page.wait_for_function(
            "before => document.querySelector('.reel-frame.on')?.dataset.item !== before", arg=second, timeout=PATIENT
        )
        settle(page)
        for key in ("Enter", "Space", "Enter"):
            page.keyboard.press(key)
        page.locator("[data-call=good]").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        page.wait_for_timeout(800)
        assert len(calls(running)) == before + 2


def test_two_reviewers_see_two_parts(browser: Browser, address: str, running: Plant) -> None:
    with looking(browser, address) as ana, looking(browser, address, scheme="light") as ben:
        ana.open("/review")
        first = on_desk(ana.page)
        page = ben.open()
        page.locator(".st-key-topbar [data-testid=stPopoverButton]").click()
        page.get_by_role("textbox").fill("Ben")
        page.keyboard.press("Enter")
        expect(page.locator(".st-key-topbar [data-testid=stPopoverButton]")).to_contain_text("Ben", timeout=PATIENT)
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Review").click()
        second = on_desk(page)
        assert first != second
        settle(page)
        ben.page.wait_for_timeout(1000)
        ben.shoot("review-light")


def test_heat_and_the_way_through_the_queue(browser: Browser, address: str, running: Plant) -> None:
    with looking(browser, address) as watched:
        page = watched.open("/review")
        first = on_desk(page)
        press(page, "ArrowRight")
        second = on_desk(page)
        assert second != first
        press(page, "ArrowLeft")
        assert on_desk(page) == first
        page.keyboard.press("o")
        page.wait_for_function("document.querySelector('.hero img.heat').naturalWidth > 0", timeout=PATIENT)
        page.wait_for_timeout(500)
        watched.shoot("review-heat")
        page.locator("[data-act=filter][data-value='verdict:INVALID']").click()
        page.wait_for_timeout(1500)
        watched.shoot("review-invalid")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_reviewer_sees_what_normal_looks_like_at_the_same_place(
    browser: Browser, address: str, running: Plant, scheme: str
) -> None:
    with looking(browser, address, scheme="light" if scheme == "light" else "dark") as watched:
        page = watched.open("/review")
        on_desk(page)
        card = page.locator(".golden")
        expect(card).to_contain_text("Closest good parts, at the same place", timeout=PATIENT)
        expect(card.locator(".cut")).to_have_count(4)
        widths = card.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
        assert widths == [4 * 320] * 4
        cuts = card.locator(".cut").evaluate_all(
            "all => all.map(cut => { const [outer, mark] = [cut, cut.querySelector('.box')]"
            ".map(e => e.getBoundingClientRect()); return [mark.x - outer.x, mark.y - outer.y].map(Math.round); })"
        )
        assert len({tuple(place) for place in cuts}) == 1  # the same place on each
        expect(page.locator(".beside")).to_be_hidden()
        watched.shoot(f"review-golden-{scheme}")
        page.keyboard.press("x")
        expect(page.locator(".beside")).to_be_visible()
        expect(page.locator("[data-beside]")).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(300)
        watched.shoot(f"review-beside-{scheme}")
        press(page, "ArrowRight")  # it stays large for the next part
        expect(page.locator(".beside")).to_be_visible()
        expect(page.locator("[data-beside]")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("x")
        expect(page.locator(".beside")).to_be_hidden()
        page.locator("[data-act=filter][data-value='verdict:INVALID']").click()
        expect(card).to_have_count(0, timeout=PATIENT)  # nothing was scored, so nothing is near it


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_model_is_made_active_with_a_note(browser: Browser, address: str, running: Plant, scheme: str) -> None:
    with looking(browser, address, scheme="light" if scheme == "light" else "dark") as watched:
        page = watched.open("/models")
        page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for(
            timeout=60_000
        )
        page.wait_for_timeout(1000)
        watched.shoot(f"models-{scheme}")
        page.get_by_role("button", name="Make active").first.click()
        page.get_by_role("textbox").last.fill("the lamp was changed back")
        page.keyboard.press("Tab")
        page.wait_for_timeout(700)
        watched.shoot(f"models-activate-{scheme}")
        page.get_by_role("button", name="Yes, judge by this version").click()
        expect(page.get_by_text("the lamp was changed back").first).to_be_visible(timeout=PATIENT)
    with running.database.reading() as connection:
        reason = connection.execute(text("SELECT reason FROM audit_log WHERE action='model.activate' ORDER BY id DESC"))
        assert reason.scalars().first() == "the lamp was changed back"


@pytest.mark.parametrize(("path", "name"), [("/", "line"), ("/review", "review"), ("/models", "models")])
def test_a_tablet_shows_the_pages_without_sideways_scrolling(
    browser: Browser, address: str, running: Plant, path: str, name: str
) -> None:
    show_cameras(running, 4)
    with looking(browser, address, size=TABLET) as watched:
        page = watched.open(path)
        page.wait_for_timeout(1500)
        watched.shoot(f"tablet-{name}")
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= TABLET[0]
        if name == "review":
            on_desk(page)
            heights = page.eval_on_selector_all(".call, .severity .chip", "all => all.map(e => e.offsetHeight)")
            assert heights
            assert all(height >= 44 for height in heights)
