"""BatchNorm folded into the convolution before it: the same answers with fewer steps, for inspection only."""

import copy
from itertools import pairwise

import torch
from torch import nn


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode without any BatchNorm.

    Relies on each BatchNorm being registered right after the convolution that feeds it, as everywhere in this package.
    Raises ValueError if one stands elsewhere.
    """
    network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    for parent in network.modules():
        for (_, first), (name, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and isinstance(second, nn.BatchNorm2d):
                _fold(first, second)
                setattr(parent, name, nn.Identity())
    left = [name for name, part in network.named_modules() if isinstance(part, nn.BatchNorm2d)]
    if left:
        raise ValueError(f"no convolution stands before {', '.join(left)}; cannot fold it")
    return network


def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """y = g (W x - mean) / sqrt(var + eps) + b, in float64; a transposed weight has its outputs on dimension 1."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shape = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias.double()
    bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
    weight = convolution.weight.double() * scale.reshape(shape)
    kind = convolution.weight.dtype
    convolution.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(kind), requires_grad=False)
