"""The Line page's document: read the books, apply the rules, draw. What costs more is read less often."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Connection

from core.errors import SettingsInvalid, StoreUnavailable
from core.records import alerts as records
from core.records.inspections import Inspected
from dashboard import alerts, words
from dashboard.accounts import Accounts
from dashboard.drawing import counters, lists, notes, tiles, topbar
from dashboard.drawing.books import held_books
from dashboard.drawing.strip import LENGTH
from dashboard.markup import Html
from dashboard.queries import accounts, cameras, counts, frames, models, waiting
from dashboard.shifts import day_start, shift_at
from dashboard.states import Signs, Standing, camera_standing, line_standing, pace
from dashboard.stores import Kept, Stores

FAST, SLOW, SLOWEST, NEVER_CHANGES = 0.4, 2.0, 5.0, 3600.0  # seconds that a value may be old
REJECTS = 16
COMPACT_ABOVE = 4
MOST_GAPS = 8
_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 4, 8: 4}
Slots = dict[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """HTML by the name of its place, and how the tiles are laid out."""

    slots: Slots
    cameras: int = 0

    def document(self) -> dict[str, object]:
        """As JSON takes it."""
        return {
            "slots": self.slots,
            "cameras": self.cameras,
            "columns": columns(self.cameras),
            "compact": self.cameras > COMPACT_ABOVE,
        }


def columns(number: int) -> int:
    """Tiles side by side on a wide screen."""
    return _COLUMNS.get(number, 4)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A camera as the books show it at one moment."""

    row: cameras.CameraRow
    report: cameras.Report | None
    frame: frames.Frame | None
    bars: tuple[frames.Bar, ...]
    standing: Standing


def utc_now() -> datetime:
    """The clock of the pages."""
    return datetime.now(UTC)


class Live:
    """Makes the document of the Line page and of the top bar, for all viewers together."""

    def __init__(self, stores: Stores, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._stores = stores
        self._clock = clock
        self._kept = Kept(monotonic)

    def page(self, *, today: bool = False) -> Page:
        """The whole page; where the books cannot be read, a note that says so and what to do."""
        return self._kept.get(("page", today), FAST, lambda: self._page(today=today))

    def top(self) -> Slots:
        """The right end of the top bar."""
        return {"top": self.page().slots["top"]}

    def _page(self, *, today: bool) -> Page:
        now = self._clock()
        try:
            with self._stores.reading() as connection:
                return self._read(connection, now, today=today)
        except (StoreUnavailable, SettingsInvalid) as problem:
            slots = {"top": topbar.unknown_top(now), "tile:note": notes.trouble(problem)}
            return Page(slots | {"counters": "", "rejects": "", "attention": "", "lost": notes.server_silent()})

    def _read(self, connection: Connection, now: datetime, *, today: bool) -> Page:
        start = day_start(now) if today else shift_at(now).start
        line = cameras.in_line(connection)
        shown = self._stores.live.newest([row.name for row in line])
        seen = [self._see(connection, row, now, shown.get(row.name)) for row in line]
        active = self._kept.get("models", SLOW, lambda: models.active_versions(connection))
        products = tuple(dict.fromkeys(one.row.product for one in seen))
        workers = self._kept.get("workers", SLOW, self._workers)
        running = topbar.Running(products, tuple(active.get(product, "") for product in products), workers)
        standing = line_standing([one.standing for one in seen])
        slots: Slots = {"top": topbar.top_bar(standing, running, now), "lost": notes.server_silent()}
        if not seen:
            return Page(slots | {"counters": "", "rejects": "", "attention": "", "tile:note": notes.empty_line()})
        limits = {one.row.name: one.row.deadline_ms for one in seen}
        account = self._kept.get(("books", today), SLOWEST, lambda: accounts.since(connection, start, now, limits))
        figures = self._kept.get(("counts", today), FAST, lambda: self._tally(connection, start, now, seen, account))
        slots["counters"] = counters.counters(figures, now)
        rejected = frames.rejects(connection, start, most=REJECTS)
        slots["rejects"] = lists.last_rejects(rejected, now)
        waits = alerts.review_alert(figures.waiting, now)
        slots["attention"] = lists.attention(self._alerts(connection, waits, now))
        compact = len(seen) > COMPACT_ABOVE
        slots |= {f"tile:{one.row.name}": _tile(one, account, now, compact=compact) for one in seen}
        return Page(slots, len(seen))

    def books(self, *, camera: str = "", today: bool = False) -> Html:
        """Each camera's account with its gaps, or that of one camera. Raises StoreUnavailable, SettingsInvalid."""
        now = self._clock()
        start = day_start(now) if today else shift_at(now).start
        with self._stores.reading() as connection:
            line = [row for row in cameras.in_line(connection) if camera in {"", row.name}]
            limits = {row.name: row.deadline_ms for row in line}
            found = accounts.since(connection, start, now, limits, most_gaps=MOST_GAPS)
        return held_books(found, [row.name for row in line], words.PARTS_DAY if today else words.PARTS_SHIFT, now)

    def _alerts(self, connection: Connection, waits: list[lists.Alert], now: datetime) -> list[lists.Alert]:
        is_open = alerts.standing(records.standing(connection), now)
        return alerts.loudest(alerts.watch_alert(records.marked(connection, records.WATCH), now), is_open, waits)

    def _workers(self) -> int | None:
        """The inspection workers that live; None where nobody knows."""
        beats = self._stores.live.beats()
        return None if beats is None else sum(beat.role == "inspection" for beat in beats)

    def _see(self, connection: Connection, row: cameras.CameraRow, now: datetime, shown: Inspected | None) -> _Seen:
        report = cameras.report(connection, row.name)
        bars = tuple(frames.bars(connection, row.name, most=LENGTH))
        frame = cameras.newest(connection, bars[0] if bars else None, row.name, shown)
        if frame is not None:
            model = frame.model_id
            low = self._kept.get(("floor", model), NEVER_CHANGES, lambda: models.floor(connection, model))
            frame = replace(frame, floor=low)
        return _Seen(row, report, frame, bars, camera_standing(_signs(report, bars), now))

    def _tally(
        self, connection: Connection, start: datetime, now: datetime, seen: list[_Seen], account: Accounts
    ) -> counters.Tally:
        deadlines = [one.row.deadline_ms for one in seen if one.row.deadline_ms > 0]
        return counters.Tally(
            counts=counts.since(connection, start),
            last_hour=counts.failed_since(connection, now - timedelta(hours=1)),
            waiting=self._kept.get("waiting", SLOW, lambda: waiting.tally(connection)),
            account=account.account(one.row.name for one in seen),
            p99_ms=self._kept.get(("p99", start), SLOW, lambda: counts.p99_ms(connection, start)),
            allowed_ms=min(deadlines, default=0),
            period=start,
        )


def _signs(report: cameras.Report | None, bars: tuple[frames.Bar, ...]) -> Signs:
    newest = bars[0] if bars else None
    return Signs(
        report=report.state if report else "",
        report_detail=report.detail if report else "",
        reported_at=report.reported_at if report else None,
        waiting=report.waiting if report else 0,
        captured_at=newest.captured_at if newest else None,
        inspected_at=newest.inspected_at if newest else None,
        verdicts=tuple(bar.verdict for bar in bars),
        reasons=tuple(bar.reason for bar in bars),
    )


def _tile(one: _Seen, account: Accounts, now: datetime, *, compact: bool) -> Html:
    value = tiles.Tile(
        camera=one.row.name,
        station=one.row.station,
        product=one.row.product,
        standing=one.standing,
        frame=one.frame,
        verdicts=[bar.verdict for bar in reversed(one.bars)],
        pace=pace([bar.captured_at for bar in one.bars], now),
        reconnects=one.report.reconnects if one.report else 0,
        residual=account.unaccounted(one.row.name),
    )
    return tiles.tile(value, now, compact=compact)
