"""
Which groups of good parts test, for data sets that bring no division of their own.

Always the same for the same names, so that learning and testing, which open a folder one after the other, agree.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

SEED = 0  # not a parameter: a model that was taught by one division must never be tested by another


def drawn_groups(names: Iterable[str], share: float) -> frozenset[str]:
    """About `share` of the groups, 0 to 1, by chance; of two or more, at least one on each side, of fewer none.

    The order comes from a hash of each name: it depends on no library, and a new picture hardly moves the others.
    """
    order = sorted(set(names), key=_chance)
    if len(order) < 2:
        return frozenset()
    return frozenset(order[: min(max(round(share * len(order)), 1), len(order) - 1)])


def _chance(name: str) -> bytes:
    return hashlib.sha256(f"{SEED} {name}".encode(errors="surrogateescape")).digest()  # names need not be UTF-8


def with_copies(groups: Mapping[Path, str]) -> dict[Path, str]:
    """The groups, joined where files have the same bytes: a copy on the other side would be known by heart.

    Reads only files that have another one's size. Raises OSError.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in groups:
        by_size[path.stat().st_size].append(path)
    joined = dict(groups)
    for alike in by_size.values():
        first: dict[bytes, Path] = {}
        for path in alike if len(alike) > 1 else ():
            old, new = joined[path], joined[first.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)]
            if old != new:
                joined = {each: new if name == old else name for each, name in joined.items()}
    return joined
