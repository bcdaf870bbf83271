"""Ten thousand damaged envelopes and messages: each is read, or refused as a bad frame; nothing else comes out."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blobs.file import FileBlobs
from core.broker.protocol import Message, Partition
from core.errors import BadFrame, NoIdentity
from core.messages import FRAMES, CameraReported, FrameCaptured, FrameInspected, Headers
from tests.fuzz.mutation import CASES, damaged
from workers.frames import Bounds, take

NONE = FileBlobs(Path("no-such-folder"))  # no picture lies there
NOW = 1_795_000_000 * 10**9
FRAME = FrameCaptured(
    station="station-1", camera="ring-top", session=NOW - 10**12, seq=41, captured_at=NOW - 10**9, product="ring",
    part_id="4711", lot="L7", deadline_ms=5000, width=640, height=480, sha256="ab" * 32,
)  # fmt: skip
VERDICT = FrameInspected(
    camera="ring-top", session=1, seq=2, captured_at=3, inspected_at=4, station="s", product="ring", part_id="",
    lot="", verdict="PASS", reason="", detail="", score=0.5, t_lo=1.0, t_hi=None, model="m", is_late=False,
)  # fmt: skip
REPORT = CameraReported(
    camera="ring-top", station="s", product="ring", session=1, state="RUNNING", detail="", triggered=2, captured=2,
    reconnects=0, reported_at=5,
)  # fmt: skip


def read(headers: Headers) -> str:
    """What becomes of an envelope."""
    message = Message(Partition(FRAMES, 0), 0, "", b"no picture", headers, NOW)
    taken = take(message, blobs=NONE, bounds=Bounds(1000), now=lambda: NOW)
    assert taken.picture is None
    assert taken.problem is not None, "bytes that are no picture cannot be fit to be scored"
    return "known" if taken.frame else "a stranger" if isinstance(taken.problem, NoIdentity) else "unreadable"


def with_damage(headers: Headers, random: np.random.Generator, junk: bytes) -> Headers:
    """One header changed, dropped, doubled, renamed or added."""
    found = list(headers)
    place = int(random.integers(len(found)))
    name, value = found[place]
    cut = junk[: int(random.integers(0, 40))]
    found[place : place + 1] = [
        [(name, cut)], [], [(name, value), (name, cut)], [(cut.decode("latin-1"), value)], [(name, value + cut)],
        [(name, b"-" + value)], [(name, b"9" * 30)],
    ][int(random.integers(7))]  # fmt: skip
    return tuple(found)


def test_a_damaged_envelope_is_read_or_refused() -> None:
    random = np.random.default_rng(3)
    ends = Counter(read(with_damage(FRAME.headers(), random, random.bytes(48))) for _ in range(CASES))
    assert sum(ends.values()) == CASES
    assert set(ends) == {"known", "a stranger", "unreadable"}


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=24)), max_size=8))
def test_headers_of_a_stranger_are_never_a_frame(headers: list[tuple[str, bytes]]) -> None:
    assert read(tuple(headers)) != "known"


def test_what_is_read_back_is_what_was_written() -> None:
    assert FrameCaptured.of(FRAME.headers()) == FRAME
    assert FrameInspected.from_json(VERDICT.to_json()) == VERDICT
    assert CameraReported.from_json(REPORT.to_json()) == REPORT


def test_damaged_json_is_a_message_or_a_bad_frame() -> None:
    good = [VERDICT.to_json(), REPORT.to_json()]
    odd = [b"null", b"[]", b"{}", b'"x"', b"1e999", b"[" * 200, json.dumps({"schema": 1}).encode()]
    for data in [*odd, *damaged(good)]:
        for kind in (FrameInspected, CameraReported):
            try:
                found = kind.from_json(data)
            except BadFrame as problem:
                assert kind.__name__ in str(problem)  # noqa: PT017 - it may also be read
            else:
                assert kind.from_json(found.to_json()) == found
