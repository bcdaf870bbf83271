"""The names of blobs. The key tells kind, hour and identity, so a retry overwrites its own blob. Pure: no I/O.

{kind}/{yyyy}/{mm}/{dd}/{hh}/{camera}/{captured_ns}_{session}_{seq}.{ext}
"""

import hashlib
import re
from enum import StrEnum

from core.messages import FrameId
from core.times import utc_of

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
FIXTURE = ".fixture.png"  # the end of a picture that belongs to a model
_LONGEST_KEY = 900  # characters; S3 takes 1024


class Kind(StrEnum):
    """The first part of a key; one life for all blobs of a kind."""

    FRAME = "frame"  # FAIL, REVIEW, INVALID: the evidence
    SAMPLE = "sample"  # some of PASS
    RING = "ring"  # small pictures of PASS, for hours
    THUMB = "thumb"
    HEAT = "heat"
    GOLDEN = "golden"  # a part beside the golden parts nearest to it
    INBOX = "inbox"  # pictures too large for the log, before any verdict
    DATASET = "dataset"  # what models learnt from, by content
    MODEL = "model"


def frame_key(kind: Kind, frame: FrameId, captured_at: int, ext: str) -> str:
    """The key of one frame's blob of one kind; `captured_at` in ns UTC. The same for every delivery of the frame.

    A camera name or suffix that does not fit in a key comes in by a stranger's message: a digest stands for the
    name, "bin" for the suffix.
    """
    camera = frame.camera
    if not _SEGMENT.fullmatch(camera):
        camera = f"x-{hashlib.sha256(camera.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
    suffix = ext if _SUFFIX.fullmatch(ext) else "bin"
    hour = f"{utc_of(captured_at):%Y/%m/%d/%H}"
    return f"{kind}/{hour}/{camera}/{captured_at}_{frame.session}_{frame.seq}.{suffix}"


def fixture_key(model: str) -> str:
    """The key of the picture that shows a model's fixture, beside the key of its file."""
    return f"{model.rpartition('.')[0]}{FIXTURE}"


def check_key(key: str) -> str:
    """The key itself. Raises ValueError unless it is relative, plain and short: letters, digits, _ . - between /."""
    if len(key) > _LONGEST_KEY or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise ValueError(f"{key[:100]!r} is no key: letters, digits, _ . - between slashes; no part begins with a dot")
    return key
