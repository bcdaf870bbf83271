"""The watch: looks at the whole line every few seconds, and keeps the alerts up to date (domain.md §3.3, §9.1)."""

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from core.alarms import HABITS, Cause, Kind
from core.errors import StoreUnavailable
from core.records import alerts
from core.stop import Stop
from workers.facts import Away, Facts
from workers.looking import Letters, Looker
from workers.rules import causes, looked_at
from workers.signs import Signs

log = logging.getLogger(__name__)

EVERY = 3.0  # s
AWAY_AFTER = timedelta(seconds=5)  # a database that is away for less is not told of
_DEAD = "dead letters "


class Watch:
    """One turn looks, applies the rules, and writes what changed. Two watches at once do no harm."""

    def __init__(self, looker: Looker, *, signs: Signs | None = None) -> None:
        self._looker = looker
        self._signs = signs or Signs()
        self._since: dict[tuple[Kind, str], datetime] = {}  # when each present cause began
        self._away: tuple[datetime, str] | None = None
        self._noted: dict[str, str] = {}  # what the marks say of the dead letters
        self._began = False

    def step(self) -> bool:
        """Look once; False when the database is away: then nothing can be kept, and the next turn says so."""
        try:
            self._look()
        except StoreUnavailable as problem:
            since = self._away[0] if self._away else self._looker.now()
            self._away = since, str(problem).rstrip(".")
            log.error("alerts cannot be kept: %s", problem)
            self._signs.waits_for(str(problem))
            return False
        self._signs.turned(0)
        return True

    def run(self, stop: Stop) -> None:
        """A turn every few seconds until asked to stop."""
        self._signs.ready()
        due = 0.0
        while not stop.asked:
            if time.monotonic() >= due:
                self.step()
                due = time.monotonic() + EVERY
            time.sleep(0.2)

    def _look(self) -> None:
        looker = self._looker
        if not self._began:
            self._recall()
        facts = looker.look(database_away=self._long_away())
        self._tell_lags(facts)
        found = self._lasting(causes(facts), facts.now)
        with looker.database.writing() as connection:
            kept = alerts.keep(connection, found, looked_at=looked_at(facts), now=facts.now)
            alerts.mark(connection, alerts.WATCH, now=facts.now)
            noted = {topic: letters.text() for topic, letters in looker.letters.items()}
            for topic in [topic for topic, text in noted.items() if self._noted.get(topic) != text]:
                alerts.mark(connection, _DEAD + topic, now=looker.letters[topic].last_at, detail=noted[topic])
        self._noted = noted
        self._away = None
        for alert in kept.raised:
            log.warning(
                "%s alert %d %s: %s. %s %s", alert.severity, alert.id, alert.kind, alert.what, alert.why, alert.action
            )
            self._signs.metrics.raised(alert.kind)
        for alert in kept.closed:
            log.info("alert %d %s has closed: %s", alert.id, alert.kind, alert.what)

    def _tell_lags(self, facts: Facts) -> None:
        """As figures too: told from here, they are seen also when the worker that is behind is dead."""
        lags = () if isinstance(facts.log, Away) else facts.log.lags
        self._signs.metrics.owns([lag.partition for lag in lags])
        for lag in lags:
            since = facts.now.timestamp() if lag.since is None else lag.since / 1e9
            self._signs.metrics.lag(lag.partition, lag.records, max(0.0, facts.now.timestamp() - since))

    def _recall(self) -> None:
        """What an earlier watch knew of the dead letters, so that none that came in between is missed."""
        with self._looker.database.reading() as connection:
            for name, (at, detail) in alerts.all_marks(connection, _DEAD).items():
                end, fresh = map(int, detail.split())
                self._looker.letters[name.removeprefix(_DEAD)] = Letters(end, fresh, at)
        self._began = True

    def _lasting(self, found: Iterable[Cause], now: datetime) -> list[Cause]:
        """The causes that have lasted as long as their kind asks."""
        seen = {(cause.kind, cause.subject): cause for cause in found}
        self._since = {key: self._since.get(key, now) for key in seen}
        return [cause for key, cause in seen.items() if now - self._since[key] >= timedelta(seconds=HABITS[key[0]].on)]

    def _long_away(self) -> tuple[datetime, str] | None:
        return self._away if self._away and self._looker.now() - self._away[0] >= AWAY_AFTER else None
