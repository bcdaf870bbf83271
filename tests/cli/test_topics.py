"""`flawline topics` as a person types it, on the log of one machine and on a real Kafka."""

import json
from pathlib import Path

import pytest

from core.broker.open import open_broker
from core.broker.protocol import Partition
from core.settings import read_settings
from tests.cli.conftest import Run
from tests.servers import kafka_of

LINE = """
name = "line"
partitions = 3
[[camera]]
name = "top"
product = "ring"
source = "folder:/pictures"
"""


@pytest.fixture(params=["local", "kafka"])
def line(request: pytest.FixtureRequest, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "kafka":
        settings = kafka_of(request.getfixturevalue("servers"))
        monkeypatch.setenv("FLAWLINE_BROKER__URL", settings.url)
        monkeypatch.setenv("FLAWLINE_BROKER__PREFIX", settings.prefix)
    data.mkdir()
    (data / "line.toml").write_text(LINE)
    return data / "line.toml"


def test_topics_are_made_once_and_a_dry_run_makes_none(line: Path, flawline: Run) -> None:
    assert "frames         missing; `flawline topics apply` makes it" in flawline("topics", "list")[1]
    for _ in range(2):
        _, said = flawline("topics", "apply", "--dry-run")
        assert "would change  frames: new, 3 partitions, kept 24 h" in said
    _, said = flawline("topics", "apply")
    assert "frames: new, 3 partitions, kept 24 h and 8192 MiB in each partition" in said
    _, said = flawline("topics", "apply")
    assert said.startswith("all ")
    _, said = flawline("topics", "list")
    assert "frames           3 partitions  ends [0, 0, 0]" in said


def test_a_new_retention_is_set_and_told(line: Path, flawline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    flawline("topics", "apply")
    monkeypatch.setenv("FLAWLINE_BROKER__RETENTION_HOURS", "12")
    told = json.loads(flawline("topics", "apply", "--json", "-")[1])
    frames = next(row for row in told["changes"] if row["topic"] == "frames")
    assert frames == {
        "topic": "frames", "partitions": 3, "new": False, "retention_seconds": 43200.0, "retention_bytes": 8 << 30,
    }  # fmt: skip
    assert json.loads(flawline("topics", "apply", "--json", "-")[1]) == {"dry_run": False, "changes": []}


def test_a_line_with_other_partitions_is_refused_with_a_way_out(line: Path, flawline: Run) -> None:
    flawline("topics", "apply")
    line.write_text(LINE.replace("partitions = 3", "partitions = 4"))
    for words in (("topics", "apply"), ("topics", "apply", "--dry-run")):
        with pytest.raises(ValueError, match=r"3 partitions cannot become 4.*new FLAWLINE_BROKER__PREFIX"):
            flawline(*words)


def test_lag_is_told_by_group_in_records_and_seconds(line: Path, flawline: Run) -> None:
    flawline("topics", "apply")
    with open_broker(read_settings()) as broker:
        with broker.producer() as producer:
            for number in range(5):
                producer.send("frames", b"picture", partition=number % 2)
        with broker.consumer("frames", group="inspection") as consumer:
            read = 0
            while read < 5:
                read += len(consumer.poll(1.0))
            consumer.commit({Partition("frames", 0): 2})
    told = json.loads(flawline("topics", "list", "--json", "-")[1])
    frames = next(row for row in told["topics"] if row["topic"] == "frames")
    assert frames["ends"] == [3, 2, 0]
    group = frames["groups"]["inspection"]
    assert (group["records"], group["lag"]) == (3, [1, 2, 0])
    assert 0 < group["seconds"] < 60
    assert "inspection     3 records," in flawline("topics", "list")[1]
