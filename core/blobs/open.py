"""The blob store that the settings name."""

from core.blobs.file import FileBlobs
from core.blobs.protocol import BlobStore
from core.settings import Settings


def open_blobs(settings: Settings) -> BlobStore:
    """The store at `blobs.url`. Raises SettingsInvalid for a URL of another kind."""
    if settings.blobs.url.startswith("s3:"):
        from core.blobs.s3 import S3Blobs  # only where it is used: a folder needs no S3 client

        return S3Blobs(settings.blobs)
    return FileBlobs(settings.blobs_path)
