"""
Folders of pictures: the MVTec AD layout, a folder with only train/good, or just pictures in a folder.

    root/train/good/*            normal, to learn from
    root/test/<kind>/*           good or a kind of defect: the folder's name is the label
    root/ground_truth/<kind>/<name>_mask.png     above 0 where defective; may be missing
    root/groups.csv              optional: columns path and group; pictures of one part share a group
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model.pictures import find_pictures

GOOD = "good"


class DatasetEmpty(ValueError):
    """A folder holds nothing to learn from or test on; the message says what was looked for."""


@dataclass(frozen=True)
class LabelledPicture:
    """A test picture, its label (the folder's name) and its mask file where there is one."""

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def is_good(self) -> bool:
        """Whether the folder says that this part is good."""
        return self.kind == GOOD


@dataclass(frozen=True)
class Dataset:
    """What a folder holds; `groups` names, by path, the physical part that several pictures may share."""

    root: Path
    train: tuple[Path, ...]
    test: tuple[LabelledPicture, ...] = ()
    groups: Mapping[Path, str] = field(default_factory=dict)


def open_dataset(root: Path) -> Dataset:
    """List a folder's pictures by role; reads no picture.

    A folder without train/good is taken as flat: every picture in it is a good part. Raises DatasetEmpty.
    """
    if not root.is_dir():
        raise DatasetEmpty(f"{root}: no such folder; give a folder of pictures of good parts")
    nested = root / "train" / GOOD
    train = tuple(find_pictures(nested if nested.is_dir() else root))
    if not train:
        raise DatasetEmpty(
            f"{root}: no pictures in {nested} nor in the folder itself; put pictures of good parts there"
        )
    return Dataset(root, train, _test_pictures(root), _groups(root))


def _test_pictures(root: Path) -> tuple[LabelledPicture, ...]:
    if not (root / "test").is_dir():
        return ()
    kinds = sorted(path for path in (root / "test").iterdir() if path.is_dir())
    return tuple(
        LabelledPicture(path, kind.name, _mask_of(root, path)) for kind in kinds for path in find_pictures(kind)
    )


def _mask_of(root: Path, path: Path) -> Path | None:
    folder = root / "ground_truth" / path.parent.name
    named = (folder / f"{path.stem}_mask.png", folder / f"{path.stem}.png")  # MVTec AD's name, then VisA's
    return next((mask for mask in named if mask.is_file()), None)


def _groups(root: Path) -> dict[Path, str]:
    table = root / "groups.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if not {"path", "group"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{table}: needs the columns path and group, has {rows.fieldnames}")
        return {root / row["path"]: row["group"] for row in rows}
