"""
Whether a product's golden pictures may be flipped and turned: only where that makes pictures as they are anyway.

Golden pictures alone decide. Each is held against others of them (model.memory, on the frozen expert's features), as
it is and turned. Where the product is symmetric, or lies any way round, the turned one is no farther from the others at
any place; where it is not, there are places at which it is so on every part: print, a hole, light from one side, the
run of a weave. Measured, in strays of good parts: up to 0.5 for flat tiles, grain, plain discs and parts that lie any
way round; at least 1.0 for what looks otherwise when turned, even by light that falls off by a tenth of itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from torch import nn

from model.expert_features import ExpertFeatures
from model.fixture import Fixture
from model.memory import CALM, GoldenMemory
from model.views import MOST_VIEWS, Turn, Turns, turned

FEWEST = 10  # parts; of fewer, chance makes as much
MOST_ASKED = 16  # parts that are looked at
LARGEST = 384  # px of the longer side at which they are looked at
FOLDS = 4
MOST_EFFECT = 0.6  # strays of good parts by which turned ones may lie farther from them at the worst place
SMOOTH = 1.0  # cells
MIRRORED: Turn = (0, True)
UPSIDE_DOWN: Turn = (2, True)  # top and bottom change places
QUARTER: Turn = (1, False)
NAMES: Mapping[Turn, str] = {MIRRORED: "left-right", UPSIDE_DOWN: "top-bottom", QUARTER: "quarter turn"}

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Turning:
    """How golden pictures may be turned, and why.

    effects: by turn, how much farther turned parts lie from good ones at the worst place, in strays of good ones.
    """

    turns: Turns
    why: str
    effects: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {"why": self.why, "effects": {name: round(one, 3) for name, one in self.effects.items()}}


def turns_allowed(
    pictures: Pictures, groups: Sequence[str], fixture: Fixture, expert: nn.Module, *, seed: int = 0
) -> Turning:
    """How golden pictures, (N, H, W, 3) in the fixture, may be turned.

    groups: the part that each shows. expert: a frozen encoder with ImageNet weights.
    """
    if fixture.pose is not None:
        return Turning("none", f"fixture {fixture.kind} fixes how a part lies")
    if len(pictures) >= MOST_VIEWS:
        return Turning("none", f"{len(pictures)} pictures are enough as they are")
    firsts = list({group: number for number, group in reversed(list(enumerate(groups)))}.values())
    if len(firsts) < FEWEST:
        return Turning("none", f"{len(firsts)} parts are too few to tell")
    chosen = default_rng((seed, len(firsts))).permutation(len(firsts))[:MOST_ASKED]
    asked = _small(pictures[np.array(firsts)[chosen]])
    features = ExpertFeatures(expert)
    plain = features(list(asked))
    effects = {MIRRORED: _effect(plain, features(_turned(asked, MIRRORED)))}
    if effects[MIRRORED] <= MOST_EFFECT:
        effects[UPSIDE_DOWN] = _effect(plain, features(_turned(asked, UPSIDE_DOWN)))
    if asked.shape[1] == asked.shape[2]:
        effects[QUARTER] = _effect(plain, features(_turned(asked, QUARTER)))
    flips, quarter = (effects.get(turn, np.inf) <= MOST_EFFECT for turn in (UPSIDE_DOWN, QUARTER))
    turns: Turns = ("all" if quarter else "flips") if flips else ("quarter" if quarter else "none")
    why = "good parts look otherwise when turned" if turns == "none" else "good parts look the same when turned"
    return Turning(turns, why, {NAMES[turn]: effect for turn, effect in effects.items()})


def _effect(plain: NDArray[np.float32], turned: NDArray[np.float32]) -> float:
    """How much farther turned parts lie from good ones at the worst place. Both: features (N, C, h, w)."""
    near = np.empty((len(plain), *plain.shape[2:]), np.float32)
    far = np.empty_like(near)
    folds = np.arange(len(plain)) % FOLDS
    for fold in range(FOLDS):
        here = folds == fold
        memory = GoldenMemory.of(plain[~here])
        near[here], far[here] = memory.distances(plain[here]), memory.distances(turned[here])
    near, far = _smoothed(near), _smoothed(far)
    strays = near.std(axis=0)
    return float(((far - near).mean(axis=0) / (strays + CALM * float(strays.mean()) + 1e-6)).max())


def _smoothed(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([cv2.GaussianBlur(one, (0, 0), SMOOTH, borderType=cv2.BORDER_REPLICATE) for one in cells])


def _small(pictures: Pictures) -> Pictures:
    """At most LARGEST px on the longer side, by a whole factor; sides stay multiples of 32."""
    height, width = pictures.shape[1:3]
    factor = -(-max(height, width) // LARGEST)
    if factor == 1:
        return pictures
    size = (max(32, width // factor // 32 * 32), max(32, height // factor // 32 * 32))
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])


def _turned(pictures: Pictures, turn: Turn) -> list[NDArray[np.uint8]]:
    return [turned(picture, turn) for picture in pictures]
