"""How small a made-up flaw is caught: the rule that says so, and what it is told as."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.capability import CATCH, Capability, Grade, Series, smallest_caught


def scratches(*caught: int, tried: int = 12, contrast: float = 60.0) -> Series:
    """Of widths 1, 2, 3 … px."""
    return tuple(Grade("scratch", float(width), contrast, tried, hits) for width, hits in enumerate(caught, start=1))


@st.composite
def series(draw: st.DrawFn) -> Series:
    sizes = sorted(draw(st.lists(st.floats(0.5, 500), min_size=1, max_size=8, unique=True)))
    grades = []
    for size in sizes:
        tried = draw(st.integers(1, 40))
        caught = draw(st.integers(0, tried))
        grades.append(Grade("spot", size, 60.0, tried, caught, draw(st.integers(0, tried - caught))))
    return tuple(grades)


@pytest.mark.parametrize(
    ("caught", "width"),
    [
        ((0, 5, 12, 12), 3), ((12, 12, 12), 1), ((0, 0, 11), None), ((12, 12, 11), None), ((12, 0, 12), 3),
        ((11, 12), 2), ((0,), None),
    ],
)  # fmt: skip
def test_the_smallest_size_is_that_from_which_on_all_are_caught(caught: tuple[int, ...], width: int | None) -> None:
    found = smallest_caught(scratches(*caught))
    assert (found and found.size) == width


@given(series())
def test_every_size_from_the_smallest_on_is_caught_and_the_next_smaller_is_not(grades: Series) -> None:
    found = smallest_caught(grades)
    from_here = [one for one in grades if found is not None and one.size >= found.size]
    below = grades[: len(grades) - len(from_here)]
    assert all(one.share >= CATCH for one in from_here)
    assert not below or below[-1].share < CATCH
    assert (found is None) == (not from_here)


@given(series(), st.integers(0, 7))
def test_one_more_flaw_caught_never_makes_the_smallest_size_larger(grades: Series, place: int) -> None:
    before = smallest_caught(grades)
    chosen = grades[place % len(grades)]
    if chosen.caught + chosen.refused == chosen.tried:
        return
    better = tuple(replace(one, caught=one.caught + 1) if one is chosen else one for one in grades)
    after = smallest_caught(better)
    assert before is None or (after is not None and after.size <= before.size)


@given(series())
def test_an_interval_holds_its_share_and_plain_values_come_back(grades: Series) -> None:
    for one in grades:
        low, high = one.interval
        assert 0 <= low <= one.share + 1e-9
        assert one.share - 1e-9 <= high <= 1
    found = Capability(100.0, 3, grades)
    assert Capability.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    told = json.loads(json.dumps(found.report(), allow_nan=False))
    assert [one["share"] for one in told["grades"]] == [one.share for one in grades]
    assert len(told["sentences"]) == 1


def test_what_is_caught_is_told_in_a_sentence_with_its_counts() -> None:
    found = Capability(100.0, 8, scratches(3, 6, 12, 12))
    (said,) = found.sentences()
    assert said == (
        "the smallest scratch of contrast 60 caught 95 % of the time: width 3 px (12 of 12, 95 % interval 76% to 100%)"
    )
    assert found.summary == "Made-up flaws, 12 of each size, on 8 good parts that were not trained on:"
    (said,) = found.sentences(mm_per_pixel=0.15)
    assert "width 0.45 mm (3 px)" in said


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_cannot_be_meant_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Capability(100.0, 8, scratches(12)).sentences(mm_per_pixel=scale)


def test_the_smallest_tried_is_said_to_be_the_smallest_tried() -> None:
    (said,) = Capability(100.0, 8, scratches(12, 12)).sentences()
    assert "width 1 px, the smallest tried (12 of 12" in said


def test_nothing_caught_is_said_so() -> None:
    (said,) = Capability(100.0, 8, scratches(0, 2, 11)).sentences()
    assert said == (
        "no scratch of contrast 60 was caught 95 % of the time, up to width 3 px, the largest tried "
        "(11 of 12, 95 % interval 65% to 99%)"
    )


def test_too_few_tried_say_nothing() -> None:
    (said,) = Capability(100.0, 1, scratches(4, 4, tried=4)).sentences()
    assert said == "scratch of contrast 60: too few were tried to say anything (4 of each size)"


def test_a_refused_picture_is_no_pass_and_is_told_apart() -> None:
    refused = Grade("spot", 12.4, 120.0, 12, 9, 3)
    assert refused.share == 1
    (said,) = Capability(100.0, 8, (refused,)).sentences()
    assert "diameter 12 px" in said
    assert "12 of 12, 3 of them refused by the fixture, 95 %" in said


def test_each_kind_and_contrast_has_its_sentence_and_order_does_not_matter() -> None:
    grades = (*scratches(12, 0), *scratches(12, 12, contrast=30.0), Grade("spot", 4.0, 60.0, 6, 6))
    found = Capability(50.0, 2, grades)
    assert found.sentences() == Capability(50.0, 2, grades[::-1]).sentences()
    starts = [said.split(" (")[0] for said in found.sentences()]
    assert starts == [
        "the smallest spot of contrast 60 caught 95 % of the time: diameter 4 px, the smallest tried",
        "the smallest scratch of contrast 30 caught 95 % of the time: width 1 px, the smallest tried",
        "no scratch of contrast 60 was caught 95 % of the time, up to width 2 px, the largest tried",
    ]
    assert "6 to 12 of each size, on 2 good parts" in found.summary


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "dent"}, "'dent' is unknown"), ({"kind": ["spot"]}, "is unknown"), ({"size": 0}, "above 0"),
        ({"size": "3"}, "no number"), ({"contrast": -1.0}, "above 0"), ({"tried": 0, "caught": 0}, "does not add up"),
        ({"caught": 13}, "does not add up"), ({"refused": -1}, "does not add up"),
        ({"caught": 8, "refused": 5}, "does not add up"), ({"tried": 12.5}, "no whole number"),
        ({"caught": True}, "no whole number"),
    ],
)  # fmt: skip
def test_a_grade_that_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    values = Capability(100.0, 8, scratches(6)).to_dict()
    values["grades"][0] |= changes
    with pytest.raises(ValueError, match=said):
        Capability.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grades": "many"}, "grades are a list"), ({"grades": [None]}, "is not one"), ({"grades": None}, "is not one"),
        ({"pictures": -1, "grades": []}, "cannot be"), ({"pictures": 0}, "cannot be"), ({"part_side": -1}, "cannot be"),
        ({"part_side": float("nan")}, "no number"), ({"pictures": "8"}, "no whole number"),
    ],
)  # fmt: skip
def test_a_capability_that_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Capability.from_dict(Capability(100.0, 8, scratches(6)).to_dict() | changes)


@pytest.mark.parametrize("name", ["part_side", "pictures", "grades"])
def test_a_capability_with_a_part_missing_is_refused(name: str) -> None:
    values = Capability(100.0, 8, scratches(6)).to_dict()
    del values[name]
    with pytest.raises(ValueError, match=f"is not one: KeyError.*{name}"):
        Capability.from_dict(values)
    with pytest.raises(ValueError, match="is not one"):
        Capability.from_dict([])  # type: ignore[arg-type]


def test_a_grade_told_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Capability(100.0, 8, (*scratches(6), *scratches(7)))
