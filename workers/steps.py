"""What a step is: a role's work on messages, and the one value that it returns for each.

Done        its effects are in the books                 -> commit
Dead        it will never work                           -> dead-letter topic, then commit
Wait        nothing would work now: a store is away      -> back off, read again, commit nothing
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.broker.protocol import Message


@dataclass(frozen=True, slots=True)
class Done:
    """All effects of the message are durable."""


@dataclass(frozen=True, slots=True)
class Dead:
    """The message will never work; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The message may work later; `detail` says what is away."""

    detail: str


Outcome = Done | Dead | Wait


class Step(Protocol):
    """What a role does with messages: effects that may run twice without harm. Raises StoreUnavailable."""

    def __call__(self, messages: Sequence[Message]) -> list[Outcome]:
        """Handle a batch; one outcome for each message."""
        ...

    def give_up(self, message: Message, detail: str) -> Outcome:
        """Put on record that `message` cannot be handled, without trying it again."""
        ...


class Begun(Protocol):
    """A batch that a step has begun, without effects so far."""

    def finish(self, idle: Callable[[], None]) -> list[Outcome]:
        """Wait for it and give it its effects; one outcome for each message. Raises StoreUnavailable.

        idle: called at most once, when nothing of this batch but its effects is left to do.
        """
        ...

    def drop(self) -> None:
        """Let it go: its messages will be read again."""
        ...


@runtime_checkable
class Ahead(Step, Protocol):
    """A step that can begin a batch while the one before it is given its effects."""

    def begin(self, messages: Sequence[Message]) -> Begun:
        """Begin what has no effects. Raises StoreUnavailable."""
        ...


def nothing() -> None:
    """For those who have nothing to do meanwhile."""
