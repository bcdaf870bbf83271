"""`flawline dead-letters`: messages that were given up, listed, shown, put back."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli import parts
from cli.console import err, escape, out, write_json
from core import dead_letters
from core.broker.protocol import Broker
from core.dead_letters import Letter, Place
from core.errors import NotAllowed, SettingsInvalid
from core.messages import DEAD_LETTERS
from core.records import replays
from core.settings import read_settings

Verdicts = dict[Place, tuple[str, str]]


def show_list(topic: str, json_file: Path | None) -> None:
    """Print what was given up, oldest first, with what became of it."""
    with parts.broker(read_settings()) as broker:
        found = [_without_value(letter) for letter in _letters(broker, _topics(topic))]
    became = _became([place for place, _ in found])
    again = {letter["replays"] for _, letter in found}
    if json_file:
        write_json({"letters": [values | _state(place, became, again) for place, values in found]}, json_file)
        return
    for place, values in found:
        state = _state(place, became, again)["state"]
        out.print(
            f"{values['dead_at'] or '':<20} {escape(values['place']):<18} {escape(values['frame'] or '–')}  "
            f"{values['size']} bytes  [dim]{escape(state)}[/]", soft_wrap=True)  # fmt: skip
        out.print(f"{'':<20} {escape(values['why'])}", soft_wrap=True)
    if not found:
        out.print("no dead letters")


def show_one(text: str, save: Path | None, json_file: Path | None) -> None:
    """Print one with its headers; write its value to a file."""
    place = Place.of(text)
    with parts.broker(read_settings()) as broker:
        letter = next((one for one in _letters(broker, [_origin(place)]) if one.place == place), None)
    if letter is None:
        raise NotAllowed(f"no dead letter {place}; `flawline dead-letters list` shows those that are kept")
    if save:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_bytes(letter.value)
        err.print(f"{len(letter.value)} bytes written to {escape(str(save))}", soft_wrap=True)
    headers = {name: value.decode(errors="replace") for name, value in letter.headers}
    values = _without_value(letter)[1] | _state(place, _became([place]), set()) | {"headers": headers}
    if json_file:
        write_json(values, json_file)
        return
    for name, value in values.items():
        if name != "headers":
            out.print(f"{name:<14} {escape(str('–' if value is None else value))}", soft_wrap=True)
    for name, value in headers.items():
        out.print(f"  {escape(name):<12} {escape(value)}", soft_wrap=True)


def replay(places: Sequence[str], topic: str, json_file: Path | None, *, every: bool, dry_run: bool) -> None:
    """Put messages back. Raises NotAllowed for one that is not there or does not say where it came from."""
    if bool(places) == every:
        raise SettingsInvalid("name the places of dead letters, or say --all")
    wanted = {Place.of(place) for place in places}
    topics = list(dict.fromkeys(map(_origin, wanted))) or _topics(topic)
    with parts.broker(read_settings()) as broker:
        heads = [(letter.place, letter.replays) for letter in _letters(broker, topics)]
        missing = wanted - {place for place, _ in heads}
        if missing:
            raise NotAllowed(f"no dead letter {', '.join(map(str, sorted(missing)))}; `flawline dead-letters list`")
        if every:
            again = {earlier for _, earlier in heads}
            wanted = {place for place, _ in heads} - again - _became([place for place, _ in heads]).keys()
        done = list(_put_back(broker, topics, wanted, dry_run=dry_run))
    if json_file:
        write_json({"dry_run": dry_run, "replayed": done}, json_file)
        return
    for one in done:
        out.print(f"{one['place']} {'would go' if dry_run else 'went'} back to {one['to']}", soft_wrap=True)
    if not done:
        out.print("nothing to replay")


def _put_back(broker: Broker, topics: Sequence[str], wanted: set[Place], *, dry_run: bool) -> Iterator[dict[str, str]]:
    """One letter at a time: what is put back may be given up again while this reads on, and is not taken twice."""
    with broker.producer() as producer:
        for letter in _letters(broker, topics):
            if letter.place in wanted:
                to = letter.origin if dry_run else dead_letters.replay(producer, letter)
                yield {"place": str(letter.place), "to": f"{to.topic}/{to.number}" if to else "nowhere"}


def _letters(broker: Broker, topics: Sequence[str]) -> Iterator[Letter]:
    for topic in topics:
        yield from dead_letters.read(broker, topic)


def _topics(topic: str) -> list[str]:
    if topic and topic not in DEAD_LETTERS:
        raise SettingsInvalid(f"topic {topic!r} has no dead letters; {', '.join(DEAD_LETTERS)} have")
    return [topic] if topic else list(DEAD_LETTERS)


def _origin(place: Place) -> str:
    """The topic whose dead letters stand at that place. Raises NotAllowed."""
    for topic, letters in DEAD_LETTERS.items():
        if letters == place.topic:
            return topic
    raise NotAllowed(f"{place}: dead letters stand in {', '.join(DEAD_LETTERS.values())}")


def _became(places: Sequence[Place]) -> Verdicts:
    """The verdicts that replays of these led to, as the books say."""
    with parts.database(read_settings()) as database, database.reading() as connection:
        return replays.done(connection, places)


def _state(place: Place, became: Verdicts, again: set[str | None]) -> dict[str, Any]:
    """What became of a letter, in words and as a verdict."""
    if place in became:
        verdict, reason = became[place]
        return {"state": f"replayed: {' '.join(filter(None, (verdict, reason)))}", "verdict": verdict}
    state = "replayed, and given up again" if str(place) in again else "given up"
    return {"state": state, "verdict": None}


def _without_value(letter: Letter) -> tuple[Place, dict[str, Any]]:
    """What is shown of a letter; its value may be large, so that a list does not hold it."""
    origin = f"{letter.origin.topic}/{letter.origin.number}/{letter.offset}" if letter.origin else None
    return letter.place, {
        "place": str(letter.place),
        "dead_at": _time(letter.dead_at),
        "stored_at": _time(letter.stored_at),
        "origin": origin,
        "frame": str(letter.frame) if letter.frame else None,
        "key": letter.key,
        "size": len(letter.value),
        "why": letter.why,
        "replays": str(letter.replays) if letter.replays else None,
    }


def _time(ns: int) -> str | None:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S") if ns else None
