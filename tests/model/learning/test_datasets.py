from pathlib import Path

import pytest

from model.datasets import DatasetEmpty, open_dataset


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


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
    with pytest.raises(ValueError, match="needs the columns path and group"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_or_missing_folder_is_refused(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "parts"
    if made:
        root.mkdir()
    with pytest.raises(DatasetEmpty, match="parts"):
        open_dataset(root)
