"""Pictures that are too large for the log lie in the blob store; parts that nobody can judge travel without one."""

import hashlib
from collections.abc import Sequence

import pytest

from core.blobs.keys import Kind, frame_key
from core.blobs.protocol import Item
from core.errors import StoreUnavailable
from core.messages import FrameCaptured
from core.verdicts import NoVerdictReason
from tests.workers.bench import NOW, Bench, drain, frame, picture, png

GOOD = png(picture())


def claim(bench: Bench, seq: int = 0, value: bytes = GOOD, **changes: object) -> FrameCaptured:
    """An envelope that names a blob, which holds `value`."""
    plain = frame(seq, GOOD)
    key = frame_key(Kind.INBOX, plain.id, plain.captured_at, "png")
    bench.blobs.put(key, value)
    return frame(seq, GOOD, blob=key, blob_bytes=len(value), **changes)


class Away:
    """A picture store that can be taken away; everything else is the real one."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.is_away = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def get(self, key: str) -> bytes:
        self._check()
        return bytes(self._real.get(key))  # type: ignore[attr-defined]

    def put_all(self, items: Sequence[Item]) -> None:
        self._check()
        self._real.put_all(items)  # type: ignore[attr-defined]

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the S3 store does not answer")


def test_a_picture_is_fetched_from_where_its_envelope_says_and_judged_like_any(bench: Bench) -> None:
    bench.teach()
    bench.send(b"", claim(bench))
    bench.send(GOOD, frame(1, GOOD))
    drain(bench.worker())
    claimed, inline = bench.rows()
    assert (claimed.verdict, inline.verdict) == ("PASS", "PASS")
    assert claimed.score == inline.score
    assert claimed.size == len(GOOD)


def test_a_picture_that_travels_in_the_message_is_not_looked_for_elsewhere(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD, blob="inbox/2025/11/24/16/top/1_1_1.png"))
    drain(bench.worker())
    assert bench.row().verdict == "PASS"


def test_a_claimed_picture_that_is_gone_is_invalid_and_a_dead_letter(bench: Bench) -> None:
    bench.teach()
    claimed = claim(bench)
    bench.blobs.delete(claimed.blob)
    bench.send(b"", claimed)
    drain(bench.worker())
    assert (bench.row().verdict, bench.row().reason) == ("INVALID", "DECODE_ERROR")
    assert claimed.blob in bench.row().detail
    (letter,) = bench.dead()
    assert dict(letter.headers)["blob"].decode() == claimed.blob


def test_a_claimed_picture_that_is_not_the_captured_one_is_invalid(bench: Bench) -> None:
    bench.teach()
    bench.send(b"", claim(bench, value=png(picture(5))))
    drain(bench.worker())
    assert bench.row().verdict == "INVALID"
    assert "SHA-256" in bench.row().detail
    assert len(bench.dead()) == 1


@pytest.mark.parametrize("key", ["model/ring/secret.safetensors", "frame/2025/11/24/16/top/1_1_1.png", "../../etc"])
def test_an_envelope_cannot_claim_what_no_camera_put_there(bench: Bench, key: str) -> None:
    bench.teach()
    bench.send(b"", frame(0, GOOD, blob=key))
    drain(bench.worker())
    assert bench.row().verdict == "INVALID"
    assert "no captured picture" in bench.row().detail


def test_a_claim_without_a_checksum_proves_nothing(bench: Bench) -> None:
    bench.teach()
    claimed = claim(bench)
    bench.send(b"", frame(0, GOOD, blob=claimed.blob, sha256=""))
    drain(bench.worker())
    assert bench.row().verdict == "INVALID"


def test_a_store_that_is_away_is_waited_for_and_no_claim_is_lost(bench: Bench) -> None:
    bench.teach()
    bench.blobs = store = Away(bench.blobs)  # type: ignore[assignment]
    worker = bench.worker()
    bench.send(b"", claim(bench))
    store.is_away = True
    worker.step(0.0)
    worker.step(0.0)
    assert bench.rows() == []
    assert bench.dead() == []
    store.is_away = False
    drain(worker)
    assert bench.row().verdict == "PASS"
    assert bench.counted() == 1


def test_a_claimed_picture_that_the_gate_refused_is_kept_as_evidence(bench: Bench) -> None:
    bench.teach()
    bench.send(b"", claim(bench, gate="DARK", gate_detail="the light is off"))
    drain(bench.worker())
    row = bench.row()
    assert (row.verdict, row.reason) == ("INVALID", "DARK")
    assert bench.blobs.get(row.picture) == GOOD


@pytest.mark.parametrize("reason", [NoVerdictReason.BROKER_DOWN, NoVerdictReason.CAMERA_LOST])
def test_a_part_that_nobody_can_judge_goes_on_record_with_the_reason(bench: Bench, reason: NoVerdictReason) -> None:
    bench.teach()
    diverted = frame(0, b"", no_verdict=reason, gate_detail="the spool was full", sha256="", deadline_ms=100)
    bench.send(b"", diverted)
    bench.send(GOOD, frame(1, GOOD))
    drain(bench.worker())
    first, second = bench.rows()
    assert (first.verdict, first.reason, first.detail) == ("NO_VERDICT", reason, "the spool was full")
    assert (first.picture, first.thumb, first.score) == (None, None, None)
    assert second.verdict == "PASS"
    assert bench.dead() == []
    assert bench.counted() == 2


def test_a_picture_beside_such_a_reason_changes_nothing(bench: Bench) -> None:
    bench.teach()
    bench.send(GOOD, frame(0, GOOD, no_verdict=NoVerdictReason.BROKER_DOWN))
    drain(bench.worker())
    assert bench.row().verdict == "NO_VERDICT"


def test_the_blob_of_a_strange_camera_name_is_still_found(bench: Bench) -> None:
    bench.teach()
    strange = frame(0, GOOD, camera="Kamera Ö/1", captured_at=NOW - 10**9)
    key = frame_key(Kind.INBOX, strange.id, strange.captured_at, "png")
    bench.blobs.put(key, GOOD)
    assert hashlib.sha256(GOOD).hexdigest() == strange.sha256
    bench.send(b"", frame(0, GOOD, camera=strange.camera, captured_at=strange.captured_at, blob=key))
    drain(bench.worker())
    assert bench.row().verdict == "PASS"
