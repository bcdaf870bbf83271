"""Product `weave`: a twill cloth that fills the whole picture; each part is another cut of the roll."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from ingest.simulator.cloth import PITCH, Change, Cloth
from ingest.simulator.flaws import Flaw, contaminate, path_within, spot_within, stroke
from ingest.simulator.parts import HEIGHT, MARGIN, WIDTH, Box, DefectKind, Floats, Mask, Surface
from ingest.simulator.texture import blend, blur, clouds

CANVAS_W, CANVAS_H = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
SPARE = 280  # the roll is larger than the canvas by this many pixels
RED, WHITE, OCHRE = (0.34, 0.045, 0.05), (0.62, 0.62, 0.58), (0.42, 0.26, 0.06)


class Weave:
    """Renders a roll at construction; each part shows a cut of it."""

    name = "weave"
    kinds = tuple(DefectKind)
    shadow: Floats | None = None

    def __init__(self, rng: Generator) -> None:
        self._cloth = Cloth(rng, CANVAS_H + SPARE, CANVAS_W + SPARE)
        self._roll = self._cloth.render(Box(0, 0, self._cloth.width, self._cloth.height))
        self._tones = [cv2.merge([clouds(rng, CANVAS_H, CANVAS_W, cell=220.0, octaves=2)] * 3) for _ in range(3)]
        self.alpha = np.ones((CANVAS_H, CANVAS_W), np.float32)
        self._inside = np.zeros((CANVAS_H, CANVAS_W), np.bool_)
        self._inside[MARGIN + 28 : -MARGIN - 28, MARGIN + 28 : -MARGIN - 28] = True

    def part(self, rng: Generator) -> Surface:
        """The next cut without defect."""
        return self._cut(rng)[0]

    def marred(self, rng: Generator, flaw: Flaw) -> Surface:
        """The cut that `part` would give for an equal rng, with a flaw."""
        surface, left, top, gain = self._cut(rng)
        colour = surface.colour
        if flaw.kind is DefectKind.MISSING_FEATURE:
            self._again(colour, (left, top, gain), self._missing_yarn(flaw, left, top))
        elif flaw.kind is DefectKind.MISPRINT:
            self._again(colour, (left, top, gain), self._wrong_yarns(flaw, left, top))
        elif flaw.kind is DefectKind.SCRATCH:
            self._snag(colour, (left, top, gain), flaw)
        elif flaw.kind is DefectKind.DENT:
            _crease(colour, self._inside, flaw)
        else:
            contaminate(colour, self._inside, flaw)
        np.clip(colour, 0.0, 255.0, out=colour)
        return surface

    def _cut(self, rng: Generator) -> tuple[Surface, int, int, float]:
        """A part and where it was cut from: left, top (px of the roll) and its brightness."""
        left, top = (int(at) for at in rng.integers(0, SPARE, 2))
        gain = float(rng.uniform(0.975, 1.025))
        tone = self._tones[int(rng.integers(3))]
        cut = self._roll[top : top + CANVAS_H, left : left + CANVAS_W]
        colour = cv2.addWeighted(cut, gain, np.asarray(tone, np.float32), float(rng.uniform(-1.6, 1.6)), 0.0)
        return Surface(np.asarray(colour, np.float32), self.alpha), left, top, gain

    def _again(
        self, colour: Floats, cut: tuple[int, int, float], changes: tuple[Change, ...],
        push: tuple[Box, Floats, Floats] | None = None,
    ) -> None:  # fmt: skip
        """Render the changed yarns' neighbourhood again and lay its difference on the part."""
        left, top, gain = cut
        box = push[0] if push is not None else _neighbourhood(changes, left, top)
        there = Box(box.left + left, box.top + top, box.right + left, box.bottom + top)
        fresh = self._cloth.render(there, changes, None if push is None else (push[1], push[2]))
        colour[box.slices] += gain * (fresh - self._roll[there.slices])

    def _span(self, flaw: Flaw, left: int, top: int, *, shortest: float, longest: float) -> Change:
        """A stretch of a random yarn inside the picture."""
        rng = flaw.rng
        warp = bool(rng.random() < 0.5)
        x, y = spot_within(rng, self._inside)
        length = flaw.between(shortest, longest) * float(rng.uniform(0.8, 1.2))
        centre, across = (y + top, x + left) if warp else (x + left, y + top)
        return Change(int(across / PITCH), centre - length / 2, centre + length / 2, warp=warp)

    def _missing_yarn(self, flaw: Flaw, left: int, top: int) -> tuple[Change, ...]:
        span = self._span(flaw, left, top, shortest=70, longest=440)
        return (replace(span, missing=True),)

    def _wrong_yarns(self, flaw: Flaw, left: int, top: int) -> tuple[Change, ...]:
        """A yarn of the wrong colour, or a patch of yarns that float over the pattern."""
        span = self._span(flaw, left, top, shortest=40, longest=300)
        if flaw.rng.random() < 0.55:
            tone = (
                (RED, WHITE, OCHRE)[int(flaw.rng.integers(3))] if span.warp else (RED, OCHRE)[int(flaw.rng.integers(2))]
            )
            return (replace(span, tone=tone),)
        count, half = 1 + round(3 * flaw.severity), flaw.between(16, 45)
        line, middle = (span.yarn + 0.5) * PITCH, (span.start + span.end) / 2
        across, along = (middle, line) if span.warp else (line, middle)
        first = int(across / PITCH)
        return tuple(Change(first + at, along - half, along + half, floats=True) for at in range(count))

    def _snag(self, colour: Floats, cut: tuple[int, int, float], flaw: Flaw) -> None:
        """Something caught the cloth: yarns are drawn aside along a line and broken fibres stand up."""
        rng = flaw.rng
        path = path_within(rng, self._inside, flaw.between(36, 150), bend=0.25)
        box, cover = stroke(path, flaw.between(5.0, 9.0), np.ones(len(path), np.float32))
        drag = blur(cover, 3.0)
        heading = path[-1] - path[0]
        heading = heading / max(float(np.hypot(*heading)), 1.0)
        pull = flaw.between(5.0, 11.0) * flaw.strength
        self._again(colour, cut, (), (box, drag * np.float32(-heading[1] * pull), drag * np.float32(heading[0] * pull)))
        area = colour[box.slices]
        area *= (1.0 - min(0.5, flaw.contrast(0.10, 0.28)) * cover)[..., None]
        for _ in range(3 + round(7 * flaw.severity)):
            at = path[int(rng.integers(len(path)))]
            hair = at + np.cumsum(rng.normal(0, 1.2, (8, 2)) + heading * rng.normal(0, 1.6), axis=0)
            spot, line = stroke(hair, 0.8, np.ones(len(hair), np.float32))
            if spot.width > 0 and spot.height > 0:
                blend(
                    colour[spot.slices],
                    np.array([196, 200, 204], np.float32),
                    line * min(1.0, flaw.contrast(0.5, 0.85)),
                )


def _neighbourhood(changes: tuple[Change, ...], left: int, top: int) -> Box:
    """The box of the canvas that holds all changes."""
    boxes = []
    for change in changes:
        middle, half = (change.start + change.end) / 2, (change.end - change.start) / 2 + 6
        line = (change.yarn + 0.5) * PITCH
        if change.warp:
            boxes.append(Box.around(line - left, middle - top, 1.6 * PITCH, half))
        else:
            boxes.append(Box.around(middle - left, line - top, half, 1.6 * PITCH))
    return Box(
        min(box.left for box in boxes), min(box.top for box in boxes),
        max(box.right for box in boxes), max(box.bottom for box in boxes),
    )  # fmt: skip


def _crease(colour: Floats, inside: Mask, flaw: Flaw) -> None:
    """A fold that was pressed in: one side of a long soft line is lit, the other shaded."""
    path = path_within(flaw.rng, inside, flaw.between(110, 330), bend=0.35)
    box, cover = stroke(path, flaw.between(5, 11), np.ones(len(path), np.float32))
    heading = path[-1] - path[0]
    soft = blur(cover, flaw.between(3.0, 5.0))
    across = np.asarray(cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), np.float32) * np.float32(-heading[1])
    across += np.asarray(cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125), np.float32) * np.float32(heading[0])
    across /= max(float(np.abs(across).max()), 1e-6)
    side = np.float32(1.0 if heading[1] - heading[0] > 0 else -1.0)
    colour[box.slices] *= (1.0 + side * min(0.75, flaw.contrast(0.16, 0.42)) * across)[..., None]
