"""
Folders of pictures, in any of the layouts that data sets come in: what trains, what tests, which parts are the same.

What a layout looks like stands at the top of its file in model/layouts. A new one is a Layout with a line in LAYOUTS.
"""

from pathlib import Path

from model.layouts.contents import (
    GOOD,
    Dataset,
    DatasetBroken,
    DatasetEmpty,
    DatasetUnusable,
    LabelledPicture,
    Layout,
)
from model.layouts.kolektor import KOLEKTOR_SDD
from model.layouts.listing import folders_in
from model.layouts.magnetic_tile import MAGNETIC_TILE
from model.layouts.mvtec import BTAD, MVTEC_AD, MVTEC_AD_2
from model.layouts.plain import FLAT, KINDS
from model.layouts.visa import VISA

__all__ = [
    "GOOD", "LAYOUTS", "Dataset", "DatasetBroken", "DatasetEmpty", "DatasetUnusable", "LabelledPicture", "Layout",
    "find_datasets", "open_dataset",
]  # fmt: skip

LAYOUTS = (MVTEC_AD_2, MVTEC_AD, BTAD, VISA, KOLEKTOR_SDD, MAGNETIC_TILE, KINDS, FLAT)
"""Every layout that is read; the first that recognises a folder has it, so the particular stand before the general."""


def open_dataset(root: Path, *, layout: str | None = None) -> Dataset:
    """List a folder's pictures by role; pictures are opened only where a layout has its labels in them.

    layout: the name of one in LAYOUTS; None to recognise it. The same folder is always divided in the same way. Raises
    DatasetEmpty where there is no data set, or several; DatasetBroken; ValueError for a layout that nobody knows.
    """
    _must_be_a_folder(root)
    if layout is None:
        found = _layout_of(root)
        if found is None:
            raise DatasetEmpty(_nothing_in(root))
        return found.read(root)
    chosen = next((known for known in LAYOUTS if known.name == layout), None)
    if chosen is None:
        raise ValueError(f"no layout {layout!r}; choose one of {', '.join(known.name for known in LAYOUTS)}")
    if not chosen.recognises(root):
        raise DatasetEmpty(f"{root}: is not laid out as {layout}, which is known by {chosen.looks}")
    return chosen.read(root)


def find_datasets(root: Path) -> list[Path]:
    """The data sets at a folder: itself if it is one, else those directly in it, by name; none if there are none.

    Directly in it, a folder with nothing but pictures does not count: it may be anything. Raises DatasetEmpty where
    there is no folder.
    """
    _must_be_a_folder(root)
    return [root] if _layout_of(root) else _sets_in(root)


def _layout_of(root: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.recognises(root)), None)


def _sets_in(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if _layout_of(folder) not in (None, FLAT)]


def _must_be_a_folder(root: Path) -> None:
    if not root.is_dir():
        raise DatasetEmpty(f"{root}: no such folder; give a folder of pictures of good parts")


def _nothing_in(root: Path) -> str:
    sets = [folder.name for folder in _sets_in(root)]
    if sets:
        return f"{root}: is no data set but holds some; give one of its folders {', '.join(sets)}"
    known = ", ".join(layout.looks for layout in LAYOUTS if layout is not FLAT)
    return (
        f"{root}: no pictures there, nor what a data set is known by: {known}; put pictures of good parts into the "
        "folder, or into train/good in it"
    )
