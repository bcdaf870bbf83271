"""Blobs in any S3 store, through obstore (streaming.md §5)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from obstore import exceptions
from obstore.store import S3Store

from core.blobs.keys import check_key
from core.blobs.protocol import Disk, Item
from core.blobs.s3_place import Place, place_of
from core.errors import BlobMissing, SettingsInvalid, StoreUnavailable
from core.settings import BlobSettings, secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential

CONNECT_SECONDS, READ_SECONDS = 2, 5  # a store that accepts and says nothing holds a worker for no longer
PATIENT_SECONDS = 120  # for the answer to a large put, which comes when all of it has gone
LARGE = 8 << 20  # bytes; model files, no pictures
AT_ONCE = 8  # puts under way; from 4 to 8 a local store gained a third, from 8 to 16 nothing
_PAGE = 1000  # keys in one answer to a list, and in one bulk delete
_RETRY: "RetryConfig" = {  # a dropped connection or a "slow down" is tried again at once; a time-out is not
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}


class S3Blobs:
    """Keeps the `BlobStore` protocol. A put is one request: readers see whole blobs, and nothing is left over."""

    def __init__(self, settings: BlobSettings) -> None:
        self._place = place_of(settings.url)
        credential = _credential(settings)
        self._quick = _client(self._place, credential, READ_SECONDS)
        self._patient = _client(self._place, credential, PATIENT_SECONDS)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="blobs")
        self._bucket_seen = False

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Store `data`, whole or not at all. Raises ValueError for no key, StoreUnavailable."""
        del durable  # what S3 has acknowledged is
        check_key(key)
        client = self._patient if len(data) > LARGE else self._quick
        with self._translated():
            client.put(key, data, use_multipart=False)

    def put_all(self, items: Sequence[Item]) -> None:
        """Store all of them, some at once, or raise what the first that failed raised; some may be stored then."""
        last = {check_key(key): data for key, data, _ in items}
        failed = Event()

        def put(key: str) -> None:
            if failed.is_set():  # a store that is away is not asked again for each of them
                return
            try:
                self.put(key, last[key])
            except StoreUnavailable:
                failed.set()
                raise

        puts = [self._pool.submit(put, key) for key in last]
        wait(puts)
        for done in puts:
            done.result()

    def get(self, key: str) -> bytes:
        """The blob. Raises BlobMissing, StoreUnavailable."""
        with self._found(key):
            return self._quick.get(key).bytes().to_bytes()

    def size(self, key: str) -> int:
        """The blob's bytes, without reading it. Raises BlobMissing, StoreUnavailable."""
        with self._found(key):
            return self._quick.head(key)["size"]

    def exists(self, key: str) -> bool:
        """Whether there is such a blob. Raises StoreUnavailable."""
        try:
            self.size(key)
        except BlobMissing:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys below `prefix`. Raises ValueError for no prefix, StoreUnavailable."""
        for page in self._pages(prefix):
            yield from (key for key, _ in page)

    def folders(self, prefix: str) -> list[str]:
        """The prefixes one part longer than `prefix`, in order. Raises ValueError for no prefix, StoreUnavailable."""
        check_key(prefix)
        with self._translated():
            return sorted(self._quick.list_with_delimiter(prefix)["common_prefixes"])

    def delete(self, key: str) -> None:
        """Remove the blob if it is there. Raises ValueError for no key, StoreUnavailable."""
        check_key(key)
        with self._translated():
            self._quick.delete([key])

    def delete_prefix(self, prefix: str) -> int:
        """Remove all below `prefix`, a thousand in one request; return the number of blobs."""
        check_key(prefix)
        removed = 0
        for page in self._pages(prefix):
            with self._translated():
                self._quick.delete([key for key, _ in page])
            removed += len(page)
        return removed

    def sweep(self, prefix: str, *, before: datetime) -> int:
        """Nothing to do: a put is one request, so an interrupted one leaves nothing."""
        del prefix, before
        return 0

    def used(self, prefix: str) -> int:
        """The bytes of all blobs below `prefix`; a request for each thousand blobs. Raises StoreUnavailable."""
        return sum(size for page in self._pages(prefix) for _, size in page)

    def disk(self) -> Disk | None:
        """Nobody says how large the store is."""
        return None

    def _pages(self, prefix: str) -> Iterator[list[tuple[str, int]]]:
        """Keys and sizes below a prefix, page by page."""
        if prefix:
            check_key(prefix)
        with self._translated():
            for page in self._quick.list(prefix or None, chunk_size=_PAGE):
                yield [(meta["path"], meta["size"]) for meta in page]

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        """For reads of a key that may come from a URL: what is not there is missing."""
        try:
            check_key(key)
        except ValueError as problem:
            raise BlobMissing(f"no blob {key[:200]!r}: {problem}") from problem
        with self._translated():
            try:
                yield
            except FileNotFoundError as problem:
                if "NoSuchBucket" in str(problem):
                    raise
                raise BlobMissing(f"no blob {key!r} in {self._place}") from problem

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            self._look_for_bucket()
            yield
        except (exceptions.BaseError, FileNotFoundError) as problem:
            said = str(problem).partition("\n\nDebug source")[0].removeprefix("Generic S3 error: ")
            told = f"{self._place}: {_advice(said, self._place)}; it said: {said[:600]}"
            raise StoreUnavailable(told) from problem

    def _look_for_bucket(self) -> None:
        """Once, before the first request: some servers would make a missing bucket at a put, in the wrong place."""
        if not self._bucket_seen:
            next(iter(self._quick.list("-", chunk_size=1)), None)
            self._bucket_seen = True


def _advice(said: str, place: Place) -> str:
    if "NoSuchBucket" in said:
        return f"there is no bucket {place.bucket!r}; make it, or correct FLAWLINE_BLOBS__URL"
    if "RequestTimeTooSkewed" in said:
        return "it refuses us because the clocks differ; set this machine's clock, and the store's"
    if "401 Unauthorized" in said or "403 Forbidden" in said:
        return (
            "it refuses our key; check FLAWLINE_BLOBS__ACCESS_KEY and FLAWLINE_BLOBS__SECRET_KEY_FILE, and that the "
            f"key may list, read, write and delete in bucket {place.bucket!r}"
        )
    return "it does not answer as it should; check that it runs, its disks, and FLAWLINE_BLOBS__URL"


def _credential(settings: BlobSettings) -> "S3Credential":
    key, password = settings.access_key, secret(settings.secret_key, settings.secret_key_file)
    if not key or not password:  # without them the client would look for credentials in other places
        raise SettingsInvalid(
            "an S3 store needs a key: set FLAWLINE_BLOBS__ACCESS_KEY and FLAWLINE_BLOBS__SECRET_KEY_FILE"
        )
    return {"access_key_id": key, "secret_access_key": password, "token": None, "expires_at": None}


def _client(place: Place, credential: "S3Credential", read_seconds: float) -> S3Store:
    options: ClientConfig = {
        "allow_http": place.endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=read_seconds),
        "timeout": timedelta(minutes=10),  # a large blob may come slowly, as long as it comes
    }
    if place.ca_file:
        try:
            options["root_certificate"] = Path(place.ca_file).read_bytes()
        except OSError as problem:
            raise SettingsInvalid(f"the ca_file of FLAWLINE_BLOBS__URL cannot be read: {problem}") from problem
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            endpoint=place.endpoint or None,
            region=place.region,
            virtual_hosted_style_request=not place.endpoint,
            skip_signature=False,  # said, or the client would ask AWS_… variables
            credential_provider=lambda: credential,
            client_options=options,
            retry_config=_RETRY,
        )
    except ValueError as problem:
        where = f" and its ca_file {place.ca_file}" if place.ca_file else ""
        raise SettingsInvalid(f"FLAWLINE_BLOBS__URL{where} cannot be used: {problem}") from problem
