"""
Folders that a person made: pictures of good parts in one folder, or a folder for each kind of part.

    flat      pictures directly in the folder: all are good parts, and all train; test/KIND beside them may test
    kinds     good/ (or ok/, normal/) beside a folder for each kind of defect, and no train/; masks may lie in
              ground_truth/KIND, as in MVTec AD

Of kinds, one in five good pictures tests with the defective ones, whole groups at a time; without defective ones all
good pictures train. groups.csv (columns path and group) may say which pictures show the same part; copies of a file
always count as one.
"""

from pathlib import Path

from model.layouts.contents import GOOD, Dataset, DatasetEmpty, Layout
from model.layouts.division import drawn_groups, with_copies
from model.layouts.listing import MASKS, folders_in, groups_in, labelled_in, pictures_in

TEST_SHARE = 0.2
GOOD_NAMES = frozenset({GOOD, "ok", "normal"})


def _read_flat(root: Path) -> Dataset:
    return Dataset(root, pictures_in(root), tuple(labelled_in(root / "test", root / MASKS)), groups_in(root))


def _read_kinds(root: Path) -> Dataset:
    pictures = labelled_in(root, root / MASKS, GOOD_NAMES)
    good = [picture.path for picture in pictures if picture.is_good]
    if not good:
        empty = ", ".join(str(folder) for folder in _good_folders(root))
        raise DatasetEmpty(f"{empty}: no pictures there; put pictures of good parts there")
    groups = groups_in(root)
    if len(good) == len(pictures):
        return Dataset(root, tuple(good), groups=groups)
    named = with_copies({path: groups.get(path, path.relative_to(root).as_posix()) for path in good})
    tested = drawn_groups(named.values(), TEST_SHARE)
    train = tuple(path for path in good if named[path] not in tested)
    test = tuple(picture for picture in pictures if not picture.is_good or named[picture.path] in tested)
    return Dataset(root, train, test, groups)


def _good_folders(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if folder.name.lower() in GOOD_NAMES]


def _has_kinds(root: Path) -> bool:
    return bool(_good_folders(root)) and not (root / "train").is_dir()


FLAT = Layout("flat", "pictures of good parts", recognises=lambda root: bool(pictures_in(root)), read=_read_flat)
KINDS = Layout("kinds", "good beside a folder for each kind of defect", recognises=_has_kinds, read=_read_kinds)
