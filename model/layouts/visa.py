"""
VisA as it is released: the folder of one class, and its official one-class split beside it.

    CLASS/Data/Images/Normal, CLASS/Data/Images/Anomaly, CLASS/Data/Masks/Anomaly/NAME.png
    split_csv/1cls.csv      columns object, split, label, image and mask; paths begin with the class

Source: Zou et al. 2022, SPot-the-Difference.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from model.layouts.contents import GOOD, Dataset, DatasetBroken, LabelledPicture, Layout
from model.layouts.listing import rows_of

COLUMNS = ("object", "split", "label", "image", "mask")
ROLES = {("train", "normal"), ("test", "normal"), ("test", "anomaly")}
SHOWN = 3  # of the missing files in a message

Row = Mapping[str, str]


def _read(root: Path) -> Dataset:
    home = root.resolve()  # "." has a name and a parent only so
    table = home.parent / "split_csv" / "1cls.csv"
    if not table.is_file():
        raise DatasetBroken(
            f"{root}: {table} is missing, which says what trains and what tests; put the release's split_csv there"
        )
    rows = [row for row in rows_of(table, COLUMNS) if row["object"] == home.name]
    _check(table, home.name, rows)
    train = tuple(_file(root, row["image"]) for row in rows if row["split"] == "train")
    test = tuple(_labelled(root, row) for row in rows if row["split"] == "test")
    named = (*train, *(path for picture in test for path in (picture.path, picture.mask) if path))
    missing = [path for path in named if not path.is_file()]
    if missing:
        shown = ", ".join(str(path) for path in missing[:SHOWN])
        raise DatasetBroken(
            f"{table}: names files of {home.name} that are not there, {len(missing)} in all, such as {shown}; copy or "
            "unpack the class again"
        )
    return Dataset(root, train, test)


def _check(table: Path, name: str, rows: Sequence[Row]) -> None:
    if not any(row["split"] == "train" for row in rows):
        raise DatasetBroken(
            f"{table}: has no training pictures of an object {name!r}; the folder must keep the name of its class"
        )
    for row in rows:
        if (row["split"], row["label"]) not in ROLES:
            raise DatasetBroken(
                f"{table}: {row['image']} has split {row['split']!r} and label {row['label']!r}; the one-class split "
                "trains on normal and tests on normal and anomaly"
            )


def _labelled(root: Path, row: Row) -> LabelledPicture:
    kind = GOOD if row["label"] == "normal" else row["label"]
    return LabelledPicture(_file(root, row["image"]), kind, _file(root, row["mask"]) if row["mask"] else None)


def _file(root: Path, named: str) -> Path:
    return root.joinpath(*PurePosixPath(named).parts[1:])  # without the class


VISA = Layout(
    "visa",
    "Data/Images/Normal (a class of VisA as released)",
    recognises=lambda root: (root / "Data" / "Images" / "Normal").is_dir(),
    read=_read,
)
