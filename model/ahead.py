"""The next batch of training, made while the network learns from this one."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from model.batches import Batch, Batches


class Ahead:
    """Batches by iteration, the next one begun by a thread of its own as soon as one is asked for.

    A batch is a function of its iteration, so it is the same as without. The report of the twins counts one that was
    begun and never asked for.
    """

    def __init__(self, batches: Batches, pool: ThreadPoolExecutor) -> None:
        self._batches = batches
        self._pool = pool
        self._begun: tuple[int, Future[Batch]] | None = None

    def __getitem__(self, iteration: int) -> Batch:
        begun, self._begun = self._begun, None
        this = begun[1].result() if begun and begun[0] == iteration else self._batches[iteration]
        self._begun = iteration + 1, self._pool.submit(self._batches.__getitem__, iteration + 1)
        return this


@contextmanager
def ahead_on(device: torch.device, batches: Batches) -> Iterator[Batches | Ahead]:
    """On a GPU batches are made ahead: it would wait for the CPU else. On a CPU that would only share the cores."""
    if device.type == "cpu":
        yield batches
        return
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        yield Ahead(batches, pool)
