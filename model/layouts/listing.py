"""Looking into the folders of a data set: what is there, in a fixed order, and no complaint about what is not."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from model.layouts.contents import GOOD, DatasetBroken, LabelledPicture
from model.pictures import find_pictures

MASKS = "ground_truth"


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Picture files directly in a folder, by name; none where there is no such folder."""
    return tuple(find_pictures(folder)) if folder.is_dir() else ()


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in a folder, by name, without hidden ones; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def labelled_in(root: Path, masks: Path, good: Collection[str] = (GOOD,)) -> list[LabelledPicture]:
    """The pictures in a root's folders, each labelled by its folder's name; masks lie in folders of the same names.

    masks: may be one of these folders, which is then no kind. good: what folders of good parts are called, lower case.
    """
    found: list[LabelledPicture] = []
    for folder in folders_in(root):
        if folder != masks:
            kind = GOOD if folder.name.lower() in good else folder.name
            found += _with_masks(folder, kind, masks / folder.name)
    return found


def groups_in(root: Path) -> dict[Path, str]:
    """What groups.csv says about which pictures show the same part; nothing without one. Raises DatasetBroken."""
    table = root / "groups.csv"
    if not table.is_file():
        return {}
    return {root / row["path"]: row["group"] for row in rows_of(table, ("path", "group"))}


def _with_masks(folder: Path, kind: str, masks: Path) -> list[LabelledPicture]:
    """A mask is known by its picture's name: NAME_mask (MVTec AD) or NAME (VisA, BTAD), with any suffix."""
    by_stem = {path.stem: path for path in pictures_in(masks)}
    return [
        LabelledPicture(path, kind, by_stem.get(f"{path.stem}_mask") or by_stem.get(path.stem))
        for path in pictures_in(folder)
    ]


def rows_of(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """These columns of a CSV file, "" where a row has none; raises DatasetBroken if it cannot be read so."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if not set(columns) <= set(reader.fieldnames or ()):
                wanted = f"{', '.join(columns[:-1])} and {columns[-1]}"
                raise DatasetBroken(f"{table}: needs the columns {wanted}, has {reader.fieldnames}")
            return [{name: row[name] or "" for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise DatasetBroken(f"{table}: cannot be read ({problem}); it should be a CSV file in UTF-8") from problem
