"""Part accounting as the Line page shows it: sums by camera, and where what is missing is missing. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.records.books import Books, SessionBook
from core.records.minutes import CameraBook
from dashboard.drawing.counters import Account


@dataclass(frozen=True, slots=True)
class Accounts:
    """The cameras' minutes since the period began, and the sessions of the last hour with their gaps."""

    cameras: Mapping[str, CameraBook]
    checked: Books

    @classmethod
    def of(cls, cameras: Iterable[CameraBook], checked: Books) -> "Accounts":
        """By camera."""
        return cls({book.camera: book for book in cameras}, checked)

    def sessions(self, camera: str) -> list[SessionBook]:
        """The camera's sessions of the last hour, newest first."""
        return [book for book in self.checked.sessions if book.camera == camera]

    def gaps(self, camera: str) -> int | None:
        """Frames of the camera that were passed over; None where nothing is known of it."""
        known = self.sessions(camera)
        return sum(book.missing for book in known) if known or camera in self.cameras else None

    def unaccounted(self, camera: str) -> int | None:
        """Parts of the camera that nobody can account for: without a verdict, passed over, or without a route."""
        book, gaps = self.cameras.get(camera), self.gaps(camera)
        if book is None:
            return gaps
        return max(book.residual, gaps or 0, book.unrouted or 0)

    def account(self, names: Iterable[str]) -> Account:
        """The sums over these cameras; None stands for what nothing is known of."""
        asked = list(names)
        books = [self.cameras[name] for name in asked if name in self.cameras]
        triggered = [book.triggered for book in books if book.triggered is not None]
        captured = [book.captured for book in books if book.captured is not None]
        found = {name: self.unaccounted(name) for name in asked}
        known = [count for count in found.values() if count is not None]
        missing = [count for name in asked if (count := self.gaps(name)) is not None]
        return Account(
            triggered=sum(triggered) if triggered else None,
            captured=sum(captured) if captured else None,
            judged=sum(book.judged for book in books) if books else None,
            under_way=sum(book.under_way for book in books),
            unaccounted=sum(known) if known else None,
            by_camera=tuple((name, count) for name, count in found.items() if count),
            missing=sum(missing) if missing else None,
            duplicates=self.checked.duplicates,
        )
