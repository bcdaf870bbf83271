"""Verdicts that may still come for parts that are gone: whose id they carry, no later part is trusted. Pure: no I/O."""

from collections import Counter, OrderedDict
from collections.abc import Iterable

MOST_OWED = 10_000


class Owed:
    """By part id, how many views of each camera have not come; the oldest ids are forgotten first."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, Counter[str]] = OrderedDict()

    def __contains__(self, part_id: str) -> bool:
        return part_id in self._views

    def owe(self, part_id: str, cameras: Iterable[str]) -> None:
        """These cameras have not told of a part that is gone."""
        if missing := Counter(cameras):
            self._views.setdefault(part_id, Counter()).update(missing)
        while len(self._views) > MOST_OWED:
            self._views.popitem(last=False)

    def pay(self, part_id: str, camera: str) -> bool:
        """Whether a part that is gone still owed this view."""
        owed = self._views.get(part_id)
        if not owed or camera not in owed:
            return False
        owed[camera] -= 1
        owed += Counter()  # drops what is paid
        if not owed:
            del self._views[part_id]
        return True
