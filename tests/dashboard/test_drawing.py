"""HTML from values: escaped, in three cues, never stretched."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import FrameId
from core.records.compared import Compared
from core.verdicts import MachineVerdict
from dashboard import live, words
from dashboard.drawing import lists, scorebar, tiles
from dashboard.drawing.counters import Account, Tally, counters
from dashboard.drawing.golden import beside, golden_card
from dashboard.drawing.marks import tone_of, verdict_mark
from dashboard.drawing.notes import note
from dashboard.drawing.picture import boxes, heat_url, image_url, part_url, picture_of, stage
from dashboard.drawing.scorebar import Scale, score_bar
from dashboard.drawing.strip import LENGTH, verdict_strip
from dashboard.drawing.tiles import Tile, tile
from dashboard.drawing.topbar import Running, top_bar
from dashboard.markup import Html, div, tag
from dashboard.queries.counts import Counts
from dashboard.queries.frames import Frame, Region
from dashboard.queries.waiting import Waiting
from dashboard.states import Standing, State

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
FRAME = Frame(
    id=FrameId("ring-top", 17, 4), captured_at=NOW - timedelta(seconds=1), inspected_at=NOW, station="station-1",
    product="ring", part_id="2044-004", lot="4471", view="", verdict="FAIL", reason="", detail="", score=0.81,
    t_lo=0.46, t_hi=0.62, recipe_version=1, deadline_ms=2000, is_late=False, latency_ms=118.0, predict_ms=20.0,
    worker="w",
    width=640, height=480, picture="frame/2026/11/24/12/ring-top/1_17_4.jpg", thumb="thumb/x.jpg", heat="heat/x.png",
    heat_min=0.1, heat_max=0.8, model="2026-11-23/1", regions=(Region(300, 200, 40, 20, 500, 0.8),),
)  # fmt: skip


def read(html: str) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("\u2009", " ").split())


def a_tile(frame: Frame | None = FRAME, standing: Standing | None = None) -> Tile:
    return Tile(
        camera="ring-top", station="station-1", product="ring", standing=standing or Standing(State.RUNNING),
        frame=frame, verdicts=["PASS", "FAIL"], pace=8.0, reconnects=0, residual=0,
    )  # fmt: skip


def test_text_is_escaped_and_only_our_own_html_is_not() -> None:
    assert tag("b", EVIL, title=EVIL) == (
        '<b title="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;">'
        "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</b>"
    )
    assert div("a", Html("<i>x</i>"), None) == '<div class="a"><i>x</i></div>'


@pytest.mark.parametrize("name", ["b onclick=x", "", "B>", "1a"])
def test_no_data_becomes_an_element(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        tag(name)


def test_no_event_attribute_can_be_written() -> None:
    with pytest.raises(ValueError, match="onclick"):
        tag("b", onclick="x")


@given(st.text(max_size=40))
def test_nothing_from_the_books_breaks_out_of_a_page(text: str) -> None:
    evil = text + EVIL
    frame = replace(FRAME, id=FrameId(evil, 1, 2), part_id=evil, lot=evil, product=evil, reason=evil, detail=evil,
                    verdict=evil, model=evil, picture=evil, thumb=evil)  # fmt: skip
    standing = Standing(State.NOT_INSPECTING, evil, evil, evil)
    drawn = (
        tile(replace(a_tile(frame), camera=evil), NOW, compact=False)
        + tile(a_tile(frame, standing), NOW, compact=True)
        + lists.held_part(frame, NOW) + lists.last_rejects([frame], NOW)
        + lists.attention([lists.Alert(evil, evil, evil, 3, evil)]) + note(evil, evil, detail=evil)
        + top_bar(Standing(State.DEGRADED, evil), Running((evil,), (evil,)), NOW)
    )  # fmt: skip
    assert "<script" not in drawn
    assert "<img src=x" not in drawn
    assert not re.search(r"<[^>]*\sonerror=[^>]*>", re.sub(r'"[^"]*"', '""', drawn))


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [("PASS", "pass"), ("REVIEW", "review"), ("FAIL", "fail"), ("INVALID", "system"), ("NO_VERDICT", "system"),
     ("nonsense", "system"), ("", "system")],
)  # fmt: skip
def test_what_is_unknown_never_looks_passed(verdict: str, tone: str) -> None:
    assert tone_of(verdict) == tone


def test_verdicts_differ_in_shape_and_word_not_only_in_colour() -> None:
    marks = {str(verdict): verdict_mark(verdict, 24) for verdict in MachineVerdict}
    shapes = {re.sub(r"</?span[^>]*>", "", mark).split("</svg>")[0] for mark in marks.values()}
    assert len(shapes) == 4  # INVALID and NO VERDICT share the cross and differ in the word
    assert {read(mark) for mark in marks.values()} == {"PASS", "FAIL", "REVIEW", "INVALID", "NO VERDICT"}


@given(st.floats(-3, 3), st.floats(0.01, 2), st.floats(0.001, 2), st.none() | st.floats(-1, 2))
def test_the_dot_lies_in_the_zone_of_its_verdict(score: float, t_lo: float, width: float, floor: float | None) -> None:
    t_hi = t_lo + width
    at = scorebar.place(score, Scale(t_lo, t_hi, floor))
    assert 0 < at < 100
    if score <= t_lo:
        assert at <= 46
    elif score <= t_hi:
        assert 46 <= at <= 62
    else:
        assert at >= 62


@given(st.floats(0.01, 2), st.floats(-3, 3), st.floats(0, 1), st.none() | st.floats(0, 3))
def test_a_higher_score_never_stands_further_left(t_lo: float, score: float, more: float, width: float | None) -> None:
    scale = Scale(t_lo, None if width is None else t_lo + width, 0.0)
    assert scorebar.place(score, scale) <= scorebar.place(score + more, scale) + 1e-9


def test_good_parts_spread_over_the_grey_whatever_their_scores_are() -> None:
    scale = Scale(1.367, 1.372, 1.30)  # all good scores lie close below the limit
    assert scorebar.place(1.30, scale) == pytest.approx(5.0)
    assert 20 < scorebar.place(1.335, scale) < 30
    assert scorebar.place(1.6, scale) > 90


def test_a_bar_without_a_score_has_no_dot() -> None:
    assert "dot" not in score_bar(None, Scale(0.4, 0.6), "INVALID", words=False)
    assert "dot" not in score_bar(float("nan"), Scale(0.4, 0.6), "NO_VERDICT", words=False)
    assert "zone" not in score_bar(0.3, Scale(None), "NO_VERDICT", words=False)


def test_without_a_proved_fail_limit_the_bar_shows_none() -> None:
    assert read(score_bar(0.5, Scale(0.4), "REVIEW", words=True)) == "review"


def test_the_strip_keeps_the_newest_seventy_at_the_right_end() -> None:
    assert verdict_strip(["FAIL"] * 3 + ["PASS"] * 70).count("<rect") == LENGTH
    assert 'class="fail"' not in verdict_strip(["FAIL"] * 3 + ["PASS"] * 70)
    short = verdict_strip(["PASS", "FAIL"])
    assert short.index('class="pass"') < short.index('class="fail"')
    assert f'x="{0.6 + 6 * 69:.1f}"' in short


def test_boxes_stay_inside_the_picture() -> None:
    edge = replace(FRAME, regions=(Region(0, 0, 640, 480, 1, 0.9), Region(630, 470, 10, 10, 1, 0.9)))
    for box in boxes(edge):
        left, top, width, height = (float(value) for value in re.findall(r":([\d.]+)%", box))
        assert left >= 0
        assert top >= 0
        assert left + width <= 100.01
        assert top + height <= 100.01


def test_pictures_come_by_address_and_keep_their_aspect() -> None:
    assert picture_of(FRAME) == "/api/img/frame/2026/11/24/12/ring-top/1_17_4.jpg"
    assert part_url(FRAME) == "/api/part/ring-top/17/4.json"
    assert "--w:640;--h:480" in stage(FRAME)
    assert image_url("a b?#%") == "/api/img/a%20b%3F%23%25"


BESIDE = Compared(
    picture="golden/2026/11/24/12/ring-top/1_17_4.jpg", width=320, height=240, distances=(0.8123, 0.94), samples=(7, 2),
    box=(80, 60, 160, 24),
)  # fmt: skip


def test_golden_parts_stand_beside_a_part_each_in_its_own_window_with_its_distance() -> None:
    html = str(golden_card(replace(FRAME, golden=BESIDE)))
    assert "this part golden · 0.81 golden · 0.94" in read(html)
    assert html.count("/api/img/golden/2026/11/24/12/ring-top/1_17_4.jpg") == 3
    assert [f"width:300%;left:{left}%" in html for left in (0, -100, -200)] == [True] * 3
    assert html.count("left:25.00%;top:25.00%;width:50.00%;height:10.00%") == 3  # the same place on each
    assert 'data-keycap="x"' in html
    assert str(beside(replace(FRAME, golden=BESIDE))).count("<img") == 3


def test_without_golden_parts_nothing_is_said_of_any() -> None:
    assert golden_card(FRAME) is None
    assert beside(FRAME) is None


def test_without_a_region_no_place_is_marked_on_the_golden_parts() -> None:
    html = str(golden_card(replace(FRAME, golden=replace(BESIDE, box=None))))
    assert 'class="box"' not in html
    assert "at the same place" not in html


def test_each_mark_is_told_with_its_area_its_peak_and_its_mean() -> None:
    marks = Region(300, 200, 40, 20, 500, 0.8, 0.6123, 3.412), Region(10, 10, 9, 9, 32, 0.7, 0.55, 0.0123)
    frame = replace(FRAME, regions=marks)
    assert "2 regions · 3.4 mm² (500 px) · peak 0.8000 · mean 0.6123 · centre" in read(
        " · ".join(lists.facts(frame, NOW))
    )
    assert [read(said) for said in lists.others(frame)] == [
        "0.012 mm² (32 px) · peak 0.7000 · mean 0.5500 · upper left"
    ]
    old = replace(FRAME, regions=(Region(300, 200, 40, 20, 500, 0.8),))  # a row of before there was a scale
    assert "1 region · 500 px · peak 0.8000 · centre" in read(" · ".join(lists.facts(old, NOW)))


def test_heat_is_offered_only_where_limits_give_it_a_scale() -> None:
    assert heat_url(FRAME) == "/api/heat/ring-top/17/4.png"
    assert heat_url(replace(FRAME, heat=None)) is None
    assert heat_url(replace(FRAME, t_lo=None)) is None
    assert 'class="heat"' not in stage(replace(FRAME, heat=None))


def test_a_picture_that_was_not_kept_is_said_not_faked() -> None:
    assert words.NO_PICTURE in read(stage(replace(FRAME, picture=None, thumb=None)))


def test_a_running_tile_says_verdict_age_pace_and_books() -> None:
    said = read(tile(a_tile(), NOW, compact=False))
    assert said == "ring-top 8.0 / s · excellent FAIL 1.0 s review fail last 2 parts residual 0"


@pytest.mark.parametrize("state", [State.NOT_INSPECTING, State.STOPPED])
def test_a_camera_that_is_out_loses_its_picture(state: State) -> None:
    drawn = tile(a_tile(standing=Standing(state, "It is silent", "Its parts are rejected.", live=False)), NOW,
                 compact=False)  # fmt: skip
    assert "<img" not in drawn
    assert words.STATES[state] in read(drawn)


def test_an_old_picture_is_marked_old() -> None:
    idle = Standing(State.RUNNING, "No part for 45 s", live=False)
    drawn = tile(a_tile(replace(FRAME, captured_at=NOW - timedelta(seconds=45)), idle), NOW, compact=False)
    assert "last part 45 s ago" in read(drawn)
    assert 'class="tile idle"' in drawn


@pytest.mark.parametrize(("residual", "said", "tone"), [(0, "0", ""), (2, "2", ' class="system"'), (None, "–", "")])
def test_a_residual_is_coloured_only_where_there_is_one_and_opens_the_books(
    residual: int | None, said: str, tone: str
) -> None:
    drawn = tile(replace(a_tile(), camera="a/b", residual=residual), NOW, compact=False)
    assert f"residual {said}</button>" in drawn
    assert f'<button{tone} data-hold="/api/books.json?camera=a%2Fb"' in drawn


@pytest.mark.parametrize(("reconnects", "word"), [(0, "excellent"), (2, "fair"), (3, "poor")])
def test_the_link_has_a_word(reconnects: int, word: str) -> None:
    assert tiles.link_word(reconnects) == word


def a_tally(account: Account, counts: Counts) -> Tally:
    waiting = Waiting({"REVIEW": 6}, {"ring-top": 6}, NOW - timedelta(seconds=38))
    return Tally(counts=counts, last_hour=8, waiting=waiting, account=account, p99_ms=118.0, allowed_ms=2230,
                 period=NOW - timedelta(hours=3))  # fmt: skip


def test_the_counters_show_their_denominators() -> None:
    counts = Counts(18204, 18011, 121, 44, 20, 8, 8)
    account = Account(triggered=18204, captured=18204, judged=18204, unaccounted=0, missing=0, duplicates=0)
    said = read(counters(a_tally(account, counts), NOW))
    assert said == (
        "Parts this shift 18 204 = captured = judged Pass 18 011 98.9 % of parts Fail 121 8 in the last hour "
        "Review 44 6 waiting · oldest 0:38 Invalid · no verdict 20 · 8 not defects Fail rate 0.67 % "
        "0.56 to 0.79 % · of 18 176 Judged in time 99.96 % p99 118 ms of 2 230 Books 0 parts unaccounted for "
        "Gaps · duplicates 0 · 0 none missing, none twice"
    )


def test_counters_of_nothing_show_dashes_not_zeros() -> None:
    said = read(counters(a_tally(Account(), Counts()), NOW))
    assert "Fail rate – nothing counted yet" in said
    assert "Judged in time –" in said
    assert "Books – parts unaccounted for" in said


@pytest.mark.parametrize(("captured", "judged", "unaccounted", "said"), [
    (12, 12, 0, "= captured = judged"), (9, 12, 0, "= captured + 3 missed"), (9, 13, 0, "= captured + 3 missed"),
    (9, 11, 1, "of 12 triggered"), (9, 13, 2, "of 12 triggered"), (None, 12, 0, "–"),
])  # fmt: skip
def test_parts_are_those_with_a_picture_and_those_that_passed_without_one(
    captured: int | None, judged: int, unaccounted: int, said: str
) -> None:
    account = Account(triggered=12, captured=captured, judged=judged, unaccounted=unaccounted)
    assert f"Parts this shift {judged} {said}" in read(counters(a_tally(account, Counts(judged, 9)), NOW))


def test_parts_under_way_are_not_called_lost() -> None:
    account = Account(triggered=12, captured=12, judged=9, under_way=3, unaccounted=0, missing=0, duplicates=0)
    assert "captured · 3 under way" in read(counters(a_tally(account, Counts(9, 9)), NOW))


def test_books_that_do_not_balance_are_coloured() -> None:
    account = Account(triggered=12, captured=12, judged=9, unaccounted=3, missing=3, duplicates=0)
    drawn = counters(a_tally(account, Counts(9, 9)), NOW)
    assert '<div class="value system">3</div>' in drawn
    assert 'data-hold="/api/books.json?period=shift"' in drawn
    assert "of 12 triggered" in read(drawn)


def test_cameras_with_a_residual_are_named_on_the_card() -> None:
    account = Account(
        triggered=12, captured=12, judged=9, unaccounted=5, by_camera=(("a", 3), ("b", 2)), missing=0, duplicates=0
    )
    assert "Books 5 a 3 · b 2" in read(counters(a_tally(account, Counts(9, 9)), NOW))


@pytest.mark.parametrize(
    ("x", "y", "word"), [(0, 0, "upper left"), (300, 220, "centre"), (600, 220, "right"), (300, 440, "lower")]
)
def test_a_mark_is_pointed_at_as_a_person_would(x: int, y: int, word: str) -> None:
    assert lists.where(replace(FRAME, regions=(Region(x, y, 20, 20, 9, 0.9),))) == word


@pytest.mark.parametrize(("cameras", "columns"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (8, 4), (11, 4)])
def test_tiles_are_laid_out_in_even_rows(cameras: int, columns: int) -> None:
    assert live.columns(cameras) == columns
