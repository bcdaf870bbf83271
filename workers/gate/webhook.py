"""Tells a web address: POST with JSON, signed, the same idempotency key however often it is sent."""

import hashlib
import hmac
import http.client
import json
import ssl
from urllib.parse import urlsplit

from core.errors import NotAllowed, StoreUnavailable
from core.gates import Gate
from workers.gate.journal import Entry
from workers.gate.telling import TOLD, told_of

SECONDS = 5.0
REFUSED = {400, 410, 413, 415, 422}  # this very message will never be taken
ALREADY = 409  # by its idempotency key: it was taken before


def signature(secret: str, body: bytes) -> str:
    """The value of X-Flawline-Signature: HMAC-SHA256 of the body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhook:
    """One address; a connection for each message, so that a dead peer is noticed."""

    name = "webhook"

    def __init__(self, gate: Gate, secret: str = "", *, seconds: float = SECONDS) -> None:
        self._gate, self._secret, self._seconds = gate, secret, seconds
        parts = urlsplit(gate.webhook)
        self._where = f"{parts.scheme}://{parts.hostname}"  # never with a password that stands in the address
        self._host, self._port, self._is_safe = parts.hostname or "", parts.port, parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def deliver(self, entry: Entry) -> None:
        """Return when the address has answered 2xx. Raises StoreUnavailable or NotAllowed."""
        if entry.kind not in TOLD:
            return
        body = json.dumps(told_of(self._gate, entry), separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": entry.key,
            "X-Flawline-Event": entry.kind,
        }
        if self._secret:
            headers["X-Flawline-Signature"] = signature(self._secret, body)
        try:
            status = self._post(body, headers)
        except (OSError, http.client.HTTPException) as problem:
            raise StoreUnavailable(f"webhook {self._where}: {problem!r}") from problem
        if status in REFUSED:
            raise NotAllowed(f"webhook {self._where} answered {status}")
        if not 200 <= status < 300 and status != ALREADY:
            raise StoreUnavailable(f"webhook {self._where} answered {status}")

    def close(self) -> None:
        """Nothing is held open."""

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        if self._is_safe:
            context = ssl.create_default_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._seconds, context=context
            )
        else:
            link = http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        try:
            link.request("POST", self._path, body, headers)
            answer = link.getresponse()
            answer.read(64 << 10)
            return answer.status
        finally:
            link.close()
