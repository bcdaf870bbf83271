"""Folders that a person made, and what holds for any division of good parts."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.datasets import Dataset, open_dataset
from model.layouts.division import drawn_groups, with_copies
from tests.model.learning.conftest import write
from tests.model.learning.trees import all_files_are_pictures, labels, masks, picture, trained, write_all


@pytest.mark.parametrize("good", ["good", "ok", "normal", "OK"])
def test_good_beside_kinds_of_defects_is_split(tmp_path: Path, good: str) -> None:
    write_all(tmp_path, *(f"{good}/{number}.png" for number in range(10)))
    write_all(tmp_path, "scratch/a.jpg", "dent/b.bmp", "ground_truth/scratch/a_mask.png", ".cache/c.png")
    dataset = open_dataset(tmp_path)
    kinds = labels(dataset)
    assert (len(dataset.train), len(kinds)) == (8, 4)
    assert not trained(dataset) & set(kinds)
    assert sorted(kinds.values()) == ["dent", "good", "good", "scratch"]
    assert masks(dataset) == {"a.jpg": "ground_truth/scratch/a_mask.png"}
    assert all_files_are_pictures(dataset)
    assert open_dataset(tmp_path) == dataset


def test_good_without_any_defects_trains_altogether(tmp_path: Path) -> None:
    write_all(tmp_path, "good/0.png", "good/1.png")
    (tmp_path / "notes").mkdir()
    dataset = open_dataset(tmp_path)
    assert trained(dataset) == {"good/0.png", "good/1.png"}
    assert dataset.test == ()


def test_copies_of_a_file_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(5):
        for copy in "ab":
            write(tmp_path / f"good/{copy}{number}.bmp", picture(number))  # all files have the same size
    write_all(tmp_path, "dent/0.png")
    names = [{Path(name).stem[1] for name in found} for found in side_names(open_dataset(tmp_path))]
    assert [len(side) for side in names] == [4, 1]
    assert not names[0] & names[1]


def side_names(dataset: Dataset) -> tuple[set[str], set[str]]:
    return trained(dataset), {name for name, kind in labels(dataset).items() if kind == "good"}


def test_copies_join_the_groups_that_they_are_in(tmp_path: Path) -> None:
    groups: Mapping[Path, str] = {
        write(tmp_path / f"{number}.bmp", picture(shows)): group
        for number, (shows, group) in enumerate([(1, "a"), (2, "a"), (2, "b"), (3, "b"), (4, "c")])
    }
    assert list(with_copies(groups).values()) == ["a", "a", "a", "a", "c"]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=24))
def test_no_part_is_ever_on_both_sides(parts: list[int]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("good", "dent"):
            (root / name).mkdir()
        (root / "dent/0.png").write_bytes(b"dent")
        for number, _ in enumerate(parts):
            (root / f"good/{number}.png").write_bytes(f"{number}".encode())
        rows = [f"good/{number}.png,{part}" for number, part in enumerate(parts)]
        (root / "groups.csv").write_text("\n".join(["path,group", *rows]))
        dataset = open_dataset(root)
    training = {dataset.groups[path] for path in dataset.train}
    testing = {dataset.groups[one.path] for one in dataset.test if one.is_good}
    assert not training & testing
    assert training | testing == set(map(str, parts))
    assert training
    assert bool(testing) == (len(set(parts)) > 1)


@given(st.lists(st.text(max_size=8), max_size=40), st.floats(0, 1))
def test_a_division_takes_its_share_whatever_the_order(names: list[str], share: float) -> None:
    chosen = drawn_groups(names, share)
    count = len(set(names))
    assert chosen <= set(names)
    assert chosen == drawn_groups(reversed(names), share)
    assert len(chosen) == (0 if count < 2 else min(max(round(share * count), 1), count - 1))
