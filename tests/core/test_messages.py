import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadFrame, NoIdentity
from core.messages import CameraReported, FrameCaptured, FrameId, FrameInspected, PartRouted, RouteId
from core.times import ns_of, utc_of

FRAME = FrameCaptured(
    station="station-1", camera="top", session=1_764_000_000_000_000_001, seq=7, captured_at=1_764_000_000_123_456_789,
    product="ring", part_id="ring-7", lot="4471", deadline_ms=2000, width=640, height=480, sha256="ab",
)  # fmt: skip
VERDICT = FrameInspected(
    camera="top", session=5, seq=7, captured_at=1, inspected_at=2, station="s", product="ring", part_id="", lot="",
    verdict="FAIL", reason="", detail="", score=0.5, t_lo=0.1, t_hi=None, model="2026-11-24/1", is_late=False,
)  # fmt: skip
REPORT = CameraReported(
    camera="top", station="s", product="ring", session=5, state="RUNNING", detail="", triggered=9, captured=8,
    reconnects=0, reported_at=77,
)  # fmt: skip


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(header for header in FRAME.headers() if header[0] != name)


def with_value(name: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    return (*without(name), (name, value))


def test_an_envelope_survives_its_headers() -> None:
    assert FrameCaptured.of(FRAME.headers()) == FRAME


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 2**40))
def test_any_text_survives_the_headers(part: str, lot: str, seq: int) -> None:
    try:
        part.encode(), lot.encode()
    except UnicodeEncodeError:
        return
    frame = replace(FRAME, part_id=part, lot=lot, seq=seq)
    assert FrameCaptured.of(frame.headers()) == frame


def test_headers_of_later_versions_are_left_alone() -> None:
    assert FrameCaptured.of((*FRAME.headers(), ("encoder_count", b"12"))) == FRAME


@pytest.mark.parametrize("name", ["camera", "session", "seq", "captured_at"])
def test_without_identity_or_time_there_is_no_row_to_key(name: str) -> None:
    with pytest.raises(NoIdentity):
        FrameCaptured.of(without(name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seq", b"-1"), ("seq", b"seven"), ("session", b"0"), ("captured_at", b"0"), ("captured_at", b"9" * 30),
        ("camera", b""), ("camera", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_an_absurd_identity_is_no_identity(name: str, value: bytes) -> None:
    with pytest.raises(NoIdentity):
        FrameCaptured.of(with_value(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", b"2"),
        ("deadline_ms", b"soon"),
        ("run_type", b"WORK"),
        ("gate", b"FOGGY"),
        ("width", b"1.5"),
        ("no_verdict", b"TIRED"),
        ("blob_bytes", b"many"),
        ("monotonic_at", b"-"),
    ],
)
def test_any_other_defect_is_a_bad_frame_that_names_itself(name: str, value: bytes) -> None:
    with pytest.raises(BadFrame, match=r"top-1764000000000000001-7") as caught:
        FrameCaptured.of(with_value(name, value))
    assert not isinstance(caught.value, NoIdentity)


def test_a_missing_field_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="product"):
        FrameCaptured.of(without("product"))


def test_envelopes_and_reports_of_earlier_versions_are_still_read() -> None:
    new = {"blob_bytes", "no_verdict", "boot", "monotonic_at"}
    assert FrameCaptured.of(header for header in FRAME.headers() if header[0] not in new) == FRAME
    old = json.loads(REPORT.to_json())
    for name in ("minutes", "spool_bytes", "spool_oldest_ms", "diverted", "alarm", "host"):
        del old[name]
    assert CameraReported.from_json(json.dumps(old).encode()) == REPORT


def test_the_identity_reads_as_an_inspection_id() -> None:
    assert str(FRAME.id) == "top-1764000000000000001-7"


@pytest.mark.parametrize("message", [VERDICT, REPORT, replace(VERDICT, score=None, t_lo=None)])
def test_messages_survive_their_json(message: FrameInspected | CameraReported) -> None:
    assert type(message).from_json(message.to_json()) == message


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b"\xff", b'{"schema": 1}', VERDICT.to_json().replace(b'"seq":7', b'"seq":"7"')]
)
def test_what_is_no_verdict_message_is_refused(value: bytes) -> None:
    with pytest.raises(BadFrame, match="FrameInspected"):
        FrameInspected.from_json(value)


def test_a_verdict_without_a_number_for_its_score_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(VERDICT, score=float("nan")).to_json()


def test_unknown_fields_of_later_versions_are_left_alone() -> None:
    later = json.loads(REPORT.to_json()) | {"dropped": 3}
    assert CameraReported.from_json(json.dumps(later).encode()) == REPORT


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_times_are_cut_to_microseconds_and_never_rounded(ns: int) -> None:
    assert ns_of(utc_of(ns)) == ns // 1000 * 1000


def test_a_time_that_floats_would_move_is_exact() -> None:
    assert utc_of(1_764_000_000_123_456_999).microsecond == 123456


ROUTED = PartRouted(
    gate="reject-1", session=9, number=3, station="s", product="ring", part_id="17", trigger_seq=17, lot="",
    triggered_at=1, commanded_at=2, routed_at=3, deadline_ms=2230, verdict="PASS", reason="", detail="",
    action="ACCEPT", route="ACCEPTED", score=0.1, t_lo=0.2, frames=[["top", 5, 7, 1], ["side", 6, 8, 2]],
)  # fmt: skip


def test_a_route_survives_its_message_and_knows_its_pictures() -> None:
    assert PartRouted.from_json(ROUTED.to_json()) == ROUTED
    assert ROUTED.id == RouteId("reject-1", 9, 3)
    assert str(ROUTED.id) == "reject-1-9-3"
    assert ROUTED.frame_ids == [FrameId("top", 5, 7), FrameId("side", 6, 8)]


@pytest.mark.parametrize(
    "wrong",
    [{"gate": ""}, {"session": -1}, {"number": 1 << 62}, {"verdict": "GOOD"}, {"route": "AWAY"}, {"trigger_seq": True},
     {"frames": [["top", 5, 7]]}, {"frames": [["", 5, 7, 1]]}, {"frames": [["top", 5, "7", 1]]}, {"frames": ["top"]},
     {"score": "high"}, {"schema": 2}],
)  # fmt: skip
def test_a_route_that_nobody_can_mean_is_a_bad_message(wrong: dict[str, object]) -> None:
    with pytest.raises(BadFrame):
        PartRouted.from_json(json.dumps(json.loads(ROUTED.to_json()) | wrong).encode())
