"""Pictures through a GPU, and the same steps on the CPU: every picture once, in its order, as by the network itself."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.architecture import Architecture
from model.conveyor import PLACES, Conveyor, cut
from model.inspection_network import InspectionNetwork
from tests.model.network.conftest import lived_in, pictures, untrained

SIZE = (64, 96)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")),
]
MANY = 2 * max(PLACES) + 3  # more than lie on the conveyor at once


def means(images: Tensor) -> tuple[Tensor, ...]:
    """Something that tells each picture from the others, in two outputs."""
    return images.float().mean(dim=(1, 2, 3)), images[:, :2, :2].float()


def counting(calls: list[int]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    def network(images: Tensor) -> tuple[Tensor, ...]:
        calls.append(len(images))
        return means(images)

    return network


def distinct(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 16, 17, MANY, 40])
def test_every_picture_is_answered_once_and_in_order(count: int, device: str) -> None:
    images = distinct(count)
    told = Conveyor(means, SIZE, torch.device(device))(images)
    first, corner = (np.concatenate(output) for output in zip(*told, strict=True))
    assert first == pytest.approx(images.mean(axis=(1, 2, 3)), abs=1e-3)
    assert np.array_equal(corner, images[:, :2, :2].astype(np.float32))


@pytest.mark.parametrize("device", DEVICES)
def test_answers_are_kept_when_the_conveyor_goes_on(device: str) -> None:
    conveyor = Conveyor(means, SIZE, torch.device(device))
    ((before, _),) = conveyor(distinct(2))
    kept = before.copy()
    conveyor(distinct(9)[7:])
    assert np.array_equal(before, kept)


@pytest.mark.parametrize("device", DEVICES)
def test_a_picture_of_the_batch_before_is_never_answered_for(device: str) -> None:
    """A place that is not full still holds pictures from before; they must not come out again."""
    conveyor = Conveyor(means, SIZE, torch.device(device))
    conveyor(np.full((8, *SIZE, 3), 255, np.uint8))
    told = conveyor(np.zeros((5, *SIZE, 3), np.uint8))
    assert [len(one) for one, _ in told] == [5]
    assert (told[0][0] == 0).all()


def test_a_few_pictures_take_the_smallest_place_that_holds_them() -> None:
    calls: list[int] = []
    conveyor = Conveyor(counting(calls), SIZE, torch.device("cpu"))
    assert calls == list(PLACES)  # made ready before the first part waits for it
    for count, wanted in ((1, [1]), (2, [2]), (3, [4]), (7, [8]), (19, [8, 8, 4])):
        calls.clear()
        conveyor(distinct(count))
        assert calls == wanted


def test_no_picture_is_left_out_or_cut_twice() -> None:
    for number in range(1, 60):
        covered = [place for start, count in cut(number) for place in range(start, start + count)]
        assert covered == list(range(number))


@pytest.mark.parametrize("device", DEVICES)
def test_a_real_network_says_on_it_what_it_says_by_itself(device: str) -> None:
    networks = untrained(Architecture())  # of its own: they are changed
    teacher, student = lived_in(networks.teacher), lived_in(networks.student)
    network = InspectionNetwork(teacher, student, memory=True)
    images = pictures(11)
    with torch.inference_mode():
        wanted = [output.numpy() for output in network(torch.from_numpy(images))]
    network = network.to(device).to(memory_format=torch.channels_last)
    told = [np.concatenate(one) for one in zip(*Conveyor(network, SIZE, torch.device(device))(images), strict=True)]
    for one, other in zip(told, wanted, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
