"""
KolektorSDD: several pictures of each item, and a label picture for each, which is black where nothing is wrong.

    kosNN/PartM.jpg, kosNN/PartM_label.bmp

Nearly every item has a defect somewhere, and pictures of one item are not independent. So whole items take sides: half
of them train with their good parts, the others test. The defective parts of the items that train are used nowhere.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from model.layouts.contents import GOOD, Dataset, DatasetBroken, DatasetEmpty, LabelledPicture, Layout
from model.layouts.division import drawn_groups
from model.layouts.listing import folders_in, pictures_in
from model.pictures import PictureUnreadable, read_mask

TEST_SHARE = 0.5
DEFECT = "defect"
ITEM = re.compile(r"kos\d+", re.IGNORECASE)
PART = re.compile(r"part\d+", re.IGNORECASE)


def _read(root: Path) -> Dataset:
    items = _items(root)
    tested = drawn_groups((item.name for item in items), TEST_SHARE)
    train: list[Path] = []
    test: list[LabelledPicture] = []
    groups: dict[Path, str] = {}
    for item in items:
        for path, label in _parts(item):
            groups[path] = item.name
            defective = _is_defective(label)
            if item.name in tested:
                test.append(LabelledPicture(path, DEFECT, label) if defective else LabelledPicture(path, GOOD))
            elif not defective:
                train.append(path)
    if not train:
        raise DatasetEmpty(f"{root}: all parts of the items that would train are defective; give the whole release")
    return Dataset(root, tuple(train), tuple(test), groups)


def _items(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if ITEM.fullmatch(folder.name)]


def _parts(item: Path) -> Iterator[tuple[Path, Path]]:
    """Each picture of an item with its label picture; raises DatasetBroken where that is missing."""
    by_stem = {path.stem: path for path in pictures_in(item)}
    for stem, path in by_stem.items():
        if PART.fullmatch(stem):
            label = by_stem.get(f"{stem}_label")
            if label is None:
                raise DatasetBroken(
                    f"{path}: {stem}_label.bmp is missing, so nobody knows whether this part is good; copy it again"
                )
            yield path, label


def _is_defective(label: Path) -> bool:
    try:
        return bool(read_mask(label).any())
    except PictureUnreadable as problem:
        raise DatasetBroken(str(problem)) from problem


def _looks_like_it(root: Path) -> bool:
    return any(PART.fullmatch(path.stem) for item in _items(root) for path in pictures_in(item))


KOLEKTOR_SDD = Layout("kolektor_sdd", "kosNN/PartM.jpg (KolektorSDD)", recognises=_looks_like_it, read=_read)
