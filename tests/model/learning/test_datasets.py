import itertools
from pathlib import Path

import pytest
from torch import nn

from model.datasets import (
    LAYOUTS,
    DatasetBroken,
    DatasetEmpty,
    DatasetUnusable,
    Layout,
    find_datasets,
    open_dataset,
)
from model.learning import LearnOptions, _Job
from tests.model.learning.conftest import part, write


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def job(destination: Path) -> _Job:
    options = LearnOptions(size=64, fixture="none", flat=False)
    return _Job(options, destination, lambda *_: None, lambda: False)


def test_the_mvtec_layout_gives_labels_and_masks(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/2.png", "test/crack/3.png", "test/crack/4.png")
    put(tmp_path, "ground_truth/crack/3_mask.png")
    dataset = open_dataset(tmp_path)
    assert [path.name for path in dataset.train] == ["1.png"]
    by_name = {picture.path.name: picture for picture in dataset.test}
    assert by_name["2.png"].is_good
    assert by_name["3.png"].kind == "crack"
    assert by_name["3.png"].mask == tmp_path / "ground_truth/crack/3_mask.png"
    assert by_name["4.png"].mask is None


def test_a_folder_with_only_good_parts_has_no_test_pictures(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png")
    assert open_dataset(tmp_path).test == ()


def test_a_flat_folder_is_taken_as_good_parts(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.jpg", "readme.txt")
    assert [path.name for path in open_dataset(tmp_path).train] == ["a.jpg", "b.png"]


def test_groups_are_read_by_path(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png")
    (tmp_path / "groups.csv").write_text("path,group,exposure\ntrain/good/1.png,7,3\n")
    assert open_dataset(tmp_path).groups == {tmp_path / "train/good/1.png": "7"}


def test_a_groups_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png")
    (tmp_path / "groups.csv").write_text("file,tile\n")
    with pytest.raises(DatasetBroken, match="needs the columns path and group"):
        open_dataset(tmp_path)


def test_a_groups_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png")
    (tmp_path / "groups.csv").write_bytes(b"path,group\n\xff\xfe,1\n")
    with pytest.raises(DatasetBroken, match="should be a CSV file in UTF-8"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_or_missing_folder_is_refused(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "parts"
    if made:
        root.mkdir()
    with pytest.raises(DatasetEmpty, match="parts"):
        open_dataset(root)


@pytest.mark.parametrize(("folder", "layout"), [("train/good", "mvtec_ad"), ("train/ok", "btad"), ("good", "kinds")])
def test_a_folder_for_good_parts_that_is_empty_is_named(tmp_path: Path, folder: str, layout: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    for asked in (None, layout):
        with pytest.raises(DatasetEmpty, match=f"{folder}: no pictures there; put"):
            open_dataset(tmp_path, layout=asked)


def test_a_folder_of_several_sets_is_refused_and_names_them(tmp_path: Path) -> None:
    put(tmp_path, "bottle/train/good/1.png", "cable/train/ok/1.png", "licences/readme.txt", "extras/1.png")
    with pytest.raises(DatasetEmpty, match=r"is no data set but holds some; give one of its folders bottle, cable$"):
        open_dataset(tmp_path)


def test_a_folder_without_any_set_says_what_would_be_one(tmp_path: Path) -> None:
    put(tmp_path, "extras/1.png")
    with pytest.raises(DatasetEmpty, match=r"no pictures there, .*train/good.*kosNN.*put pictures of good parts"):
        open_dataset(tmp_path)


def test_sets_are_found_in_a_folder_or_are_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "cable/train/ok/1.png", "bottle/train/good/1.png", "bottle/test/good/1.png", "extras/1.png")
    put(tmp_path, ".hidden/train/good/1.png")
    assert find_datasets(tmp_path) == [tmp_path / "bottle", tmp_path / "cable"]
    assert find_datasets(tmp_path / "cable") == [tmp_path / "cable"]
    assert find_datasets(tmp_path / "extras") == [tmp_path / "extras"]
    assert find_datasets(tmp_path / "bottle/train/good") == [tmp_path / "bottle/train/good"]


def test_where_there_are_no_sets_none_are_found(tmp_path: Path) -> None:
    assert find_datasets(tmp_path) == []
    with pytest.raises(DatasetEmpty, match="no such folder"):
        find_datasets(tmp_path / "parts")


def test_every_layout_has_a_name_of_its_own() -> None:
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)


def test_a_layout_that_nobody_knows_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no layout 'coco'; choose one of .*mvtec_ad.*flat"):
        open_dataset(tmp_path, layout="coco")


def test_a_layout_may_be_told_where_two_would_do(tmp_path: Path) -> None:
    put(tmp_path, "overview.png", "good/1.png", "scratch/2.png")
    assert [path.name for path in open_dataset(tmp_path).train] == ["1.png"]
    assert [path.name for path in open_dataset(tmp_path, layout="flat").train] == ["overview.png"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_that_a_folder_does_not_have_is_refused(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(DatasetEmpty, match=f"is not laid out as {layout.name}, which is known by"):
        open_dataset(tmp_path, layout=layout.name)


@pytest.mark.parametrize("broken", [DatasetEmpty, DatasetBroken])
def test_whoever_catches_the_root_catches_all(broken: type[DatasetUnusable]) -> None:
    assert issubclass(broken, DatasetUnusable)


def test_pictures_that_a_set_holds_out_calibrate(tmp_path: Path) -> None:
    numbers = itertools.count()
    for folder, count in (("train", 6), ("validation", 3), ("test_public", 2)):
        for _ in range(count):
            write(tmp_path / f"set/{folder}/good/{next(numbers)}.png", part(next(numbers)))
    golden, extra = job(tmp_path / "m").read(tmp_path / "set", (), nn.Identity())
    assert {path.parent.parent.name for path in golden.paths} == {"train"}
    assert extra is not None
    assert len(extra.paths) == 3
    assert {path.parent.parent.name for path in extra.paths} == {"validation"}


def test_pictures_that_the_caller_holds_out_go_before_those_of_the_set(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"set/train/good/{number}.png", part(number))
    write(tmp_path / "set/validation/good/0.png", part(10))
    mine = write(tmp_path / "mine.png", part(11))
    _, extra = job(tmp_path / "m").read(tmp_path / "set", (mine,), nn.Identity())
    assert extra is not None
    assert extra.paths == (mine,)


def test_a_set_that_holds_nothing_out_leaves_that_to_the_split(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"set/{number}.png", part(number))
    _, extra = job(tmp_path / "m").read(tmp_path / "set", (), nn.Identity())
    assert extra is None
