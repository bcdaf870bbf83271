"""What a reviewer is shown beside a part that did not pass: the golden parts nearest to it. No verdict hangs on it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2

from core.verdicts import MachineVerdict
from model.neighbours import Comparison
from model.predictor import Prediction, Predictor
from model.runtimes import Seen
from workers.frames import Picture
from workers.judging import Judgement

SECONDS = 0.05  # of what is judged together: where many fail at once, their verdicts do not wait for pictures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnInput:
    """A part as its model saw it. place: in what was seen; laid and prediction: on the model's input."""

    predictor: Predictor
    seen: Seen
    place: int
    laid: Picture
    prediction: Prediction


class Comparing:
    """For frames judged together: what is not begun within SECONDS of work, or cannot be shown, is left out."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._left = SECONDS

    def __call__(self, judgement: Judgement, part: OnInput) -> Judgement:
        """The judgement, with the golden parts nearest to the part where it is FAIL or REVIEW."""
        if judgement.verdict not in (MachineVerdict.FAIL, MachineVerdict.REVIEW) or self._left <= 0:
            return judgement
        began = self._clock()
        found = comparison_of(part)
        self._left -= self._clock() - began
        return replace(judgement, golden=found)


def comparison_of(part: OnInput) -> Comparison | None:
    """The golden parts nearest to it; None where there are none to show.

    Where anything is wrong with them the part keeps its verdict, and its other evidence.
    """
    try:
        return part.predictor.compare(part.seen, part.place, part.laid, part.prediction)
    except (ValueError, LookupError, RuntimeError, cv2.error) as problem:
        log.warning("no golden parts are shown beside this one: %s", problem)
        return None
