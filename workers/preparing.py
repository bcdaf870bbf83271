"""A message made ready for the network, on a thread of its own: read, decoded, made small, laid into its fixture."""

from collections.abc import Callable
from dataclasses import dataclass

from core.broker.protocol import Message
from core.errors import BadFrame
from core.verdicts import InvalidReason
from model.fixture import FixtureMismatch
from model.placement import Placement
from workers.frames import Picture, Taken
from workers.keeping import small_jpeg
from workers.shelf import Qualified, Shelf, Unknown, Unqualified


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message as far as it could be made ready.

    small: the JPEG that is kept of it, found: what its product is judged by; None where there is no picture. laid: what
    the network is to see and placement, where it lies there; None where nobody can judge it. problem: why the picture
    does not fit.
    """

    taken: Taken
    small: bytes | None = None
    found: Qualified | Unqualified | Unknown | None = None
    laid: Picture | None = None
    placement: Placement | None = None
    problem: BadFrame | None = None


def prepare(message: Message, take: Callable[[Message], Taken], shelf: Shelf) -> Prepared:
    """Make it ready; what is wrong with it becomes a value. Raises StoreUnavailable. Changes nothing."""
    taken = take(message)
    if taken.frame is None or taken.picture is None:
        return Prepared(taken)
    small = small_jpeg(taken.picture)
    found = shelf.find(taken.frame.product)
    if not isinstance(found, Qualified):
        return Prepared(taken, small, found)
    try:
        fixture = found.predictor.fixture
        placement = fixture.place(taken.picture)
        return Prepared(taken, small, found, fixture.lay(taken.picture, placement), placement)
    except FixtureMismatch as problem:
        return Prepared(taken, small, found, problem=BadFrame(str(problem), InvalidReason.MISALIGNED))
