"""How flawline speaks to people and machines: one calm line, or one JSON object a line, on standard error.

Extras given as `logger.info(..., extra={"camera": …, "seq": …})` stand in both. Passwords in URLs are masked.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from core.settings import Settings

_SECRET = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/]*@", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream` (standard error) in the settings' form and level.

    Replaces what an earlier call set up. Warnings go to the log; Kafka's client stays at INFO, because at DEBUG it
    writes whole pictures.
    """
    stream = stream if stream is not None else sys.stderr
    is_terminal = stream.isatty()
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    output = logging.StreamHandler(stream)
    output.setFormatter(JsonLines() if is_json else HumanLines(coloured=is_terminal))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler.formatter, JsonLines | HumanLines)]:
        root.removeHandler(old)
    root.addHandler(output)
    root.setLevel(settings.log_level)
    logging.getLogger("kafka").setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each plug-in that it loads
    logging.captureWarnings(capture=True)


def masked(text: str) -> str:
    """The text with each password in a URL replaced by ***."""
    return _SECRET.sub(r"\g<before>***@", text)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller added to a record."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, extras, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what JSON does not know stands as its text."""
        fields: dict[str, Any] = {
            "time": _moment(record).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in extras(record).items() if name not in fields}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(_masked_within(fields), ensure_ascii=False, default=_text_of)


class HumanLines(logging.Formatter):
    """Time, level where it matters, who, what; colour only on a terminal."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, an exception below it."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        added = "".join(f" {name}={value}" for name, value in extras(record).items())
        line = f"{_moment(record).astimezone():%H:%M:%S} {record.name}  {level}{record.getMessage()}{added}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        if record.stack_info:
            line += "\n" + record.stack_info
        colour = _COLOURS.get(record.levelno) if self._coloured else None
        return f"\x1b[{colour}m{masked(line)}\x1b[0m" if colour else masked(line)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _text_of(value: object) -> str:
    return masked(str(value))


def _masked_within(value: Any) -> Any:
    """Mask every text inside, before JSON escapes it."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {str(name): _masked_within(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_within(inner) for inner in value]
    return value
