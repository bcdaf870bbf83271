"""Product `board`: a small controller board, soldered and marked."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator import components
from ingest.simulator.components import Sprite
from ingest.simulator.flaws import Flaw, contaminate, scratch
from ingest.simulator.laminate import Laminate
from ingest.simulator.parts import HEIGHT, MARGIN, WIDTH, DefectKind, Floats, Surface
from ingest.simulator.texture import clouds

CANVAS_W, CANVAS_H = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
MCU_TEXT = ("FLW32-F4", "RGT6 AX2", "TWN 2611")
WRONG_TEXTS = (("FLW32-F4", "", "TWN 2611"), ("", "", ""), ("TWN 2611", "FLW32-F4", ""))
DRIVER_TEXT, FLASH_TEXT = ("DRV8244", "26A7 P"), ("25Q64", "K2")


@dataclass(frozen=True)
class Place:
    """Where a component sits: its name on the silkscreen, its kind, canvas pixels, quarter turns."""

    name: str
    kind: str
    x: float
    y: float
    quarters: int = 0
    label: tuple[float, float] | None = None


PLACES = (
    Place("U1", "mcu", 262, 262),
    Place("U2", "driver", 468, 178),
    Place("U3", "flash", 468, 312),
    Place("J1", "header", 300, 108),
    Place("J2", "socket", 92, 262),
    Place("Y1", "crystal", 262, 384),
    Place("C1", "can", 576, 132),
    Place("C2", "can", 576, 200),
    Place("L1", "inductor", 572, 388),
    Place("D1", "green", 96, 384),
    Place("D2", "red", 96, 412),
    Place("R1", "r103", 170, 200, 1, (-19, 0)), Place("R2", "r103", 170, 240, 1, (-19, 0)),
    Place("R3", "r472", 170, 284, 1, (-19, 0)),
    Place("R4", "r472", 170, 324, 1, (-19, 0)), Place("R5", "r103", 158, 384), Place("R6", "r103", 158, 412),
    Place("R7", "r220", 408, 240, 1), Place("R8", "r220", 432, 240, 1), Place("R9", "r220", 456, 240, 1),
    Place("R10", "r103", 480, 240, 1), Place("R11", "r000", 504, 240, 1), Place("R12", "r472", 528, 240, 1),
    Place("C3", "cap", 216, 384, 1), Place("C4", "cap", 308, 384, 1), Place("C5", "cap", 362, 200, 1, (21, 0)),
    Place("C6", "cap", 362, 324, 1, (21, 0)), Place("C7", "cap", 404, 370), Place("C8", "cap", 404, 394),
    Place("C9", "cap", 404, 418), Place("C10", "bulk", 488, 372, 1, (0, 26)), Place("C11", "bulk", 516, 372, 1),
    Place("C12", "cap", 574, 280), Place("R13", "r000", 574, 304), Place("R14", "r103", 574, 328),
    Place("C13", "cap", 456, 112, 0, (0, -15)), Place("C14", "cap", 504, 112, 0, (0, -15)),
    Place("D3", "diode", 456, 412),
)  # fmt: skip
REMOVABLE = ("U3", "Y1", "L1", "C1", "C2", "D1", "D2")
SMALL = ("R1", "R3", "R5", "R7", "R9", "R11", "R14", "C3", "C5", "C7", "C9", "C10", "C12", "C13")


class Board:
    """The bare board and the component pictures are made once; each part is soldered anew."""

    name = "board"
    kinds = (DefectKind.SCRATCH, DefectKind.CONTAMINATION, DefectKind.MISSING_FEATURE, DefectKind.MISPRINT)

    def __init__(self, rng: Generator) -> None:
        self._sprites = {
            f"{kind}{quarters}": sprite.turned(quarters)
            for kind, sprite in _stock(rng).items()
            for quarters in range(4)
        }
        bare = Laminate(rng, PLACES)
        self._bare = np.asarray(cv2.cvtColor(bare.colour, cv2.COLOR_RGB2RGBA), np.float32)  # four: see Sprite
        self.alpha, self.shadow, self.inside = bare.alpha, bare.shadow, bare.inside
        self._wrong = [components.package(rng, (112, 112), (16, 16), text) for text in WRONG_TEXTS]
        self._tones = [_tone(rng) for _ in range(3)]

    def part(self, rng: Generator) -> Surface:
        """The next board without defect."""
        return self._solder(rng, PLACES, self._sprites)

    def marred(self, rng: Generator, flaw: Flaw) -> Surface:
        """The board that `part` would give for an equal rng, with a flaw."""
        if flaw.kind is DefectKind.MISSING_FEATURE:
            choice = REMOVABLE if flaw.severity > 0.6 else SMALL
            gone = choice[int(flaw.rng.integers(len(choice)))]
            kept = tuple(replace(place, kind="") if place.name == gone else place for place in PLACES)
            return self._solder(rng, kept, self._sprites)
        if flaw.kind is DefectKind.MISPRINT:
            return self._misprinted(rng, flaw)
        surface = self.part(rng)
        apply = {DefectKind.SCRATCH: scratch, DefectKind.CONTAMINATION: contaminate}
        # a busy ground hides more than a plain one
        apply[flaw.kind](surface.colour, self.inside, replace(flaw, strength=1.5 * flaw.strength))
        np.clip(surface.colour, 0.0, 255.0, out=surface.colour)
        return surface

    def _misprinted(self, rng: Generator, flaw: Flaw) -> Surface:
        """A controller with other marking, or a component that sits the wrong way round or askew."""
        if flaw.rng.random() < 0.6:
            wrong = self._wrong[int(flaw.rng.integers(len(self._wrong)))]
            return self._solder(rng, PLACES, {**self._sprites, "mcu0": wrong})
        names = ("U1", "U2", "U3") if flaw.severity > 0.5 else ("U1", "L1")
        turned = names[int(flaw.rng.integers(len(names)))]
        places = tuple(replace(p, quarters=p.quarters + 2) if p.name == turned else p for p in PLACES)
        return self._solder(rng, places, self._sprites)

    def _solder(self, rng: Generator, places: tuple[Place, ...], sprites: dict[str, Sprite]) -> Surface:
        """Place every component with the small errors of a placement machine; an empty kind leaves its pads bare."""
        gain, tone = float(rng.uniform(0.985, 1.015)), float(rng.uniform(-1.2, 1.2))
        mixed = cv2.addWeighted(self._bare, gain, self._tones[int(rng.integers(3))], tone, 0.0)
        colour = np.asarray(mixed, np.float32)
        errors = rng.normal(0.0, 1.0, (len(places), 4)).clip(-2.2, 2.2)
        for place, (x, y, turn, tint) in zip(places, errors, strict=True):
            if not place.kind:
                continue
            sprite = sprites[f"{place.kind}{place.quarters}"]
            small = 1.0 if sprite.keep.size < 16_000 else 0.4
            sprite.paste(
                colour, place.x + 0.5 * small * x, place.y + 0.5 * small * y, 0.9 * small * turn, 1 + 0.02 * tint
            )
        return Surface(np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGBA2RGB), np.float32), self.alpha)


def _tone(rng: Generator) -> Floats:
    """A slow unevenness of the solder mask's brightness, (520, 680, 4)."""
    return np.asarray(cv2.merge([clouds(rng, CANVAS_H, CANVAS_W, cell=180.0, octaves=2)] * 4), np.float32)


def _stock(rng: Generator) -> dict[str, Sprite]:
    """The picture of each kind of component."""
    resistor, ceramic = (33.0, 33.0, 36.0), (164.0, 134.0, 102.0)
    stock = {
        "mcu": components.package(rng, (112, 112), (16, 16), MCU_TEXT),
        "driver": components.package(rng, (98, 44), (14, 0), DRIVER_TEXT),
        "flash": components.package(rng, (60, 44), (8, 0), FLASH_TEXT),
        "header": components.header(rng, 14),
        "socket": components.socket(rng),
        "crystal": components.crystal(rng),
        "can": components.can(rng, 25.0, "220"),
        "inductor": components.inductor(rng),
        "green": components.lamp(rng, (0.62, 1.0, 0.62)),
        "red": components.lamp(rng, (1.0, 0.52, 0.45)),
        "cap": components.chip(rng, length=23, width=13, tone=ceramic),
        "bulk": components.chip(rng, length=32, width=20, tone=(150, 124, 96)),
        "diode": components.chip(rng, length=28, width=14, tone=(40, 40, 42), text="M7"),
    }
    for code in ("103", "472", "220", "000"):
        stock[f"r{code}"] = components.chip(rng, length=24, width=14, tone=resistor, text=code)
    return stock
