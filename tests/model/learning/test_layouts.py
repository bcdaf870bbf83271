"""Each layout on a small tree; magnetic tile and folders that are divided by chance have files of their own."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.datasets import DatasetBroken, DatasetEmpty, find_datasets, open_dataset
from model.pictures import read_mask
from tests.model.learning.conftest import write
from tests.model.learning.trees import all_files_are_pictures, label, labels, masks, picture, trained, write_all

SPLIT = "object,split,label,image,mask"
TRAINS = "candle,train,normal,candle/Data/Images/Normal/0001.JPG,"


# MVTec AD and what lies like it


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_btad_calls_good_parts_ok_and_its_masks_like_their_pictures(tmp_path: Path, suffix: str) -> None:
    write_all(tmp_path, "train/ok/0.bmp", "train/ok/1.bmp", "test/ok/2.bmp", "test/ko/3.bmp", "test/ko/4.bmp")
    write_all(tmp_path, f"ground_truth/ko/3.{suffix}")
    dataset = open_dataset(tmp_path)
    assert trained(dataset) == {"train/ok/0.bmp", "train/ok/1.bmp"}
    assert labels(dataset) == {"test/ok/2.bmp": "good", "test/ko/3.bmp": "ko", "test/ko/4.bmp": "ko"}
    assert masks(dataset) == {"3.bmp": f"ground_truth/ko/3.{suffix}"}
    assert all_files_are_pictures(dataset)


def test_mvtec_ad_2_calibrates_on_its_validation_and_leaves_its_private_tests_out(tmp_path: Path) -> None:
    write_all(tmp_path, "train/good/000_regular.png", "validation/good/000_regular.png")
    write_all(tmp_path, "test_public/good/000_regular.png", "test_public/bad/000_shift_1.png")
    write_all(tmp_path, "test_public/ground_truth/bad/000_shift_1_mask.png")
    write_all(tmp_path, "test_private/000_regular.png", "test_private_mixed/000_mixed.png")
    dataset = open_dataset(tmp_path)
    assert trained(dataset) == {"train/good/000_regular.png"}
    assert dataset.held_out == (tmp_path / "validation/good/000_regular.png",)
    assert labels(dataset) == {"test_public/good/000_regular.png": "good", "test_public/bad/000_shift_1.png": "bad"}
    assert masks(dataset) == {"000_shift_1.png": "test_public/ground_truth/bad/000_shift_1_mask.png"}
    assert all_files_are_pictures(dataset)


def test_mpdd_is_read_as_mvtec_ad(tmp_path: Path) -> None:
    write_all(tmp_path, "train/good/0.png", "test/good/1.png", "test/hole/2.png", "test/scratches/3.png")
    write_all(tmp_path, "ground_truth/hole/2_mask.png", "ground_truth/scratches/3_mask.png")
    dataset = open_dataset(tmp_path)
    assert set(labels(dataset).values()) == {"good", "hole", "scratches"}
    assert masks(dataset) == {"2.png": "ground_truth/hole/2_mask.png", "3.png": "ground_truth/scratches/3_mask.png"}
    assert dataset.held_out == ()


# VisA


def visa(home: Path, name: str = "candle") -> Path:
    """A class with three good and two defective pictures, and the split of two classes."""
    root = home / name
    write_all(root, *(f"Data/Images/Normal/{number:04}.JPG" for number in range(3)))
    write_all(root, *(f"Data/Images/Anomaly/{number:03}.JPG" for number in range(2)))
    write_all(root, *(f"Data/Masks/Anomaly/{number:03}.png" for number in range(2)))
    split(
        home,
        SPLIT,
        TRAINS,
        "candle,train,normal,candle/Data/Images/Normal/0002.JPG,",
        "candle,test,normal,candle/Data/Images/Normal/0000.JPG,",
        "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png",
        "candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png",
        "pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,",
    )
    return root


def split(home: Path, *lines: str) -> None:
    (home / "split_csv").mkdir(exist_ok=True)
    (home / "split_csv/1cls.csv").write_text("\n".join(lines) + "\n")


def test_visa_as_released_keeps_its_official_split(tmp_path: Path) -> None:
    dataset = open_dataset(visa(tmp_path))
    assert trained(dataset) == {"Data/Images/Normal/0001.JPG", "Data/Images/Normal/0002.JPG"}
    assert labels(dataset) == {
        "Data/Images/Normal/0000.JPG": "good",
        "Data/Images/Anomaly/000.JPG": "anomaly",
        "Data/Images/Anomaly/001.JPG": "anomaly",
    }
    assert masks(dataset) == {"000.JPG": "Data/Masks/Anomaly/000.png", "001.JPG": "Data/Masks/Anomaly/001.png"}
    assert all_files_are_pictures(dataset)


def test_visa_may_be_given_as_the_folder_that_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(visa(tmp_path))
    assert trained(open_dataset(Path())) == {"Data/Images/Normal/0001.JPG", "Data/Images/Normal/0002.JPG"}


def test_visa_once_prepared_is_read_as_mvtec_ad(tmp_path: Path) -> None:
    write_all(tmp_path, "train/good/0001.JPG", "test/good/0000.JPG", "test/bad/000.JPG", "ground_truth/bad/000.png")
    dataset = open_dataset(tmp_path)
    assert labels(dataset) == {"test/good/0000.JPG": "good", "test/bad/000.JPG": "bad"}
    assert masks(dataset) == {"000.JPG": "ground_truth/bad/000.png"}


def test_a_root_of_visa_names_its_classes(tmp_path: Path) -> None:
    visa(tmp_path)
    assert find_datasets(tmp_path) == [tmp_path / "candle"]
    with pytest.raises(DatasetEmpty, match="give one of its folders candle"):
        open_dataset(tmp_path)


def test_visa_without_its_split_says_where_that_belongs(tmp_path: Path) -> None:
    root = visa(tmp_path)
    shutil.rmtree(tmp_path / "split_csv")
    with pytest.raises(DatasetBroken, match=r"split_csv/1cls.csv is missing, .* put the release's split_csv there"):
        open_dataset(root)


def test_files_that_a_split_names_must_be_there(tmp_path: Path) -> None:
    root = visa(tmp_path)
    (root / "Data/Images/Normal/0001.JPG").unlink()
    (root / "Data/Masks/Anomaly/001.png").unlink()
    with pytest.raises(DatasetBroken, match=r"not there, 2 in all, such as .*0001.JPG, .*001.png; copy"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["object,split,label", "candle,train,normal"], "needs the columns object, split, label, image and mask"),
        ([SPLIT, "candle,train,anomaly,candle/1.JPG,"], "split 'train' and label 'anomaly'"),
        ([SPLIT, TRAINS, "candle,later,normal,candle/1.JPG,"], "split 'later' and label 'normal'"),
        ([SPLIT, "pcb1,train,normal,pcb1/1.JPG,"], "no training pictures of an object 'candle'; the folder must keep"),
        ([SPLIT, TRAINS, "candle,train,normal"], "names files of candle that are not there, 1 in all"),
        ([], "needs the columns"),
    ],
)
def test_a_split_that_cannot_be_meant_is_refused(tmp_path: Path, lines: Sequence[str], reason: str) -> None:
    root = visa(tmp_path)
    split(tmp_path, *lines)
    with pytest.raises(DatasetBroken, match=reason):
        open_dataset(root)


# KolektorSDD


def kolektor(root: Path, items: int = 6, *, parts: int = 3) -> Path:
    """Items of which one part each is defective, as in the release nearly."""
    for item in range(1, items + 1):
        for number in range(parts):
            write(root / f"kos{item:02}/Part{number}.jpg", picture(item * parts + number))
            write(root / f"kos{item:02}/Part{number}_label.bmp", label(defective=number == item % parts))
    return root


def test_kolektor_is_split_by_item_and_learns_from_good_parts_alone(tmp_path: Path) -> None:
    dataset = open_dataset(kolektor(tmp_path))
    training, testing = {path.parent.name for path in dataset.train}, {one.path.parent.name for one in dataset.test}
    assert (len(training), len(testing)) == (3, 3)
    assert not training & testing
    assert len(dataset.train) == 6  # of nine parts; the three defective ones are used nowhere
    assert not any(read_mask(path.with_name(f"{path.stem}_label.bmp")).any() for path in dataset.train)
    assert sorted(one.kind for one in dataset.test) == ["defect"] * 3 + ["good"] * 6
    assert {one.path.with_name(f"{one.path.stem}_label.bmp") == one.mask for one in dataset.test} == {True, False}
    assert all((one.mask is None) == one.is_good for one in dataset.test)
    assert all(dataset.groups[path] == path.parent.name for path in (*dataset.train, *(t.path for t in dataset.test)))
    assert all_files_are_pictures(dataset)


def test_kolektor_wherever_it_lies_is_split_in_the_same_way(tmp_path: Path) -> None:
    one, other = open_dataset(kolektor(tmp_path / "one")), open_dataset(kolektor(tmp_path / "deep/other"))
    assert trained(one) == trained(other)
    assert labels(one) == labels(other)


def test_a_part_of_kolektor_without_its_label_is_refused(tmp_path: Path) -> None:
    (kolektor(tmp_path) / "kos02/Part1_label.bmp").unlink()
    with pytest.raises(DatasetBroken, match=r"Part1.jpg: Part1_label.bmp is missing"):
        open_dataset(tmp_path)


def test_a_damaged_label_is_refused_and_named(tmp_path: Path) -> None:
    (kolektor(tmp_path) / "kos02/Part1_label.bmp").write_bytes(b"")
    with pytest.raises(DatasetBroken, match=r"Part1_label.bmp: the file is empty"):
        open_dataset(tmp_path)


def test_kolektor_without_a_good_part_to_learn_from_is_refused(tmp_path: Path) -> None:
    for item in ("kos01", "kos02"):
        write(tmp_path / item / "Part0.jpg", picture(0))
        write(tmp_path / item / "Part0_label.bmp", label(defective=True))
    with pytest.raises(DatasetEmpty, match="all parts of the items that would train are defective"):
        open_dataset(tmp_path)
