"""What can go wrong, as a small tree: the branch tells the caller what to do.

FlawlineError
├── BadFrame            this picture cannot be judged               -> INVALID row, dead letter, go on
│   └── NoIdentity      its envelope names no usable frame          -> rejected_frames row, dead letter, go on
├── StoreUnavailable    database, broker, blobs or disk             -> wait, keep the offset
│   └── SpoolFull       a camera's spool has no room left           -> hold the picture, take no more, say so
├── BlobMissing         a picture or file that nobody stored, or   -> show it as gone; a model file: ModelUnusable
│                       that retention has dropped
├── ModelUnusable       file missing, corrupt or of another kind    -> keep the model in use, or NO_VERDICT; never PASS
├── SourceUnavailable   a camera, folder or video cannot be opened  -> try again, show the camera as lost
├── BackupUnusable      a backup that is damaged, unfinished or not  -> restore another one; nothing was changed
│                       one of ours
├── NotAllowed          the books do not permit this action         -> refuse it and say why
└── SettingsInvalid     a name or value nobody can mean             -> refuse to start
"""

from core.verdicts import InvalidReason


class FlawlineError(Exception):
    """Anything that flawline itself raises; its text says what happened, to which thing, and what to do next."""


class BadFrame(FlawlineError):
    """A frame that will never be judged, whatever is tried again."""

    def __init__(self, detail: str, reason: InvalidReason = InvalidReason.DECODE_ERROR) -> None:
        super().__init__(detail)
        self.reason = reason


class NoIdentity(BadFrame):
    """A message without a usable camera, session, sequence number or time: no verdict row can be keyed by it."""


class StoreUnavailable(FlawlineError):
    """A database, broker, blob store or disk that does not answer now but may answer later."""


class SpoolFull(StoreUnavailable):
    """A camera's spool that holds as much as it may; it has room again once the broker takes what waits there."""


class BlobMissing(FlawlineError):
    """A stored file that is not there: never written, or dropped by retention. Waiting will not bring it back."""


class ModelUnusable(FlawlineError):
    """A model file that is missing, corrupt, of another format, or not the one that was registered."""


class SourceUnavailable(FlawlineError):
    """A camera, folder or video that cannot be read now."""


class BackupUnusable(FlawlineError):
    """A backup file that is damaged, unfinished, of a newer version, or not one at all."""


class NotAllowed(FlawlineError):
    """An action that the books do not permit in their present state."""


class SettingsInvalid(FlawlineError):
    """A setting, line file or recipe with a name or value that nobody can mean."""
