"""The model card in a real browser: what an engineer reads before an audit, and takes away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard import words
from tests.dashboard import seed
from tests.dashboard.browser import SHOTS, TABLET, free_port, looking, serving

pytestmark = pytest.mark.browser
PATIENT = 60_000  # ms; the machine may be busy
TALL = (1920, 1900)  # all of the card on one picture


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = seed.plant(seed.settings_in(tmp_path_factory.mktemp("card"), port=free_port()), cameras=1, parts=6)
    with serving(made.settings, tmp_path_factory.mktemp("log") / "serve.log") as url:
        yield url
    made.database.close()


def drawn(page: Page) -> None:
    """Wait until both charts and the picture of the fixture stand."""
    charts = page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    expect(charts).to_have_count(2, timeout=PATIENT)
    page.wait_for_function("document.querySelector('.fixture-picture')?.naturalWidth > 0", timeout=PATIENT)
    page.wait_for_timeout(800)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_card_says_what_was_learnt_proved_and_measured(
    browser: Browser, address: str, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    with looking(browser, address, scheme=scheme, size=TALL) as watched:
        page = watched.open("/models")
        drawn(page)
        watched.shoot(f"model-card-{scheme}")
        page.locator(".st-key-passport-words").scroll_into_view_if_needed()
        page.locator(".passport-words").screenshot(path=SHOTS / f"model-card-words-{scheme}.png")
        expect(page.locator(".ladder")).to_have_count(5)
        expect(page.locator(".rung.best")).to_have_count(4)
        for told in ("the smallest scratch of contrast 60", "differs from PyTorch's in float32", "a3" * 32, "120"):
            expect(page.get_by_text(told).first).to_be_visible()
        with page.expect_download() as taken:
            page.get_by_role("button", name=words.TAKE_CARD).click()
        taken.value.save_as(tmp_path / "card.json")
        assert taken.value.suggested_filename.endswith("-1-card.json")
        said = json.loads((tmp_path / "card.json").read_text())
        assert said["card"]["sha256"] == said["sha256"] == "1b" * 32


def test_a_version_of_before_there_were_cards_says_how_to_add_one(browser: Browser, address: str) -> None:
    with looking(browser, address, scheme="light", size=(1920, 1300)) as watched:
        page = watched.open("/models")
        drawn(page)
        page.locator(".st-key-passport-head [data-testid=stButtonGroup] button").last.click()
        expect(page.get_by_text("flawline models cards")).to_be_visible(timeout=PATIENT)
        expect(page.locator(".ladder")).to_have_count(0)
        page.wait_for_timeout(800)
        watched.shoot("model-card-none")


def test_on_a_tablet_the_card_needs_no_sideways_scrolling(browser: Browser, address: str) -> None:
    with looking(browser, address, size=TABLET) as watched:
        page = watched.open("/models")
        drawn(page)
        watched.shoot("model-card-tablet")
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= TABLET[0]
        wide = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert page.eval_on_selector_all(".ladder, .merits, .passport-words", wide) == 0
