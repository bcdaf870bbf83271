"""Teacher and student as one network for inspection: camera values in, distances by level and features out."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from model.efficientnet import EfficientNetEncoder
from model.fold import folded
from model.golden_features import GoldenFeatures
from model.levels import Channels, Levels, distances
from model.normalisation import IMAGENET, Normalisation


class Tapped(Protocol):
    """What an encoder offers beside its levels."""

    channels: Channels

    def tap(self, images: Tensor) -> tuple[Levels, Levels]:
        """The levels, and those for the golden memory."""
        ...


class InspectionNetwork(nn.Module):
    """What every runtime runs. It ends at the distances, because a bfloat16 graph must not add them up.

    teacher, student: are copied, folded and frozen. dtype: of the networks; normalisation and cosines stay float32.
    Raises ValueError for networks that hold a value that is no finite number: an optimised graph may turn it into 0.
    """

    offset: Tensor
    spread: Tensor

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        *,
        normalisation: Normalisation = IMAGENET,
        memory: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        offset, spread = (values.permute(0, 2, 3, 1) for values in normalisation.tensors())  # (1, 1, 1, 3)
        self.register_buffer("offset", offset)  # buffers, so that they move with the network and tracing sees them
        self.register_buffer("spread", spread)
        self.teacher = folded(teacher).to("cpu", dtype)
        self.student = folded(student).to("cpu", dtype)
        self.features = GoldenFeatures(linear_channels(self.teacher)) if memory else None
        if not is_finite(self):
            raise ValueError("the networks hold values that are no finite numbers; train the model again")

    def forward(self, images: Tensor) -> Levels | tuple[Tensor, Tensor, Tensor, Tensor]:
        """images: (B, H, W, 3) uint8 RGB. Returns D_1, D_2, D_3, each (B, H_k, W_k) float32, in [0, 2].

        With a memory, fourth the golden features (B, H / 8, W / 8, C) float32.
        """
        # Channels stay last until the first convolution, and are last again behind the last one: that is how OpenVINO
        # keeps pictures in memory, so nothing is ever turned over.
        given = ((images.float() - self.offset) / self.spread).permute(0, 3, 1, 2).to(self.dtype)
        if self.features is None:
            taught = self.teacher(given)
            return distances(self.student(taught), taught)  # in the gates' order, so that OpenVINO finds them equal
        taught, linear = cast("Tapped", self.teacher).tap(given)
        first, second, third = distances(self.student(taught), taught)
        return first, second, third, self.features(linear).permute(0, 2, 3, 1)


def linear_channels(encoder: nn.Module) -> Channels:
    """Widths of the levels that an encoder's `tap` gives the golden memory."""
    return encoder.linear_channels if isinstance(encoder, EfficientNetEncoder) else cast("Tapped", encoder).channels


def is_finite(network: nn.Module) -> bool:
    """Whether every weight and statistic of a network is a finite number."""
    return all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
