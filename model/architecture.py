"""Which network: the choices that fix its shape, and the named ablations."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Features = Literal["expanded", "linear"]

BACKBONES = (
    "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet18", "resnet34", "resnet50",
    "wide_resnet50_2",
)  # fmt: skip
DEFAULT_BACKBONE = "efficientnet_lite0"


class Skip(StrEnum):
    """What flows from the teacher into the student's decoder beside the bottleneck."""

    GII = "gii"
    PLAIN = "plain"
    NONE = "none"


@dataclass(frozen=True)
class Architecture:
    """All that decides the shape of teacher and student; stored in every model file.

    features: where an EfficientNet-Lite is tapped, after the next expansion's activation or at the linear block
    outputs; ResNets have one choice and ignore it. expert: train the teacher with a frozen expert (RD-E) or keep the
    ImageNet network as teacher (RD). Raises ValueError for a backbone that we do not have.
    """

    backbone: str = DEFAULT_BACKBONE
    features: Features = "expanded"
    skip: Skip = Skip.GII
    expert: bool = True

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"there is no backbone {self.backbone!r}; choose one of {', '.join(BACKBONES)}")
        if self.features not in ("expanded", "linear"):
            raise ValueError(f"features are 'expanded' or 'linear', not {self.features!r}")

    def to_dict(self) -> dict[str, str | bool]:
        """Plain values, fit for JSON."""
        return {
            "backbone": self.backbone,
            "features": self.features,
            "skip": self.skip.value,
            "expert": self.expert,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Architecture":
        """The architecture that `to_dict` wrote; raises ValueError for a name or value that is none of ours."""
        strangers = values.keys() - cls.__dataclass_fields__.keys()
        if strangers:
            raise ValueError(f"an architecture has no {', '.join(sorted(strangers))}")
        known = dict(values)
        if "skip" in known:
            known["skip"] = Skip(known["skip"])
        if not isinstance(known.get("expert", True), bool):
            raise ValueError(f"expert is true or false, not {known['expert']!r}")
        return cls(**known)


@dataclass(frozen=True)
class Ablation:
    """One row of an ablation study."""

    skip: Skip
    expert: bool


ABLATIONS: dict[str, Ablation] = {
    "rd": Ablation(Skip.NONE, expert=False),
    "rd-e": Ablation(Skip.NONE, expert=True),
    "rd-e+skip": Ablation(Skip.PLAIN, expert=True),
    "rd-e+gii": Ablation(Skip.GII, expert=True),
}
"""Reverse distillation, with an expert, with unguided skips, and with guided information injection (the method)."""


def named(ablation: str, *, backbone: str = DEFAULT_BACKBONE, features: Features = "expanded") -> Architecture:
    """The architecture of a named ablation; raises ValueError for a name that is not in ABLATIONS."""
    if ablation not in ABLATIONS:
        raise ValueError(f"there is no ablation {ablation!r}; choose one of {', '.join(ABLATIONS)}")
    row = ABLATIONS[ablation]
    return Architecture(backbone=backbone, features=features, skip=row.skip, expert=row.expert)
