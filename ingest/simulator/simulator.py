"""The line simulator: which part comes next, what is wrong with it, and how its picture looks."""

import zlib
from collections.abc import Iterable
from functools import cache
from typing import Protocol

import numpy as np
from numpy.random import Generator

from ingest.simulator.board import Board
from ingest.simulator.camera import Camera, Pose, bumped, draw_pose, place_mask
from ingest.simulator.flaws import Flaw, visible_change
from ingest.simulator.parts import HEIGHT, WIDTH, CameraFault, DefectKind, Floats, Mask, SimulatedPart, Surface, Truth
from ingest.simulator.ring import Ring
from ingest.simulator.weave import Weave

PRODUCTS = ("ring", "board", "weave")
SMALLEST_MASK = 24  # pixels; a flaw that shows less is drawn again, elsewhere and with more contrast
SHOWN = 400  # pixels more that a flaw of severity 1 must show, and a lesser one in proportion
_STRENGTHS = (1.0, 1.4, 2.0, 2.8, 4.0)
_TURN = {"ring": 0.6, "board": 0.5, "weave": 0.6}


class Product(Protocol):
    """What a product must be able to do."""

    @property
    def kinds(self) -> tuple[DefectKind, ...]:
        """The kinds of defect that it can have."""

    @property
    def shadow(self) -> Floats | None:
        """How much light it leaves on the belt, or None where no belt shows."""

    def part(self, rng: Generator) -> Surface:
        """A good part; equal generators, equal parts."""

    def marred(self, rng: Generator, flaw: Flaw) -> Surface:
        """The same part with a flaw."""


class Simulator:
    """An endless line of parts of one product.

    Everything about part `n` follows from (product, seed, n). defect_rate: share of defective parts. subtle: share
    of the defects that are barely visible. faults: ranges of parts during which the camera misbehaves; fault_rate:
    share of further parts with a fault drawn at random. Raises ValueError for an unknown product or a share
    outside 0..1. The first construction in a process takes about two seconds, a picture a few milliseconds.
    """

    def __init__(
        self,
        product: str,
        *,
        seed: int,
        defect_rate: float = 0.08,
        subtle: float = 0.10,
        faults: Iterable[tuple[range, CameraFault]] = (),
        fault_rate: float = 0.0,
    ) -> None:
        if product not in PRODUCTS:
            raise ValueError(f"unknown simulated product {product!r}: choose one of {', '.join(PRODUCTS)}")
        for name, share in (("defect_rate", defect_rate), ("subtle", subtle), ("fault_rate", fault_rate)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} is {share}: give a share between 0 and 1")
        self.product = product
        self.seed = seed
        self._defect_rate = defect_rate
        self._subtle = subtle
        self._fault_rate = fault_rate
        self._faults = tuple(faults)
        self._product, self._camera = _line_of(product)

    @property
    def kinds(self) -> tuple[DefectKind, ...]:
        """The kinds of defect that this product can have."""
        return self._product.kinds

    def render(self, part: int) -> SimulatedPart:
        """Photograph a part; the picture is (480, 640, 3) uint8 RGB."""
        fault = self.fault(part)
        shown = self._shown(part)
        truth, surface = self._make(part)
        if shown != part:
            surface = self._make(shown)[1]
        seen = self.fault(shown) if shown != part else fault
        pose = self._pose(shown)
        if seen is CameraFault.SHIFTED:
            pose = bumped(pose, self._rng(shown, "bump"))
        picture = self._camera.photograph(surface, pose, self._rng(shown, "camera"), seen)
        return SimulatedPart(picture, truth, fault)

    def good(self, part: int) -> SimulatedPart:
        """Photograph that part as it would be without its defect, by a sound camera: for training sets."""
        surface = self._product.part(self._rng(part, "surface"))
        picture = self._camera.photograph(surface, self._pose(part), self._rng(part, "camera"), None)
        return SimulatedPart(picture, _GOOD)

    def spoilt(self, part: int, kind: DefectKind) -> SimulatedPart:
        """Photograph that part with a defect of the given kind, by a sound camera: for test sets."""
        truth, surface = self._spoil(part, kind)
        picture = self._camera.photograph(surface, self._pose(part), self._rng(part, "camera"), None)
        return SimulatedPart(picture, truth)

    def truth(self, part: int) -> Truth:
        """What is wrong with a part, without the cost of its picture."""
        kind = self.kind(part)
        return _GOOD if kind is None else self._spoil(part, kind)[0]

    def kind(self, part: int) -> DefectKind | None:
        """The kind of a part's defect, without drawing it; None for a good part."""
        rng = self._rng(part, "kind")
        if rng.random() >= self._defect_rate:
            return None
        return self.kinds[int(rng.integers(len(self.kinds)))]

    def severity(self, part: int) -> float:
        """How severe a defect of that part is, or would be: above 0 (barely visible) up to 1 (gross)."""
        rng = self._rng(part, "severity")
        if rng.random() < self._subtle:
            return float(rng.uniform(0.10, 0.32))
        return float(0.38 + 0.62 * rng.random() ** 0.8)

    def fault(self, part: int) -> CameraFault | None:
        """What the camera does wrong at that part: by schedule first, then by chance."""
        for parts, fault in self._faults:
            if part in parts:
                return fault
        rng = self._rng(part, "fault")
        if rng.random() >= self._fault_rate:
            return None
        return list(CameraFault)[int(rng.integers(len(CameraFault)))]

    def _shown(self, part: int) -> int:
        """The part whose picture is delivered: a frozen camera repeats the last one before it froze."""
        while part > 0 and self.fault(part) is CameraFault.FROZEN:
            part -= 1
        return part

    def _make(self, part: int) -> tuple[Truth, Surface]:
        kind = self.kind(part)
        if kind is None:
            return _GOOD, self._product.part(self._rng(part, "surface"))
        return self._spoil(part, kind)

    def _spoil(self, part: int, kind: DefectKind) -> tuple[Truth, Surface]:
        severity = self.severity(part)
        clean = self._product.part(self._rng(part, "surface"))
        for attempt, strength in enumerate(_STRENGTHS):
            flaw = Flaw(kind, severity, strength, self._rng(part, f"flaw{attempt or ''}"))
            marred = self._product.marred(self._rng(part, "surface"), flaw)
            mask = place_mask(visible_change(clean.colour, marred.colour), self._pose(part))
            if mask.sum() >= SMALLEST_MASK + SHOWN * severity:
                break
        return Truth(kind, severity, mask), marred

    def _pose(self, part: int) -> Pose:
        return draw_pose(self._rng(part, "pose"), turn=_TURN[self.product])

    def _rng(self, part: int, purpose: str) -> Generator:
        """An own generator for each purpose, so that a change to one draws nothing from another."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.product}/{purpose}".encode()), part])


@cache
def _line_of(product: str) -> tuple[Product, Camera]:
    """The product and its camera, built once in a process: another seed is another shift, not another line."""
    product_rng, camera_rng = (np.random.default_rng([zlib.crc32(product.encode()), part]) for part in (1, 2))
    built = _build(product, product_rng)
    return built, Camera(camera_rng, shadow=built.shadow)


def _build(product: str, rng: Generator) -> Product:
    if product == "ring":
        return Ring(rng)
    return Board(rng) if product == "board" else Weave(rng)


def _no_mask() -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask.flags.writeable = False
    return mask


_GOOD = Truth(None, 0.0, _no_mask())
