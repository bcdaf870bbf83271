"""What a network costs: parameters, and multiplications for one picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.architecture import Architecture
from model.backbones import SIDE_STEP, build_encoder, check_size
from model.networks import freeze
from model.student import build_student


@dataclass(frozen=True)
class Cost:
    """Of teacher and student as they inspect; the expert is gone by then.

    parameters: weights and biases. macs: multiply-accumulates of all convolutions, for one picture; what else there is
    (norms are folded into them) is a thousandth of that.
    """

    parameters: int
    macs: int


def cost_of(architecture: Architecture, size: tuple[int, int]) -> Cost:
    """Counted on the smallest picture there is: convolutions cost the same at each place.

    size: height, width of the input. Raises ValueError for a size that the networks cannot take.
    """
    check_size(*size)
    with torch.device("meta"):  # start values take seconds in a large student, and say nothing here
        teacher, student = build_encoder(architecture), build_student(architecture)
    networks = [freeze(network.to_empty(device="cpu")) for network in (teacher, student)]
    with torch.inference_mode(), _counting(networks) as counted:
        networks[1](networks[0](torch.zeros(1, 3, SIDE_STEP, SIDE_STEP)))
    places = (size[0] // SIDE_STEP) * (size[1] // SIDE_STEP)
    parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
    return Cost(parameters, sum(counted) * places)


@contextmanager
def _counting(networks: list[nn.Module]) -> Iterator[list[int]]:
    """The multiply-accumulates of each convolution that runs inside it."""
    counted: list[int] = []

    def forward(part: nn.Conv2d, _given: tuple[Tensor, ...], out: Tensor) -> None:
        counted.append(out.numel() * part.weight.numel() // part.out_channels)

    def transposed(part: nn.ConvTranspose2d, given: tuple[Tensor, ...], _out: Tensor) -> None:
        counted.append(given[0].numel() * part.weight.numel() // part.in_channels)

    parts = [part for network in networks for part in network.modules()]
    hooks = [part.register_forward_hook(forward) for part in parts if isinstance(part, nn.Conv2d)]
    hooks += [part.register_forward_hook(transposed) for part in parts if isinstance(part, nn.ConvTranspose2d)]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()
