"""The live cache that the settings name."""

from core.live import Live, NoLive
from core.metrics import Metrics
from core.settings import Settings, secret


def open_live(settings: Settings, metrics: Metrics | None = None) -> Live:
    """The cache at `live.url`; it need not answer.

    Raises SettingsInvalid for a URL that nobody can mean, or a password file that cannot be read.
    """
    live = settings.live
    if live.url == "none:":
        return NoLive()
    from core.redis_live import RedisLive  # only where it is used: one machine needs no Redis client

    prefix = f"flawline:{settings.broker.prefix}"  # several lines may share a Redis as they share a Kafka
    account = live.username, secret(live.password, live.password_file)
    return RedisLive(live.url, account=account, prefix=prefix, metrics=metrics)
