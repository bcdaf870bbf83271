"""Teacher and student as one network for inspection: camera values in, distances by level out."""

import torch
from torch import Tensor, nn

from model.fold import folded
from model.levels import Levels, distances
from model.normalisation import IMAGENET, Normalisation, normalise


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
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        offset, spread = normalisation.tensors()
        self.register_buffer("offset", offset)  # buffers, so that they move with the network and tracing sees them
        self.register_buffer("spread", spread)
        self.teacher = folded(teacher).to("cpu", dtype)
        self.student = folded(student).to("cpu", dtype)
        if not is_finite(self):
            raise ValueError("the networks hold values that are no finite numbers; train the model again")

    def forward(self, images: Tensor) -> Levels:
        """images: (B, H, W, 3) uint8 RGB. Returns D_1, D_2, D_3, each (B, H_k, W_k) float32, in [0, 2]."""
        taught = self.teacher(normalise(images, self.offset, self.spread).to(self.dtype))
        return distances(taught, self.student(taught))


def is_finite(network: nn.Module) -> bool:
    """Whether every weight and statistic of a network is a finite number."""
    return all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
