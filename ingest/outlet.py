"""Where a camera's frames go: small pictures in the log itself, larger ones in the blob store, claimed by key."""

import logging
from dataclasses import dataclass, field, replace

from core.blobs.keys import Kind, frame_key
from core.blobs.protocol import BlobStore
from core.errors import StoreUnavailable
from core.messages import FrameCaptured
from ingest.missed import InMemory, Owing

_log = logging.getLogger(__name__)

INLINE_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """How one camera's frames leave.

    partition: of topic `frames`, the camera's own. inline: bytes above which a picture goes into `blobs` and the log
    carries its key. most_inline: what the log takes while the blob store is away. max_pixels: of a picture that is
    decoded. session: in ns, larger than any earlier one of the camera; 0: the time of the start. owing: where the
    camera's process notes what it owes the log.
    """

    partition: int
    max_pixels: int
    inline: int = INLINE_BYTES
    most_inline: int = INLINE_BYTES
    blobs: BlobStore | None = None
    session: int = 0
    owing: Owing = field(default_factory=InMemory)

    def place(self, frame: FrameCaptured, value: bytes) -> tuple[FrameCaptured, bytes]:
        """The envelope and the value that travel, once the picture is where the envelope says (domain.md IT-5).

        The key follows from the frame's identity, so a picture that is placed again replaces itself. Raises
        StoreUnavailable when the blob store is away and the log could not take the picture either.
        """
        if len(value) <= self.inline or self.blobs is None:
            return frame, value
        key = frame_key(Kind.INBOX, frame.id, frame.captured_at, frame.encoding)
        try:
            self.blobs.put(key, value)
        except StoreUnavailable as problem:
            if len(value) > self.most_inline:
                raise
            _log.warning("%s: %d bytes travel in the log: %s", frame.id, len(value), problem)
            return frame, value
        return replace(frame, blob=key, blob_bytes=len(value)), b""
