"""Batches made ahead are the same batches."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from model.ahead import Ahead, ahead_on
from model.batches import Batch, Batches, Twins
from model.foreground import Foregrounds
from model.textures import ProceduralTextures


def batches() -> Batches:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    return Batches(pictures, Twins(ProceduralTextures(), Foregrounds(pictures, "none"), 3), size=4)


def same(one: Batch, other: Batch) -> bool:
    return bool(
        (one.picks == other.picks).all()
        and torch.equal(one.normal, other.normal)
        and torch.equal(one.marred, other.marred)
        and torch.equal(one.mask, other.mask)
    )


def test_each_batch_is_that_of_its_iteration_whatever_is_asked_for() -> None:
    plain = batches()
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(batches(), pool)
        for iteration in (0, 1, 2, 7, 8, 3):
            assert same(ahead[iteration], plain[iteration])


def test_the_next_one_is_made_by_another_thread_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, bool]] = []
    take = Batches.__getitem__

    def noting(self: Batches, iteration: int) -> Batch:
        made.append((iteration, threading.current_thread() is threading.main_thread()))
        return take(self, iteration)

    monkeypatch.setattr(Batches, "__getitem__", noting)
    with ThreadPoolExecutor(1) as pool:
        Ahead(batches(), pool)[0]
    assert made == [(0, True), (1, False)]


def test_what_goes_wrong_in_making_one_is_raised_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Batches.__getitem__

    def failing(self: Batches, iteration: int) -> Batch:
        if iteration == 1:
            raise OSError("the texture is gone")
        return take(self, iteration)

    monkeypatch.setattr(Batches, "__getitem__", failing)
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(batches(), pool)
        ahead[0]
        with pytest.raises(OSError, match="texture is gone"):
            ahead[1]


def test_on_a_cpu_nothing_is_made_ahead() -> None:
    plain = batches()
    with ahead_on(torch.device("cpu"), plain) as given:
        assert given is plain
    with ahead_on(torch.device("meta"), plain) as made:
        assert isinstance(made, Ahead)
