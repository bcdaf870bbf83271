"""How a Kafka client is made: where to, by which certificates and password, and what its errors mean to us."""

import logging
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kafka import errors
from kafka.record import util as kafka_record

from core.broker import kafka_quirks as quirks
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings, secret

T = TypeVar("T")

SCHEME = "kafka://"
DEFAULT_PORT = 9092
ADDRESS = re.compile(r" *(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\])(:(?P<port>\d{1,5}))? *")
OPEN_SECONDS = 5.0  # longest wait for a client to be made; who wants it calls again
CONNECT_SECONDS = 1.0
NOT_ALLOWED = (*quirks.REFUSALS, errors.AuthorizationError)


def require_fast_crc(crc: Callable[..., int] | None = kafka_record.crc32c_c) -> None:
    """Raise SettingsInvalid unless kafka-python has its checksum in C: in Python it would be 20 times too slow."""
    if crc is None:
        raise SettingsInvalid(
            "kafka-python runs without crc32c and would be 20 times too slow: pip install 'kafka-python[crc32c]'"
        )


def addresses(url: str) -> list[tuple[str, int]]:
    """The hosts and ports of `kafka://host:9092,host`. Raises SettingsInvalid."""
    parts = [ADDRESS.fullmatch(part) for part in url.removeprefix(SCHEME).rstrip("/").split(",")]
    found = [(part["host"].strip("[]"), int(part["port"] or DEFAULT_PORT)) for part in parts if part]
    if not url.startswith(SCHEME) or len(found) < len(parts) or not all(0 < port < 1 << 16 for _, port in found):
        raise SettingsInvalid(f"FLAWLINE_BROKER__URL is {url!r}; write kafka://host:9092 or kafka://host:9092,host")
    return found


def connection(settings: BrokerSettings) -> dict[str, Any]:
    """What every client is told: addresses, certificates, password. Raises SettingsInvalid for what cannot be."""
    told: dict[str, Any] = {
        "bootstrap_servers": [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses(settings.url)
        ],
        "security_protocol": settings.security,
        "reconnect_backoff_max_ms": 1000,  # its own 30 s would leave a broker unnoticed that came back
    }
    if settings.security.endswith("SSL"):
        told["ssl_context"] = _tls(settings)
    if settings.security.startswith("SASL"):
        password = secret(settings.password, settings.password_file)
        if not settings.username or not password:
            raise SettingsInvalid(
                f"FLAWLINE_BROKER__SECURITY is {settings.security}: set FLAWLINE_BROKER__USERNAME"
                " and FLAWLINE_BROKER__PASSWORD_FILE"
            )
        told |= {"sasl_mechanism": settings.sasl_mechanism, "sasl_plain_username": settings.username}
        told["sasl_plain_password"] = password
    return told


def open_client(make: Callable[..., T], settings: BrokerSettings, **more: Any) -> T:
    """A client that has met a broker, after `OPEN_SECONDS` at most.

    Raises StoreUnavailable when none answers, SettingsInvalid when it refuses us. What was opened on the way is
    closed: kafka-python itself leaves the thread of a client behind whose constructor fails.
    """
    told = connection(settings)
    quiet()
    check_reachable(settings)
    _check_tls(settings)
    opened: list[quirks.Network] = []

    def network(**options: Any) -> quirks.Network:
        opened.append(quirks.Network(**options))
        return opened[-1]

    try:
        return make(kafka_client=network, bootstrap_timeout_ms=int(OPEN_SECONDS * 1000), **told, **more)
    except (errors.KafkaError, OSError) as problem:
        for client in opened:
            client.close()
        refusals = [client.refusal for client in opened if client.refusal is not None]
        raise meaning(refusals[0] if refusals else problem, f"Kafka at {settings.url}") from problem


def meaning(problem: Exception, what: str) -> StoreUnavailable | SettingsInvalid:
    """A client's error in our terms: credentials and rights are settings, all else may pass."""
    said = str(problem).strip() or type(problem).__name__
    if isinstance(problem, NOT_ALLOWED):
        return SettingsInvalid(
            f"{what} refuses us: {said}; check FLAWLINE_BROKER__USERNAME, its password and its rights"
        )
    return StoreUnavailable(f"{what}: {said}")


def quiet() -> None:
    """Keep the client one step quieter than we are, and never at DEBUG: there it logs whole pictures."""
    ours = logging.getLogger().getEffectiveLevel()
    logging.getLogger("kafka").setLevel(max(logging.INFO, min(ours + 10, logging.ERROR)))


def check_reachable(settings: BrokerSettings) -> None:
    """Raise StoreUnavailable unless one of the addresses takes connections.

    One that is refused is known in no time, where the client would try for seconds.
    """
    said = ""
    for host, port in addresses(settings.url):
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError as problem:
            said = f"{host}:{port}: {problem}"
        else:
            return
    raise StoreUnavailable(f"no Kafka broker answers at {settings.url} ({said}); check that it runs and can be reached")


def _check_tls(settings: BrokerSettings) -> None:
    """Say why the handshake fails: the client only says that it cannot connect."""
    if not settings.security.endswith("SSL"):
        return
    host, port = addresses(settings.url)[0]
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as raw:
            raw.settimeout(OPEN_SECONDS)
            with _tls(settings).wrap_socket(raw, server_hostname=host) as secured:
                secured.settimeout(0.2)  # TLS 1.3: a broker that misses our certificate says so after the handshake
                secured.recv(1)
    except TimeoutError:
        return
    except ssl.SSLError as problem:
        raise SettingsInvalid(
            f"no TLS with Kafka at {host}:{port}: {problem}; check FLAWLINE_BROKER__CA_FILE, the host name in the"
            " broker's certificate, and FLAWLINE_BROKER__CERT_FILE where it asks for ours"
        ) from problem
    except OSError:
        return  # away by now: the caller says so


def _tls(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as problem:
        files = ", ".join(str(file) for file in (settings.ca_file, settings.cert_file, settings.key_file) if file)
        raise SettingsInvalid(f"the certificates for Kafka cannot be read ({files}): {problem}") from problem
    return context


def patiently(call: Callable[[], T], what: str, *, seconds: float, but: tuple[type[Exception], ...] = ()) -> T:
    """Call again while what fails may pass, for `seconds`; the errors of `but` are the caller's.

    Raises StoreUnavailable or SettingsInvalid.
    """
    ends_at = time.monotonic() + seconds
    while True:
        try:
            return call()
        except but:
            raise
        except errors.KafkaError as problem:
            if not problem.retriable or time.monotonic() > ends_at:
                raise meaning(problem, what) from problem
            time.sleep(0.1)
