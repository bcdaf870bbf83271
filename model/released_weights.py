"""Networks saved under the names that the method's authors gave them in their released code."""

from collections.abc import Mapping

from torch import Tensor, nn

from model.errors import WeightsMissing

ENCODER_PREFIX = "encoder."
NEVER_RUN = ("encoder.layer4.", "encoder.fc.", "bn.conv4.", "bn.bn4.")
"""Parts that the released networks carry and never run."""


def load_released_encoder(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put a released teacher or expert into an encoder of ours; raises WeightsMissing as `load_released` does."""
    renamed = {}
    for name, tensor in weights.items():
        if not name.startswith(ENCODER_PREFIX):
            raise WeightsMissing(f"{name} does not belong to a released teacher, whose names begin with encoder.")
        if not name.startswith(NEVER_RUN):
            renamed[name.removeprefix(ENCODER_PREFIX)] = tensor
    load_released(encoder, renamed)


def load_released(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put a released student into a student of ours, without the parts that are never run.

    Raises WeightsMissing, which names every tensor that is missing, surplus or of another shape.
    """
    given = {name: tensor for name, tensor in weights.items() if not name.startswith(NEVER_RUN)}
    own = network.state_dict()
    problems = [f"{name} is missing" for name in own.keys() - given.keys()]
    problems += [f"{name} is surplus" for name in given.keys() - own.keys()]
    problems += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(own[name].shape)}"
        for name in own.keys() & given.keys()
        if given[name].shape != own[name].shape
    ]
    if problems:
        raise WeightsMissing("these are not the weights of this network: " + "; ".join(sorted(problems)))
    network.load_state_dict(given)
