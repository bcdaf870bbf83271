"""S3 beyond the common contract: where it is, what its errors mean to us, and how long a silent store holds us up."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.services.plant import Services
from cli.services.servers import S3_KEY, S3_SECRET
from core.blobs import s3 as s3_blobs
from core.blobs.s3 import S3Blobs
from core.blobs.s3_place import Place, place_of
from core.errors import BlobMissing, SettingsInvalid, StoreUnavailable
from core.settings import BlobSettings
from tests.conftest import OwnServers
from tests.core.s3_server import NOTHING, Script, error, scripted
from tests.servers import s3_of, unique

# Where it is


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://pictures", Place("pictures")),
        ("s3://pictures/", Place("pictures")),
        ("s3://pictures/plant1/line-2/", Place("pictures", "plant1/line-2")),
        ("s3://pic.tures-1?endpoint=http://10.0.0.7:9000", Place("pic.tures-1", endpoint="http://10.0.0.7:9000")),
        ("s3://abc/p?region=eu&endpoint=https://s3.plant/", Place("abc", "p", "https://s3.plant", "eu")),
        ("s3://abc?endpoint=https://[::1]:9&ca_file=/ca.pem", Place("abc", "", "https://[::1]:9", ca_file="/ca.pem")),
    ],
)  # fmt: skip
def test_a_url_names_bucket_prefix_and_server(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3:", "is no name of a bucket"), ("s3:///x", "is no name of a bucket"), ("s3://ab", "is no name of a bucket"),
        ("s3://Pictures", "is no name of a bucket"), ("s3://abc:9000", "is no name of a bucket"),
        ("s3://abc/../x", "is no prefix"), ("s3://abc/a//b", "is no prefix"), ("s3://abc/.x", "is no prefix"),
        ("s3://abc/a b", "is no prefix"), ("s3://abc?endpoint=localhost:9000", "is no address"),
        ("s3://abc?endpoint=ftp://x", "is no address"), ("s3://abc?endpoint=http://", "is no address"),
        ("s3://abc?endpoint=http://x:99999", "is no address"), ("s3://abc?endpoint=http://me:pw@x", "is no address"),
        ("s3://abc?endpoint=http://[::1", "is no address"), ("s3://[abc", "cannot be read"),
        ("s3://abc?endpoint=", "with a value"),
        ("s3://abc?region=a&region=b", "stands once"), ("s3://abc?region", "cannot be read"),
        ("s3://abc?regoin=eu&path=1", "it knows no path, regoin; there are endpoint, region, ca_file"),
    ],
)  # fmt: skip
def test_a_url_that_nobody_can_mean_is_refused_with_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says) as told:
        place_of(url)
    assert str(told.value).startswith("FLAWLINE_BLOBS__URL: ")


@given(st.text())
def test_any_other_text_is_read_or_refused(text: str) -> None:
    for url in (f"s3:{text}", f"s3://{text}", f"s3://abc{text}", f"s3://abc?endpoint={text}"):
        with suppress(SettingsInvalid):
            assert place_of(url).bucket


@pytest.mark.parametrize(
    "url",
    ["s3://mykey:hidden@abc", "s3://abc?secret_key=hidden", "s3://abc?endpoint=http://me:hidden@x", "s3://abc?hidden"],
)
def test_secrets_in_the_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as told:
        place_of(url)
    assert "hidden" not in str(told.value)


def test_without_a_key_it_asks_nobody_else_for_one(servers: Services, tmp_path: Path) -> None:
    url = servers["s3"].url
    for keys in ({}, {"access_key": "a"}, {"secret_key": "b"}):
        with pytest.raises(SettingsInvalid, match="FLAWLINE_BLOBS__ACCESS_KEY"):
            S3Blobs(BlobSettings.model_validate({"url": url, **keys}))
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        S3Blobs(BlobSettings(url=url, access_key="a", secret_key_file=tmp_path / "none"))


def test_the_secret_may_come_from_a_file_and_the_shells_variables_change_nothing(
    servers: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SESSION_TOKEN": "x", "SKIP_SIGNATURE": "true", "ENDPOINT": "http://127.0.0.1:1",
                        "ACCESS_KEY_ID": "other", "SECRET_ACCESS_KEY": "other", "REGION": "other"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    (tmp_path / "secret").write_text(S3_SECRET + "\n")
    url = s3_of(servers).url
    store = S3Blobs(BlobSettings(url=url, access_key=S3_KEY, secret_key_file=tmp_path / "secret"))
    store.put("a/b", b"x")
    assert store.delete_prefix("a") == 1


# What its errors mean


CALLS: dict[str, Callable[[S3Blobs], object]] = {
    "put": lambda store: store.put("a/b", b"x"),
    "put_all": lambda store: store.put_all([("a/b", b"x", True), ("a/c", b"x", True)]),
    "get": lambda store: store.get("a/b"),
    "size": lambda store: store.size("a/b"),
    "exists": lambda store: store.exists("a/b"),
    "delete": lambda store: store.delete("a/b"),
    "keys": lambda store: list(store.keys("a")),
    "folders": lambda store: store.folders("a"),
    "delete_prefix": lambda store: store.delete_prefix("a"),
    "used": lambda store: store.used("a"),
}
LISTS = ("keys", "folders", "delete_prefix", "used")
WITHOUT_WORDS = ("size", "exists")  # the answer to a HEAD has a number and no text


def test_a_wrong_key_is_told_with_what_to_check(servers: Services) -> None:
    right = s3_of(servers)
    for wrong in (right.model_copy(update={"access_key": "nobody"}), s3_of(servers, secret_key="wrong")):
        for call in CALLS.values():
            with pytest.raises(StoreUnavailable, match=r"refuses our key; check FLAWLINE_BLOBS__ACCESS_KEY"):
                call(S3Blobs(wrong))


def test_a_missing_bucket_is_told_and_not_made(servers: Services) -> None:
    bucket = unique()
    url = servers["s3"].url.replace("//flawline", f"//{bucket}")
    for call in CALLS.values():
        with pytest.raises(StoreUnavailable, match=f"there is no bucket '{bucket}'; make it"):
            call(S3Blobs(s3_of(servers, url=url)))


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


def at(port: int, *, scheme: str = "http", more: str = "") -> S3Blobs:
    return S3Blobs(BlobSettings.model_validate(
        {"url": f"s3://abc?endpoint={scheme}://127.0.0.1:{port}{more}", "access_key": "a", "secret_key": "b"}
    ))  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CALLS if name not in WITHOUT_WORDS])
@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (500, "InternalError", "does not answer as it should"), (503, "SlowDown", "does not answer as it should"),
        (507, "InsufficientStorage", "check that it runs, its disks"), (404, "NoSuchBucket", "no bucket 'abc'"),
        (403, "RequestTimeTooSkewed", "the clocks differ"), (403, "AccessDenied", "may list, read, write and delete"),
        (401, "Unauthorized", "refuses our key"), (301, "PermanentRedirect", "check that it runs"),
    ],
)  # fmt: skip
def test_whatever_it_answers_is_a_store_that_is_away_and_says_what_to_do(
    script: Script, name: str, status: int, code: str, says: str
) -> None:
    script.answers += [(200, NOTHING)] + [(status, error(code))] * 20  # the bucket is there at first
    with pytest.raises(StoreUnavailable, match=says) as told:
        CALLS[name](at(script.port))
    assert str(told.value).startswith("s3://abc at http://127.0.0.1")
    assert "Debug source" not in str(told.value)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("get", *WITHOUT_WORDS)])
def test_only_a_read_of_a_blob_can_find_it_missing(script: Script, name: str) -> None:
    script.answers += [(200, NOTHING)] + [(404, error("NoSuchKey"))] * 20
    with pytest.raises(StoreUnavailable, match="does not answer"):
        CALLS[name](at(script.port))


@pytest.mark.parametrize("name", WITHOUT_WORDS)
@pytest.mark.parametrize(("status", "says"), [(500, "does not answer"), (403, "refuses our key")])
def test_an_answer_without_words_is_told_by_its_number(script: Script, name: str, status: int, says: str) -> None:
    script.answers += [(200, NOTHING)] + [(status, b"")] * 20
    with pytest.raises(StoreUnavailable, match=says):
        CALLS[name](at(script.port))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_none_is_a_store_that_is_away(script: Script, name: str) -> None:
    script.answers += [(200, NOTHING), (200, b"<html>")]
    with pytest.raises(StoreUnavailable, match="does not answer"):
        CALLS[name](at(script.port))


def test_a_store_that_asks_to_slow_down_is_asked_again(script: Script) -> None:
    store = at(script.port)
    script.answers += [(200, NOTHING), (503, error("SlowDown")), (503, error("SlowDown")), (200, b"")]
    store.put("a/b", b"x")
    assert script.asked[1:] == ["PUT /abc/a/b"] * 3


def test_the_bucket_is_looked_for_once(script: Script) -> None:
    store = at(script.port)
    for _ in range(3):
        store.put("a/b", b"x")
    assert script.asked[0].startswith("GET /abc?list-type=2")
    assert script.asked[1:] == ["PUT /abc/a/b"] * 3


def test_a_large_put_is_one_request_so_that_nothing_is_left_over(script: Script) -> None:
    store = at(script.port)
    store.put("model/a", bytes(s3_blobs.LARGE + 1))
    assert script.asked[1:] == ["PUT /abc/model/a"]


def test_after_a_failed_put_of_a_batch_the_rest_is_not_begun(script: Script) -> None:
    store = at(script.port)
    store.put("a/b", b"x")
    script.answers += [(403, error("AccessDenied"))] * 100
    with pytest.raises(StoreUnavailable, match="refuses our key"):
        store.put_all([(f"a/{number}", b"x", False) for number in range(100)])
    assert len(script.asked) < 2 + 100


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return folder


def test_a_plants_own_certificate_is_trusted_only_where_it_is_named(certificate: Path) -> None:
    with scripted(certificate=certificate / "both.pem") as script:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            at(script.port, scheme="https").put("a/b", b"x")
        assert script.asked == []
        at(script.port, scheme="https", more=f"&ca_file={certificate / 'cert.pem'}").put("a/b", b"x")
        assert script.asked[-1] == "PUT /abc/a/b"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsInvalid, match="ca_file"):
        at(1, scheme="https", more=f"&ca_file={path}")


# A store that is away


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        call()
    return time.monotonic() - began


def patiently(call: Callable[[], object]) -> None:
    """As a worker waits for a store: a new SeaweedFS makes its volumes at the first put, on a busy machine slowly."""
    for _ in range(10):
        with suppress(StoreUnavailable):
            call()
            return
    call()


def test_nobody_there_is_told_at_once() -> None:
    for call in CALLS.values():
        assert seconds(lambda call=call: call(at(1))) < 6  # type: ignore[misc] # bound now, not later


def test_a_frozen_store_holds_nobody_up_and_is_used_again_when_it_thaws_and_a_killed_one_is_told_at_once(
    own_servers: OwnServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_servers("s3")["s3"]
    settings = BlobSettings.model_validate({"url": own.url, "access_key": S3_KEY, "secret_key": S3_SECRET})
    kept = [(f"ring/{number}", bytes(50_000), False) for number in range(40)]
    patiently(lambda: S3Blobs(settings).put_all(kept))
    with monkeypatch.context() as patched:
        patched.setattr(s3_blobs, "READ_SECONDS", 0.5)
        store = S3Blobs(settings)
    assert store.get("ring/3") == bytes(50_000)
    own.freeze()
    for name in ("put", "get", "keys"):
        assert seconds(lambda name=name: CALLS[name](store)) < 6  # type: ignore[misc] # bound now, not later
    assert seconds(lambda: store.put_all(kept)) < 6
    own.thaw()
    assert store.get("ring/3") == bytes(50_000)
    with pytest.raises(BlobMissing):
        store.get("ring/never")
    own.kill()
    assert seconds(lambda: store.put("ring/x", b"x")) < 6
