"""Where an S3 store is, read from `blobs.url`: s3://bucket/prefix?endpoint=http://host:port&region=… Pure: no I/O."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from core.errors import SettingsInvalid

_WORDS = ("endpoint", "region", "ca_file")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")
_REGION = "us-east-1"  # what servers that know no regions take


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, the prefix of our keys in it, and who serves it; `endpoint` is empty for Amazon's own."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = _REGION
    ca_file: str = ""

    def __str__(self) -> str:
        """For messages: never holds a secret."""
        folder = f"/{self.prefix}" if self.prefix else ""
        return f"s3://{self.bucket}{folder}" + (f" at {self.endpoint}" if self.endpoint else "")


def place_of(url: str) -> Place:
    """Read `blobs.url`. Raises SettingsInvalid with a sentence about what is wrong in it."""
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise _wrong(f"it cannot be read: {problem}") from problem
    if "@" in parts.netloc:
        raise _wrong("keys do not belong in it: set FLAWLINE_BLOBS__ACCESS_KEY and FLAWLINE_BLOBS__SECRET_KEY_FILE")
    if not _BUCKET.fullmatch(parts.netloc):
        raise _wrong(f"{parts.netloc!r} is no name of a bucket: 3 to 63 of a-z, 0-9, . and -")
    prefix = parts.path.strip("/")
    if prefix and not _is_prefix(prefix):
        raise _wrong(f"{prefix!r} is no prefix: letters, digits, _ . - between slashes, at most 100")
    words = _words(parts.query)
    return Place(
        parts.netloc, prefix, _endpoint(words.get("endpoint", "")), words.get("region", _REGION),
        words.get("ca_file", ""),
    )  # fmt: skip


def _is_prefix(prefix: str) -> bool:
    return _PREFIX.fullmatch(prefix) is not None and all(
        part and not part.startswith(".") for part in prefix.split("/")
    )


def _words(query: str) -> dict[str, str]:
    try:
        found = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as problem:
        raise _wrong("what follows its question mark cannot be read: write word=value, with & between") from problem
    words = dict(found)
    if unknown := sorted(set(words) - set(_WORDS)):
        raise _wrong(f"it knows no {', '.join(unknown)}; there are {', '.join(_WORDS)}")
    if len(words) < len(found) or not all(words.values()):
        raise _wrong("each word after the question mark stands once, with a value")
    return words


def _endpoint(endpoint: str) -> str:
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        sound = sound and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        sound = False
    if not sound:
        raise _wrong("its endpoint is no address: write endpoint=http://host:port or endpoint=https://host")
    return endpoint.rstrip("/")


def _wrong(why: str) -> SettingsInvalid:
    return SettingsInvalid(f"FLAWLINE_BLOBS__URL: {why}")  # the URL is not repeated: it may hold a secret by mistake
