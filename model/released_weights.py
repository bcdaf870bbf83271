"""Networks saved under the names that the method's authors gave them in their released code."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from model.errors import WeightsMissing

ENCODER_PREFIX = "encoder."
NEVER_RUN = ("encoder.layer4.", "encoder.fc.", "bn.conv4.", "bn.bn4.")
"""Parts that the released networks carry and never run."""

MOST_NAMED = 5  # of the tensors that do not fit; another backbone has hundreds


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

    Raises WeightsMissing, which names the tensors that are missing, surplus or of another shape.
    """
    problems = misfits(network.state_dict(), weights)
    if problems:
        raise WeightsMissing(f"these are not the weights of this network: {few(problems)}")
    network.load_state_dict(run_parts(weights))


def run_parts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights without the parts that are never run."""
    return {name: tensor for name, tensor in weights.items() if not name.startswith(NEVER_RUN)}


def misfits(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """What keeps released weights from being a network's own: each tensor missing, surplus or of another shape.

    own: the network's, under the names that `weights` has; what is never run is left out of account.
    """
    given = run_parts(weights)
    problems = [f"{name} is missing" for name in own.keys() - given.keys()]
    problems += [f"{name} is surplus" for name in given.keys() - own.keys()]
    problems += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(own[name].shape)}"
        for name in own.keys() & given.keys()
        if given[name].shape != own[name].shape
    ]
    return sorted(problems)


def few(problems: Sequence[str]) -> str:
    """The first problems and how many there are, as a message can carry them."""
    named = "; ".join(problems[:MOST_NAMED])
    more = len(problems) - MOST_NAMED
    return f"{named}; and {more} more, {len(problems)} in all" if more > 0 else named
