"""
MVTec AD and what lies like it: a folder for each role, and in it a folder for each kind of part.

    MVTec AD       train/good, test/good, test/KIND, ground_truth/KIND/NAME_mask.png
    MPDD           the same; so is VisA once prepared, with masks called NAME.png
    BTAD           train/ok, test/ok, test/ko, ground_truth/ko/NAME.png or .bmp
    MVTec AD 2     train/good, validation/good, test_public/good, test_public/bad, test_public/ground_truth/bad

Where there is validation/good, it is held out for calibration. The private test sets of MVTec AD 2 (test_private,
test_private_mixed) have no labels and are left out. groups.csv (columns path and group) may say which pictures show
the same part.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model.layouts.contents import GOOD, Dataset, DatasetEmpty, Layout
from model.layouts.listing import MASKS, groups_in, labelled_in, pictures_in


@dataclass(frozen=True)
class _Names:
    """What such a set calls its folders; `masks` from its root."""

    good: str = GOOD
    test: str = "test"
    masks: str = MASKS


def _read(root: Path, names: _Names) -> Dataset:
    folder = root / "train" / names.good
    train = pictures_in(folder)
    if not train:
        raise DatasetEmpty(f"{folder}: no pictures there; put pictures of good parts there")
    test = tuple(labelled_in(root / names.test, root / names.masks, (names.good,)))
    return Dataset(root, train, test, groups_in(root), pictures_in(root / "validation" / names.good))


def _is_ad_2(root: Path) -> bool:
    return (root / "train" / GOOD).is_dir() and (root / "test_public").is_dir()


MVTEC_AD = Layout(
    "mvtec_ad",
    "train/good (MVTec AD, MPDD, VisA once prepared)",
    recognises=lambda root: (root / "train" / GOOD).is_dir(),
    read=partial(_read, names=_Names()),
)
MVTEC_AD_2 = Layout(
    "mvtec_ad_2",
    "train/good and test_public (MVTec AD 2)",
    recognises=_is_ad_2,
    read=partial(_read, names=_Names(test="test_public", masks=f"test_public/{MASKS}")),
)
BTAD = Layout(
    "btad",
    "train/ok (BTAD)",
    recognises=lambda root: (root / "train" / "ok").is_dir(),
    read=partial(_read, names=_Names(good="ok")),
)
