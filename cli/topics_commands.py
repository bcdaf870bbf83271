"""Commands around the log: topics."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, write_json

if TYPE_CHECKING:
    from core.broker.protocol import Broker

NOBODY = "topics-list"  # a group that never joins
topics = typer.Typer(no_args_is_help=True, help="The topics of the log: make them, see who is how far behind.")
LineFile = Annotated[Path | None, typer.Option("--line", help="Line file; default: line.toml in the data folder.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON here; - for standard output.")]


@topics.command("apply")
def topics_apply(
    line: LineFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
    json_file: Json = None,
) -> None:
    """Make the line's topics, with the retention of the settings; safe to run at any time, and twice."""
    from cli import parts
    from core.broker.topics import in_words
    from core.line import read_line
    from core.settings import read_settings

    settings = read_settings()
    wanted = parts.topics(settings, read_line(line or settings.line_path))
    settings.data.mkdir(parents=True, exist_ok=True)
    with parts.broker(settings) as broker:
        changes = broker.apply(wanted, dry_run=dry_run)
    if json_file:
        rows = [
            {"topic": c.topic.name, "partitions": c.topic.partitions, "new": c.before is None,
             "retention_seconds": c.topic.retention_seconds, "retention_bytes": c.topic.retention_bytes}
            for c in changes
        ]  # fmt: skip
        write_json({"dry_run": dry_run, "changes": rows}, json_file)
        return
    for change in changes:
        out.print(("would change  " if dry_run else "") + in_words(change), soft_wrap=True)
    if not changes:
        out.print(f"all {len(wanted)} topics are as the line wants them")


@topics.command("list")
def topics_list(line: LineFile = None, json_file: Json = None) -> None:
    """List the line's topics: partitions, records, and how far each group is behind, in records and seconds."""
    from cli import parts
    from core.line import read_line
    from core.settings import read_settings

    settings = read_settings()
    wanted = parts.topics(settings, read_line(line or settings.line_path))
    with parts.broker(settings) as broker:
        rows = [_state(broker, topic.name, parts.now().timestamp()) for topic in wanted]
    if json_file:
        write_json({"topics": rows}, json_file)
        return
    for row in rows:
        if row["partitions"] is None:
            out.print(f"{row['topic']:<14} missing; `flawline topics apply` makes it")
            continue
        out.print(f"{row['topic']:<14} {row['partitions']:>3} partitions  ends {row['ends']}")
        for name, group in row["groups"].items():
            behind = f"{group['records']} records, {group['seconds']:.0f} s behind, by partition {group['lag']}"
            out.print(f"    {name:<14} {behind}", soft_wrap=True)


def _state(broker: "Broker", topic: str, now: float) -> dict[str, Any]:
    """What the broker's own books say of a topic and its groups; partitions are None where it is missing."""
    try:
        groups = broker.groups(topic)
    except ValueError:
        return {"topic": topic, "partitions": None, "ends": [], "groups": {}}
    lags = {name: broker.lag(topic, group=name) for name in groups}
    ends = [lag.end for lag in next(iter(lags.values()), None) or broker.lag(topic, group=NOBODY)]
    behind = {
        name: {
            "records": sum(lag.records for lag in found),
            "seconds": max((now - lag.since / 1e9 for lag in found if lag.since is not None), default=0.0),
            "lag": [lag.records for lag in found],
        }
        for name, found in lags.items()
    }
    return {"topic": topic, "partitions": len(ends), "ends": ends, "groups": behind}


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(topics, name="topics")
