"""
Magnetic tile as it is released: a folder of good tiles and one for each kind of defect, masks beside the pictures.

    MT_Free/Imgs/expE_num_N.jpg, MT_Blowhole/Imgs, MT_Break/Imgs, MT_Crack/Imgs, MT_Fray/Imgs, MT_Uneven/Imgs
    each with expE_num_N.png, above 0 where defective

Each tile was photographed under up to six exposures, and the release does not say which pictures show the same one;
that is inferred from their names (rd-e.md, section 8). Whole tiles take sides: of those that are good in all their
pictures about four in five train and the others test, with all defective ones. Good pictures of tiles that are also
among the defective ones are used nowhere. Source: Huang et al. 2018, Surface defect saliency of magnetic tile.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from model.layouts.contents import GOOD, Dataset, DatasetBroken, DatasetEmpty, LabelledPicture, Layout
from model.layouts.division import drawn_groups
from model.layouts.listing import folders_in, pictures_in

TEST_SHARE = 0.195  # 32 of the 164 tiles that are good in all their pictures
LONGEST_JUMP = 300
MOST_PICTURES = 6
NAME = re.compile(r"exp(\d+)_num_(\d+)")
PHOTOGRAPHS = {".jpg", ".jpeg"}  # the others are masks
FREE = "MT_Free"


def tile_groups(names: Iterable[str]) -> dict[str, str]:
    """Which tile each picture shows, a number by its name expE_num_N without suffix.

    In the order of N a new tile begins when the exposure E repeats, when N jumps by more than 300, or after six
    pictures. Needs the names of the whole release: a gap shifts what follows it. Raises DatasetBroken for other names.
    """
    groups: dict[str, str] = {}
    tile = -1
    exposures: list[int] = []
    last = 0
    for name in sorted(dict.fromkeys(names), key=_parsed):
        number, exposure = _parsed(name)
        if tile < 0 or exposure in exposures or number - last > LONGEST_JUMP or len(exposures) == MOST_PICTURES:
            tile += 1
            exposures = []
        exposures.append(exposure)
        last = number
        groups[name] = str(tile)
    return groups


def _parsed(name: str) -> tuple[int, int]:
    """N and E."""
    found = NAME.fullmatch(name)
    if not found:
        raise DatasetBroken(
            f"{name}: is not called expE_num_N, so nobody knows which tile it shows; take pictures of your own out "
            "of the folders of the release"
        )
    return int(found[2]), int(found[1])


def _read(root: Path) -> Dataset:
    kinds = {folder.name: _photographs(folder) for folder in folders_in(root) if folder.name.startswith("MT_")}
    free = kinds.pop(FREE, [])
    spoilt = [path for paths in kinds.values() for path in paths]
    tiles = tile_groups(path.stem for path in (*free, *spoilt))
    mixed = {tiles[path.stem] for path in spoilt}
    clean = [path for path in free if tiles[path.stem] not in mixed]
    if not clean:
        raise DatasetEmpty(f"{root / FREE / 'Imgs'}: no pictures of good tiles there; give the whole release")
    tested = drawn_groups((tiles[path.stem] for path in clean), TEST_SHARE)
    train = tuple(path for path in clean if tiles[path.stem] not in tested)
    good = tuple(LabelledPicture(path, GOOD) for path in clean if tiles[path.stem] in tested)
    defective = tuple(
        LabelledPicture(path, kind.removeprefix("MT_").lower(), _mask_of(path))
        for kind, paths in kinds.items()
        for path in paths
    )
    return Dataset(root, train, good + defective, {path: tiles[path.stem] for path in (*clean, *spoilt)})


def _photographs(folder: Path) -> list[Path]:
    return [path for path in pictures_in(folder / "Imgs") if path.suffix.lower() in PHOTOGRAPHS]


def _mask_of(path: Path) -> Path | None:
    mask = path.with_suffix(".png")
    return mask if mask.is_file() else None


MAGNETIC_TILE = Layout(
    "magnetic_tile",
    "MT_Free/Imgs (magnetic tile as released)",
    recognises=lambda root: (root / FREE / "Imgs").is_dir(),
    read=_read,
)
