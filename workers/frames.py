"""A message of topic `frames`, read: its envelope and its picture, or why there is none. Changes nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.blobs.keys import Kind
from core.blobs.protocol import BlobStore
from core.broker.protocol import Message
from core.errors import BadFrame, BlobMissing, NoIdentity
from core.messages import FrameCaptured
from core.records.frames import BEFORE
from core.times import utc_of
from core.verdicts import InvalidReason
from model.pictures import PictureUnreadable, decode_picture

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

AHEAD_NS = 5 * 60 * 10**9  # an edge clock that is further ahead than this is wrong
DAY_NS = 86_400 * 10**9
EARLIEST_NS = 1_577_836_800 * 10**9  # 2020: a camera that booted without a clock


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as far as it could be read. Without `frame` it has no identity; without `picture` it has a `problem`.

    `value`: the encoded picture, wherever it lay. `is_dead`: the message itself is unusable and belongs among the dead
    letters. A frame whose envelope says that nobody can judge it has neither picture nor problem.
    """

    message: Message
    frame: FrameCaptured | None
    value: bytes = b""
    picture: Picture | None = None
    problem: BadFrame | None = None
    is_dead: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken: pictures of at most `max_pixels`, captured at most `keep_days` ago; 0 = at any time since 2020.

    Retention drops older rows, and a frame that came again after that would be judged and counted once more.
    """

    max_pixels: int
    keep_days: float = 0

    def are_past(self, captured_at: int, now: int) -> bool:
        """Whether a frame of that time comes too late; both in ns UTC."""
        return bool(self.keep_days) and captured_at < now - round(self.keep_days * DAY_NS)


def take(message: Message, *, blobs: BlobStore, bounds: Bounds, now: Callable[[], int]) -> Taken:
    """Read a message; whatever is wrong with it becomes a value. `now` gives ns UTC.

    Raises StoreUnavailable when its picture lies in a store that is away. A picture that the gate refused is fetched
    too: it is the evidence.
    """
    try:
        frame = identify(message, bounds, now=now())
    except BadFrame as problem:
        return Taken(message, None, message.value, problem=problem, is_dead=True)
    if frame.no_verdict:
        return Taken(message, frame, message.value)
    taken = Taken(message, frame)
    try:
        taken = replace(taken, value=_value(frame, message.value, blobs))
        if frame.gate:
            detail = frame.gate_detail or f"the image gate refused it: {frame.gate}"
            return replace(taken, problem=BadFrame(detail, InvalidReason(frame.gate)))
        return replace(taken, picture=_picture(frame, taken.value, bounds.max_pixels))
    except BadFrame as problem:
        return replace(taken, problem=problem, is_dead=True)


def identify(message: Message, bounds: Bounds, *, now: int) -> FrameCaptured:
    """The envelope of a frame that the books can take: its time is one at which it may have been captured.

    now: ns UTC. Raises NoIdentity for a time that is absurd, BadFrame as FrameCaptured.of does.
    """
    frame = FrameCaptured.of(message.headers)
    if not EARLIEST_NS <= frame.captured_at <= now + AHEAD_NS:
        raise NoIdentity(f"{frame.id}: captured at {frame.captured_at} ns, now is {now}: the edge's clock is wrong")
    if bounds.are_past(frame.captured_at, now):
        raise NoIdentity(
            f"{frame.id}: captured at {frame.captured_at} ns, more than {bounds.keep_days:g} days ago. Rows are kept no"
            " longer (FLAWLINE_DATABASE__KEEP_DAYS): it came too late, or the edge's clock is wrong"
        )
    if utc_of(frame.captured_at) < utc_of(frame.session) - BEFORE:
        raise NoIdentity(
            f"{frame.id}: captured at {frame.captured_at} ns, more than {BEFORE.days} day before its session began: the"
            " edge's clock is wrong, or was when the session began; start its capture anew"
        )
    return frame


def _value(frame: FrameCaptured, value: bytes, blobs: BlobStore) -> bytes:
    """The encoded picture: the message's value, or the blob that the envelope names (claim check)."""
    if value or not frame.blob:
        return value
    if not frame.blob.startswith(f"{Kind.INBOX}/") or not frame.sha256:
        raise BadFrame(f"{frame.id}: the envelope names the blob {frame.blob[:200]!r}, which is no captured picture")
    try:
        return blobs.get(frame.blob)
    except BlobMissing as problem:
        raise BadFrame(f"{frame.id}: its picture is gone ({problem}); frames must be judged sooner") from problem


def _picture(frame: FrameCaptured, value: bytes, max_pixels: int) -> Picture:
    if not value:
        raise BadFrame(f"{frame.id}: the picture is empty (0 bytes); check the camera and its disk")
    if frame.sha256 and hashlib.sha256(value).hexdigest() != frame.sha256:
        raise BadFrame(f"{frame.id}: the picture is not the one that was captured (SHA-256 differs)")
    try:
        return decode_picture(value, str(frame.id), max_pixels=max_pixels)
    except PictureUnreadable as problem:
        raise BadFrame(str(problem)) from problem
