"""Which flawline this is, for what it writes."""

from importlib.metadata import PackageNotFoundError, version


def code_version() -> str:
    """The installed version; "unknown" in a folder that was never installed."""
    try:
        return version("flawline")
    except PackageNotFoundError:
        return "unknown"
