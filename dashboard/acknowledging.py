"""Acknowledging alerts: a person says that they have seen them, with a name and a note.

The question is the wall's own, in the browser, so that no run of the page can take typed words away. Each press sends
one message with a serial number; the answer bears the same number, and a message that comes twice is done once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from core.errors import FlawlineError, NotAllowed
from core.records import alerts
from dashboard import words
from dashboard.stores import Stores

LONGEST = 200  # characters of a note; the wall's input takes no more
_LARGEST = 1 << 63


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the message `serial`; `refused` says why it was not stored, or not wholly."""

    serial: int
    refused: str = ""


def act(message: object, before: Answer | None, stores: Stores, *, who: str, now: datetime) -> Answer | None:
    """Do what the wall sent, in one transaction; `before` stands where it was done already or is no message of ours."""
    if not isinstance(message, Mapping):
        return before
    serial, numbers, note = message.get("serial"), message.get("alerts"), message.get("note")
    if not (isinstance(serial, int) and isinstance(numbers, list) and isinstance(note, str)):
        return before
    known = [number for number in numbers if isinstance(number, int) and 0 < number < _LARGEST]
    if not known or (before is not None and before.serial == serial):
        return before
    note = " ".join(note.split())[:LONGEST]
    try:
        with stores.writing() as connection:
            refused = [why for number in known if (why := _refusal(connection, number, who=who, note=note, now=now))]
    except FlawlineError as problem:
        refused = [str(problem)]
    return Answer(serial, words.REFUSED.format(problem="; ".join(refused)) if refused else "")


def _refusal(connection: Connection, number: int, *, who: str, note: str, now: datetime) -> str:
    """Acknowledge one; one that was closed or seen by somebody else at this moment is told, and holds up no other."""
    try:
        alerts.acknowledge(connection, number, who=who, note=note, now=now)
    except NotAllowed as problem:
        return str(problem)
    return ""
