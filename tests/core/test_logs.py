"""What the log says to people and to machines."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.logs import HumanLines, JsonLines, configure, masked
from core.settings import Settings

log = logging.getLogger("tests.line")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    before = root.level, kafka.level
    yield
    for handler in list(root.handlers):
        if isinstance(handler.formatter, JsonLines | HumanLines):
            root.removeHandler(handler)
    root.setLevel(before[0])
    kafka.setLevel(before[1])
    logging.captureWarnings(capture=False)


def configured(stream: io.StringIO, **settings: Any) -> io.StringIO:
    configure(Settings(**settings), stream)
    return stream


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_gives_one_object_a_line_with_its_extras() -> None:
    stream = configured(io.StringIO(), log_format="json")
    log.warning("frame %d is\nlate", 7, extra={"camera": "ring-top", "session": 1 << 60, "seq": 7, "offset": None})
    (entry,) = objects(stream)
    assert abs(datetime.fromisoformat(entry.pop("time")) - datetime.now(UTC)).total_seconds() < 60
    assert entry == {
        "level": "WARNING",
        "logger": "tests.line",
        "message": "frame 7 is\nlate",
        "camera": "ring-top",
        "session": 1 << 60,
        "seq": 7,
        "offset": None,
    }


def test_json_writes_times_in_utc() -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 1_790_000_000.25})
    assert json.loads(JsonLines().format(record))["time"] == "2026-09-21T14:13:20.250000+00:00"


def test_json_carries_the_exception_and_what_json_does_not_know() -> None:
    stream = configured(io.StringIO(), log_format="json")
    try:
        raise ValueError("no such part")
    except ValueError:
        log.exception("failed", extra={"path": frozenset({3})})
    (entry,) = objects(stream)
    assert entry["exception"].splitlines()[-1] == "ValueError: no such part"
    assert "Traceback" in entry["exception"]
    assert entry["path"] == "frozenset({3})"


def test_an_extra_cannot_take_the_place_of_level_or_logger() -> None:
    stream = configured(io.StringIO(), log_format="json")
    log.info("x", extra={"level": "fake", "time": "fake", "logger": "fake"})
    (entry,) = objects(stream)
    assert (entry["level"], entry["logger"]) == ("INFO", "tests.line")
    assert entry["time"] != "fake"


def test_people_get_one_calm_line_and_colour_only_on_a_terminal() -> None:
    plain = configured(io.StringIO(), log_format="human")
    log.info("ready", extra={"camera": "ring-top"})
    log.error("lost")
    first, second = plain.getvalue().splitlines()
    assert first.endswith(" tests.line  ready camera=ring-top")
    assert second.endswith(" tests.line  error: lost")
    assert "\x1b" not in plain.getvalue()
    terminal = configured(Terminal(), log_format="human")
    log.info("ready")
    log.error("lost")
    first, second = terminal.getvalue().splitlines()
    assert "\x1b" not in first
    assert second.startswith("\x1b[31m")
    assert second.endswith("\x1b[0m")


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)])
def test_auto_speaks_to_whoever_is_there(stream: io.StringIO, is_json: bool) -> None:
    configured(stream, log_format="auto")
    log.info("x")
    assert stream.getvalue().startswith("{") == is_json


@pytest.mark.parametrize("form", ["human", "json"])
def test_passwords_in_urls_are_masked_wherever_they_stand(form: str) -> None:
    stream = configured(io.StringIO(), log_format=form)
    url = 'rtsp://admin:s3cr"t@10.0.0.7:554/ch1?x=1'
    try:
        raise ValueError(f"cannot open {url}")
    except ValueError:
        log.exception("camera %s", url, extra={"source": url, "deep": {"urls": [url]}, "odd": ValueError(url)})
    assert "s3cr" not in stream.getvalue()
    assert stream.getvalue().count("admin:***@10.0.0.7:554") == 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kafka://host:9092", "kafka://host:9092"),
        ("http://127.0.0.1:8501/a@b", "http://127.0.0.1:8501/a@b"),
        ("postgresql+psycopg2://u:p@h/db", "postgresql+psycopg2://u:***@h/db"),
        ("redis://:p@h", "redis://:***@h"),
        ("rtsp://u:a@b@h/x and rtsp://v:c@i/y", "rtsp://u:***@h/x and rtsp://v:***@i/y"),
        ("RTSP://u:p@h", "RTSP://u:***@h"),
        ("rtsp://user@h", "rtsp://user@h"),
        ("nothing: here@all", "nothing: here@all"),
    ],
)
def test_only_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_the_level_is_the_settings_and_kafka_never_writes_pictures() -> None:
    stream = configured(io.StringIO(), log_format="json", log_level="DEBUG")
    log.debug("seen")
    logging.getLogger("kafka.producer").debug("a whole picture")
    assert [entry["message"] for entry in objects(stream)] == ["seen"]
    stream = configured(io.StringIO(), log_format="json", log_level="ERROR")
    log.warning("not seen")
    assert stream.getvalue() == ""


def test_configuring_again_replaces_and_never_doubles() -> None:
    first = configured(io.StringIO(), log_format="json")
    second = configured(io.StringIO(), log_format="json")
    log.info("once")
    assert (first.getvalue(), len(objects(second))) == ("", 1)


def test_warnings_of_libraries_go_to_the_log() -> None:
    stream = configured(io.StringIO(), log_format="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old function", UserWarning, stacklevel=1)
    (entry,) = objects(stream)
    assert entry["logger"] == "py.warnings"
    assert "old function" in entry["message"]
