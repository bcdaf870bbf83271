"""The live cache in Redis (streaming.md §7).

{prefix}cam:{camera}    hash of the newest row: at (ns, 20 digits), row (JSON); for seconds
{prefix}small:{key}     a small JPEG by its key in the picture store; for seconds
{prefix}beat:{who}      a beat (JSON), for seconds; {prefix}beats is the set of who ever beat
{prefix}models          a number that is new after each change of models
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from core.closing import Closing
from core.errors import SettingsInvalid
from core.live import Beat, Glimpse
from core.metrics import Metrics
from core.verdicts import MachineVerdict

if TYPE_CHECKING:
    from core.records.inspections import Inspected

log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_SECONDS = 0.2  # the most that a batch waits for a server that is silent
PAUSE_SECONDS = 5.0  # it is left alone for so long after a failure
ROW_SECONDS = 5  # so stale a page may be when the worker cannot reach the cache and the page can
SMALL_SECONDS = 15
BEAT_SECONDS = 8  # some beats long

# Only a row that was captured later replaces one: after a redelivery the older may come last.
_SHOW = """
local old = redis.call('HGET', KEYS[1], 'at')
if not old or old <= ARGV[1] then
  redis.call('HSET', KEYS[1], 'at', ARGV[1], 'row', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""


class RedisLive(Closing):
    """Keeps the `Live` protocol: one round trip a call, no retries, and a pause after a failure.

    account: user and password, where the URL names none; "" for one that is not asked for.
    """

    def __init__(self, url: str, *, account: tuple[str, str] = ("", ""), prefix: str = "flawline:",
                 metrics: Metrics | None = None, clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        user, password = account
        try:
            self._redis = Redis.from_url(
                url, username=user or None, password=password or None, socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip
        except ValueError as problem:
            raise SettingsInvalid(f"FLAWLINE_LIVE__URL cannot be read: {problem}") from problem
        self._prefix = prefix
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._again_at = float("-inf")
        self._failing = False

    def show(self, glimpses: Sequence[Glimpse]) -> None:
        """Put rows on show: the newest of each camera, with its small picture and those of all that did not pass."""
        newest: dict[str, Glimpse] = {}
        for glimpse in glimpses:
            best = newest.get(glimpse.row.id.camera)
            if best is None or glimpse.row.frame.captured_at >= best.row.frame.captured_at:
                newest[glimpse.row.id.camera] = glimpse
        if newest:
            pictured = [g for g in glimpses if g.row.verdict is not MachineVerdict.PASS or g is newest[g.row.id.camera]]
            self._ask(lambda redis: self._show(redis, newest, pictured))

    def _show(self, redis: Redis, newest: Mapping[str, Glimpse], pictured: Sequence[Glimpse]) -> None:
        with redis.pipeline(transaction=False) as pipe:
            for glimpse in pictured:
                if glimpse.small is not None and glimpse.row.thumb is not None:
                    pipe.set(self._key("small", glimpse.row.thumb), glimpse.small, ex=SMALL_SECONDS)
            for camera, glimpse in newest.items():  # after the pictures that they name
                at = f"{glimpse.row.frame.captured_at:020d}"
                pipe.eval(_SHOW, 1, self._key("cam", camera), at, _rows().dump_json(glimpse.row), ROW_SECONDS)
            pipe.execute()

    def newest(self, cameras: Sequence[str]) -> "Mapping[str, Inspected]":
        """By camera, the newest row, where one was shown within seconds."""
        return (self._ask(lambda redis: self._newest(redis, cameras)) if cameras else None) or {}

    def _newest(self, redis: Redis, cameras: Sequence[str]) -> "dict[str, Inspected]":
        with redis.pipeline(transaction=False) as pipe:
            for camera in cameras:
                pipe.hget(self._key("cam", camera), "row")
            found = pipe.execute()
        rows = {camera: _rows().validate_json(row) for camera, row in zip(cameras, found, strict=True) if row}
        return {camera: row for camera, row in rows.items() if row.id.camera == camera}

    def small(self, key: str) -> bytes | None:
        """The JPEG that was kept under this key within seconds."""
        found = self._ask(lambda redis: redis.get(self._key("small", key)))
        return found if isinstance(found, bytes) else None

    def beat(self, beat: Beat) -> None:
        """Say that a process lives."""

        def say(redis: Redis) -> None:
            who = f"{beat.role}/{beat.name}"
            with redis.pipeline(transaction=False) as pipe:
                pipe.set(self._key("beat", who), json.dumps(asdict(beat)), ex=BEAT_SECONDS)
                pipe.sadd(self._key("beats"), who)
                pipe.execute()

        self._ask(say)

    def beats(self) -> list[Beat] | None:
        """The processes that live, by role and name; None when it does not answer."""

        def read(redis: Redis) -> list[Beat]:
            names = sorted(name.decode() for name in redis.smembers(self._key("beats")) if isinstance(name, bytes))
            found = redis.mget([self._key("beat", name) for name in names]) if names else []
            gone = [name for name, beat in zip(names, found, strict=True) if beat is None]
            if gone:
                redis.srem(self._key("beats"), *gone)
            return [_beats().validate_json(beat) for beat in found if beat is not None]

        return self._ask(read)

    def models_changed(self) -> None:
        """Tell the workers to look at the books now."""
        self._ask(lambda redis: redis.set(self._key("models"), time.time_ns()))  # a count would begin anew with Redis

    def models_version(self) -> int | None:
        """A number that differs once `models_changed` was called; None when it does not answer."""
        return self._ask(lambda redis: int(redis.get(self._key("models")) or 0))

    def close(self) -> None:
        """Let go."""
        self._redis.close()

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    def _ask(self, question: Callable[[Redis], T]) -> T | None:
        if self._clock() < self._again_at:
            return None
        try:
            answer = question(self._redis)
        except (RedisError, OSError, ValueError) as problem:  # silent, or it holds somebody else's values
            self._again_at = self._clock() + PAUSE_SECONDS
            self._metrics.live_failed()
            if not self._failing:
                log.warning("the live cache does not answer (%s); the pages read the database", problem)
            self._failing = True
            return None
        if self._failing:
            log.info("the live cache answers again")
        self._failing = False
        return answer


@cache
def _rows() -> "TypeAdapter[Inspected]":
    from core.records.inspections import Inspected

    return TypeAdapter(Inspected)


@cache
def _beats() -> TypeAdapter[Beat]:
    return TypeAdapter(Beat)
