"""
How many threads training uses while other programs want the same cores.

PyTorch's threads wait for one another by spinning. With the cores to themselves that is fastest; beside other busy
programs a step on two threads took five times as long as on one (measured: 2 cores, load 4-5). So a short
convolution is timed now and then on one, on half and on all of the threads, and the fastest number is taken.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0  # seconds between two looks; longer each time that nothing changed
ROUNDS = 2
PASSES = 3  # of the convolution in each round, some milliseconds together


class ThreadChooser:
    """Sets PyTorch's number of threads to what is fastest at the moment, looking again from time to time.

    most: never more than these; if fixed, always these. As a context it puts the number back in the end. probe: seconds
    that a typical piece of work takes right now with a number of threads.
    """

    def __init__(
        self,
        most: int,
        *,
        fixed: bool = False,
        probe: Callable[[int], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if most < 1:
            raise ValueError(f"{most} threads cannot train anything; give 1 or more")
        self._candidates = [most] if fixed else sorted({1, max(most // 2, 1), most})
        self._probe = probe or time_convolution
        self._clock = clock
        self._before = torch.get_num_threads()
        self._next_look: float | None = None
        self._pause = FIRST_PAUSE

    def __enter__(self) -> "ThreadChooser":
        self.look()
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)

    def look(self) -> None:
        """Choose again, if the last choice is old."""
        if self._next_look is not None and self._clock() < self._next_look:
            return
        before = torch.get_num_threads()
        taken = dict.fromkeys(self._candidates, 0.0)
        if len(self._candidates) > 1:
            for _ in range(ROUNDS):  # in turn, so that a passing burst of others hits all alike
                for threads in self._candidates:
                    taken[threads] += self._probe(threads)
        best = min(taken, key=lambda threads: taken[threads])
        torch.set_num_threads(best)
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if best == before else FIRST_PAUSE
        self._next_look = self._clock() + self._pause


@contextmanager
def on_one_thread() -> Iterator[None]:
    """PyTorch on one thread, for small work beside another runtime: its threads would spin on the same cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def time_convolution(threads: int) -> float:
    """Seconds for a few small convolutions on this many threads."""
    torch.set_num_threads(threads)
    images, weight = torch.ones(8, 48, 32, 32), torch.ones(48, 48, 3, 3)
    with torch.inference_mode():
        F.conv2d(images, weight, padding=1)  # wakes the threads up
        begun = time.perf_counter()
        for _ in range(PASSES):
            F.conv2d(images, weight, padding=1).relu_()
        return time.perf_counter() - begun
