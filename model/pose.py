"""How a part that lies elsewhere in each picture is located (rd-e.md, section 13).

part      its centre before a plain background; nothing is turned
axis      its centre and its long axis; which way round it lies is told by likeness to the golden parts
template  shift and small turn of the whole picture against the golden ones, to a fraction of a pixel

How like the golden parts it lies there is the confidence; below a limit the picture is refused (MISALIGNED).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model.locating import LEAST_FOUND, Part, PartFinder
from model.placement import Box, FixtureMismatch, Placement, Size, number, resize

PoseKind = Literal["part", "axis", "template"]
TEMPLATE_SIDE = 96  # the template has about this many pixels squared
MARGIN = 0.06  # of the part's size, left around it on each side
LONG = 1.35  # times longer than broad, or its axis says nothing
REGISTERED = 160  # pixels of the longer side in which pictures are registered
STEPS, ENOUGH = 15, 1e-4
LEAST_ALIKE = 0.8  # golden pictures that are less like their mean show nothing that could be registered
FURTHEST = 0.25  # of the picture's side that a registered picture may be shifted
ROUNDING = 0.01  # of a likeness, between teaching and inspection
LEAST_SLACK, SLACK = 0.25, 8.0  # a part may be so much less like the golden ones, or so many robust deviations
MOST_REACH = 0.98  # quantile of the golden parts' reach that the input must hold
TWICE = 2  # rounds in which the template becomes that of the located parts

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """How to locate a part.

    span: width and height of what the input shows, in raw pixels. template: the mean golden part as it lies on the
    input, or the mean golden picture for kind template; a grey PNG. least: confidence below which a picture is refused.
    finder: for part and axis. centre: of the span in the mean golden picture, for template.
    """

    kind: PoseKind
    span: tuple[float, float]
    template: bytes
    least: float
    finder: PartFinder | None = None
    centre: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not (min(self.span) >= 1 and math.isfinite(sum(self.span)) and math.isfinite(self.least)):
            raise ValueError(f"a pose of span {self.span} and least confidence {self.least} finds nothing")
        if (self.kind == "template") != (self.finder is None) or (self.kind == "template") != (self.centre is not None):
            raise ValueError(f"pose {self.kind}: a finder belongs to part and axis, a centre to template")
        if min(self.picture.shape) < 8:
            raise ValueError(f"pose {self.kind}: its template shows nothing")

    @cached_property
    def picture(self) -> Grey:
        """The template, (h, w) float32."""
        try:
            found = cv2.imdecode(np.frombuffer(self.template, np.uint8), cv2.IMREAD_GRAYSCALE)
        except cv2.error:  # it is empty or far too large
            found = None
        if found is None:
            raise ValueError("a pose's template is no picture")
        return np.asarray(found, dtype=np.float32)

    def placement(self, picture: NDArray[np.uint8], size: Size) -> Placement:
        """Where a raw picture, (H, W, 3) uint8, lies on an input of this width and height. Raises FixtureMismatch."""
        found = self.best(picture, size)
        if found.confidence < self.least:
            raise FixtureMismatch(
                f"the part does not lie as the golden ones do (likeness {found.confidence:.2f}, at least "
                f"{self.least:.2f} is asked); check that it is there, whole, and the right product"
            )
        return found

    def best(self, picture: NDArray[np.uint8], size: Size) -> Placement:
        """The likeliest placement, however unlikely. Raises FixtureMismatch where nothing can be located at all."""
        if self.finder is None:
            return self._registered(picture, size)
        part = self.finder.find(picture)
        if part is None:
            raise FixtureMismatch("no part of the golden ones' size before a plain background; check part and light")
        angle = part.angle if self.kind == "axis" else 0.0
        small = self._of(part.centre, angle, picture, (self.picture.shape[1], self.picture.shape[0]))
        seen = grey(small.lay(picture))
        found = [(likeness(seen, self.picture), angle)]
        if self.kind == "axis":  # it lies the other way round by half a turn about the middle of what is shown
            turned = np.asarray(cv2.rotate(seen, cv2.ROTATE_180), dtype=np.float32)
            found.append((likeness(turned, self.picture), angle + math.pi))
        like, angle = max(found)
        return replace(self._of(part.centre, angle, picture, size), confidence=like)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "kind": self.kind,
            "span": list(self.span),
            "template": base64.b64encode(self.template).decode("ascii"),
            "least": self.least,
            "finder": self.finder.to_dict() if self.finder else None,
            "centre": list(self.centre) if self.centre else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from to_dict; raises KeyError, TypeError or ValueError for what it is not."""
        kind, (across, down), centre, finder = values["kind"], values["span"], values["centre"], values["finder"]
        if kind not in {"part", "axis", "template"}:
            raise ValueError(f"pose kind {kind!r} is unknown")
        x, y = centre or (0, 0)
        return cls(
            kind,
            (number(across), number(down)),
            base64.b64decode(values["template"], validate=True),
            number(values["least"]),
            PartFinder.from_dict(finder) if finder else None,
            (number(x), number(y)) if centre else None,
        )

    def _of(self, centre: tuple[float, float], angle: float, picture: NDArray[np.uint8], size: Size) -> Placement:
        return Placement.of_pose(centre, angle, self.span, picture=picture_size(picture), size=size)

    def _registered(self, picture: NDArray[np.uint8], size: Size) -> Placement:
        """Enhanced correlation (Evangelidis and Psarakis 2008) against the mean golden picture."""
        assert self.centre is not None
        shape = (self.picture.shape[1], self.picture.shape[0])
        found, warp = register(self.picture, grey(resize(picture, shape)))
        whole = picture_size(picture)
        factors = np.array([whole[0] / shape[0], whole[1] / shape[1]])
        middle = np.array(self.centre) / factors - 0.5
        moved = (warp[:, :2] @ middle + warp[:, 2] + 0.5) * factors
        angle = math.atan2(float(warp[1, 0]), float(warp[0, 0]))
        return replace(self._of((float(moved[0]), float(moved[1])), angle, picture, size), confidence=found)


def part_pose(pictures: Sequence[NDArray[np.uint8]], finder: PartFinder, *, turned: bool) -> Pose | None:
    """From golden pictures; None where the part's axis says nothing, but is asked for."""
    seen = [(picture, part) for picture in pictures if (part := finder.find(picture)) is not None]
    if turned and float(np.median([part.length / max(part.breadth, 1.0) for _, part in seen])) < LONG:
        return None
    angles = [part.angle if turned else 0.0 for _, part in seen]
    reach = np.array([part.reach(angle) for (_, part), angle in zip(seen, angles, strict=True)])
    across, down = (float(side) * 2 * (1 + 2 * MARGIN) for side in np.quantile(reach, MOST_REACH, axis=0))
    shape = _template_shape(across, down)
    first = [
        Placement.of_pose(part.centre, angle, (across, down), picture=picture_size(picture), size=shape)
        for (picture, part), angle in zip(seen, angles, strict=True)
    ]
    pose = _pose_of(seen, first, Pose("part", (across, down), _png(np.zeros(shape[::-1])), -1.0, finder), turned=turned)
    if turned:  # some were taken the wrong way round by their moments alone
        pose = _pose_of(seen, [pose.best(picture, shape) for picture, _ in seen], pose, turned=True)
    return pose


def _pose_of(
    seen: Sequence[tuple[NDArray[np.uint8], Part]], placements: Sequence[Placement], draft: Pose, *, turned: bool
) -> Pose:
    """The draft with the template and the least confidence of parts that lie so."""
    laid = [grey(placed.lay(picture)) for (picture, _), placed in zip(seen, placements, strict=True)]
    mean = np.asarray(np.mean(laid, axis=0), dtype=np.float32)
    least = least_of([likeness(one, mean) for one in laid])
    return replace(draft, kind="axis" if turned else "part", template=_png(mean), least=least)


def template_pose(pictures: Sequence[NDArray[np.uint8]], roi: Box | None = None) -> Pose | None:
    """From golden pictures of one size; None where they cannot be registered to each other."""
    width, height = picture_size(pictures[0])
    scale = min(1.0, REGISTERED / max(width, height))
    shape = (max(16, round(width * scale)), max(16, round(height * scale)))
    greys = [grey(resize(picture, shape)) for picture in pictures]
    mean: Grey = greys[0]
    likes: list[float] = []
    for _ in range(TWICE):
        moved, likes = [], []
        for one in greys:
            try:
                like, warp = register(mean, one)
            except FixtureMismatch:
                continue
            if like >= LEAST_ALIKE - LEAST_SLACK:
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                moved.append(cv2.warpAffine(one, warp, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE))
                likes.append(like)
        if len(moved) < LEAST_FOUND * len(greys) or float(np.median(likes)) < LEAST_ALIKE:
            return None
        mean = np.asarray(np.mean(moved, axis=0), dtype=np.float32)
    left, top, wide, high = roi or (0, 0, width, height)
    return Pose("template", (wide, high), _png(mean), least_of(likes), None, (left + wide / 2, top + high / 2))


def register(template: Grey, picture: Grey) -> tuple[float, NDArray[np.float32]]:
    """Correlation, and the (2, 3) warp from the template's pixels to the picture's. Raises FixtureMismatch."""
    start = np.eye(2, 3, dtype=np.float32)
    window = cv2.createHanningWindow((template.shape[1], template.shape[0]), cv2.CV_32F)
    # OpenCV's own windowing would write into what it is given
    (x, y), _ = cv2.phaseCorrelate(template * window, picture * window)
    limit = FURTHEST * min(template.shape)
    far = math.hypot(x, y) > limit
    start[:, 2] = (0.0, 0.0) if far else (x, y)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, ENOUGH)
    try:
        found, warp = cv2.findTransformECC(template, picture, start, cv2.MOTION_EUCLIDEAN, stop)
    except cv2.error as problem:
        raise FixtureMismatch("the picture cannot be registered to the golden ones; check part and camera") from problem
    moved = np.asarray(warp, dtype=np.float32)
    if float(np.abs(moved[:, 2]).max()) > 2 * limit:
        raise FixtureMismatch("the picture is shifted too far from the golden ones; check part and camera")
    return float(found), moved


def least_of(likes: Sequence[float]) -> float:
    """The confidence below which a part lies otherwise than the golden ones, whose likenesses these are."""
    middle = float(np.median(likes))
    spread = 1.4826 * float(np.median(np.abs(np.array(likes) - middle)))
    return min(middle - max(LEAST_SLACK, SLACK * spread), min(likes) - ROUNDING)


def likeness(one: Grey, other: Grey) -> float:
    """Normalised correlation of two grey pictures of one shape, -1 to 1."""
    first, second = one - one.mean(), other - other.mean()
    lengths = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / lengths if lengths > 0 else 0.0


def grey(picture: NDArray[Any]) -> Grey:
    """(H, W, 3) uint8 as (H, W) float32."""
    return np.asarray(cv2.cvtColor(np.asarray(picture, np.uint8), cv2.COLOR_RGB2GRAY), dtype=np.float32)


def picture_size(picture: NDArray[Any]) -> Size:
    """Width and height."""
    return picture.shape[1], picture.shape[0]


def _template_shape(across: float, down: float) -> Size:
    scale = TEMPLATE_SIDE / math.sqrt(across * down)
    return max(16, round(across * scale)), max(16, round(down * scale))


def _png(picture: NDArray[Any]) -> bytes:
    done, data = cv2.imencode(".png", np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    assert done
    return bytes(data)
