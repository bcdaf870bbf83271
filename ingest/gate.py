"""The image gate: is this picture fit to be scored at all? A failing picture is INVALID with a reason, never anomalous.

Checks of domain.md §8 that need no history beyond the session. What is normal is learnt from the session's first
pictures; until then only what holds for every camera is checked.
"""

import statistics
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from core.verdicts import InvalidReason
from ingest.pictures import Picture

Floats = NDArray[np.float32]
_SMALL_WIDTH = 160  # width of the reduced picture on which light, freezing and alignment are judged
_ALIGN_WIDTH = 96  # width of the edge picture by which alignment is judged
_FOCUS_SIDE = 1024  # larger pictures are judged for focus in a window of this side around their middle


@dataclass(frozen=True)
class GateLimits:
    """Cut-offs, all starting values (†) to be tuned on site; grey values are 0..255, shares 0..1.

    learn: pictures from which the baseline is learnt. focus: least share of the baseline's sharpness (VM-3). dark and
    bright: mean grey as a share of the baseline's (VM-1, wider, because parts differ where no reference patch is
    set). clipped: share of saturated pixels above the baseline's (VM-2, likewise). still: mean difference of two
    reduced pictures below which nothing has changed, not even noise (VM-4). shift: registration margin as a share of
    the picture's width (VM-5).
    """

    learn: int = 16
    focus: float = 0.5
    dark: float = 0.5
    bright: float = 1.6
    clipped: float = 0.2
    still: float = 0.1
    shift: float = 0.05
    darkest: float = 8.0
    brightest: float = 247.0


@dataclass(frozen=True)
class GateResult:
    """Why the picture is not fit, or None; what was measured; and the reason in words."""

    reason: InvalidReason | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class _Look:
    """What is measured on one picture."""

    mean: float
    clipped: float
    focus: float
    fingerprint: int
    small: Floats
    edges: Floats


@dataclass(frozen=True)
class _Baseline:
    """What is normal in this session. shift: largest normal shift, or None where alignment cannot be judged."""

    mean: float
    dark: float
    bright: float
    clipped: float
    focus: float
    least_focus: float
    shift: float | None


class Gate:
    """Judges the pictures of one camera in one session, in order; owned by one thread.

    Until `limits.learn` pictures have passed, it checks only what needs no baseline: nearly black, nearly white,
    saturated in most of its area, and frozen. Blur, relative light and alignment are judged from then on. Limits
    widen with the spread of the learnt pictures, so that a product that varies is not rejected for it; alignment
    switches itself off where the learnt pictures do not lie in one place or show no structure to align (textures).
    """

    def __init__(self, limits: GateLimits | None = None, *, align: bool = True) -> None:
        self._limits = limits or GateLimits()
        self._align = align
        self._learnt: list[_Look] = []
        self._shifts: list[tuple[float, float]] = []
        self._baseline: _Baseline | None = None
        self._before: _Look | None = None
        self._still = 0

    @property
    def ready(self) -> bool:
        """Whether the baseline is learnt."""
        return self._baseline is not None

    def check(self, picture: Picture) -> GateResult:
        """Judge an RGB picture (H, W, 3) uint8."""
        look = _measure(picture)
        frozen = self._frozen(look)
        if self._before is not None and self._before.small.shape != look.small.shape:
            self._forget()
        shift, response = self._shift(look)
        metrics = {"mean": look.mean, "clipped": look.clipped, "focus": look.focus, "shift": shift}
        if self._baseline is not None:
            metrics["focus_ratio"] = look.focus / max(self._baseline.focus, 1e-9)
        reason, detail = frozen or self._unfit(look, shift, response) or (None, "")
        self._before = look
        if reason is None and self._baseline is None:
            self._learn(look, shift, response)
        return GateResult(reason, metrics, detail)

    def _unfit(self, look: _Look, shift: float, response: float) -> tuple[InvalidReason, str] | None:
        """The first check that fails, the plainest first."""
        limits, normal = self._limits, self._baseline
        darkest = max(limits.darkest, normal.dark if normal else 0.0)
        if look.mean < darkest:
            return InvalidReason.DARK, f"mean grey {look.mean:.0f} is below {darkest:.0f}; check lamp and exposure"
        brightest = min(limits.brightest, normal.bright if normal else 255.0)
        if look.mean > brightest:
            return InvalidReason.BRIGHT, f"mean grey {look.mean:.0f} is above {brightest:.0f}; check lamp and exposure"
        most = limits.clipped + normal.clipped if normal else 0.9
        if look.clipped > most:
            return (
                InvalidReason.CLIPPED,
                f"{look.clipped:.0%} of the pixels are saturated, at most {most:.0%} are normal",
            )
        if normal is None:
            return None
        return self._misplaced_or_blurred(look, normal, shift, response)

    @staticmethod
    def _misplaced_or_blurred(
        look: _Look, normal: _Baseline, shift: float, response: float
    ) -> tuple[InvalidReason, str] | None:
        if look.focus < normal.least_focus:
            ratio = look.focus / max(normal.focus, 1e-9)
            return InvalidReason.BLUR, f"sharpness is {ratio:.0%} of this session's; check focus and shutter"
        if normal.shift is not None and response >= _CLEAR and shift > normal.shift:
            return InvalidReason.MISALIGNED, f"shifted by {shift:.1%} of the width; check bracket and part holder"
        return None

    def _frozen(self, look: _Look) -> tuple[InvalidReason, str] | None:
        """A sensor never gives the same picture twice: equal pixels at once, too little change twice in a row."""
        before = self._before
        if before is None:
            return None
        if before.fingerprint == look.fingerprint and np.array_equal(before.small, look.small):
            return InvalidReason.FROZEN, "the picture equals the one before it; check the camera"
        if before.small.shape == look.small.shape:
            change = float(np.abs(look.small - before.small).mean())
            self._still = self._still + 1 if change < self._limits.still else 0
        if self._still >= 2:
            return InvalidReason.FROZEN, "the last pictures differ by less than the camera's noise; check the camera"
        return None

    def _shift(self, look: _Look) -> tuple[float, float]:
        """Shift against the session's first picture as a share of the width, and how clear the match is (0..1)."""
        if not self._align or not self._learnt:
            return 0.0, 0.0
        reference = self._learnt[0].edges
        down, across = round(reference.shape[0] * _REACH), round(reference.shape[1] * _REACH)
        middle = look.edges[down:-down, across:-across]
        scores = cv2.matchTemplate(reference, middle, cv2.TM_CCOEFF_NORMED)
        _, score, _, (x, y) = cv2.minMaxLoc(scores)
        return float(np.hypot(x - across, y - down)) / _ALIGN_WIDTH, float(score)

    def _learn(self, look: _Look, shift: float, response: float) -> None:
        if self._learnt:
            self._shifts.append((shift, response))
        self._learnt.append(look)
        if len(self._learnt) < self._limits.learn:
            return
        limits, looks = self._limits, self._learnt
        means, sharp = [look.mean for look in looks], [look.focus for look in looks]
        mean, focus = statistics.median(means), statistics.median(sharp)
        self._baseline = _Baseline(
            mean=mean,
            dark=min(limits.dark * mean, 0.7 * min(means)),
            bright=max(limits.bright * mean, 1.3 * max(means)),
            clipped=max(look.clipped for look in looks),
            focus=focus,
            least_focus=limits.focus * min(sharp),
            shift=self._normal_shift(),
        )
        del self._learnt[1:]  # the first stays: it is what others are aligned to

    def _normal_shift(self) -> float | None:
        """The largest shift that is still normal, or None where the learnt pictures cannot be aligned."""
        clear = [shift for shift, response in self._shifts if response >= _CLEAR]
        if len(clear) < 0.6 * len(self._shifts) or not clear:
            return None
        usual = sorted(clear)[int(0.9 * (len(clear) - 1))]
        if usual > self._limits.shift / 2:
            return None
        return max(self._limits.shift, 2 * usual + 0.02)

    def _forget(self) -> None:
        """Another picture size is another camera setting: learn anew."""
        self._learnt, self._shifts, self._baseline = [], [], None


_CLEAR = 0.7  # correlation of two pictures' edges from which the shift between them means something
_REACH = 0.2  # shifts are looked for up to this share of width and height


def _measure(picture: Picture) -> _Look:
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    rows = min(max(8, round(height * _SMALL_WIDTH / width)), 4 * _SMALL_WIDTH)  # bounded for strips, too
    small = np.asarray(cv2.resize(grey, (_SMALL_WIDTH, rows), interpolation=cv2.INTER_AREA), np.float32)
    tiny = cv2.resize(
        small, (_ALIGN_WIDTH, max(8, round(rows * _ALIGN_WIDTH / _SMALL_WIDTH))), interpolation=cv2.INTER_AREA
    )
    edges = cv2.magnitude(cv2.Sobel(tiny, cv2.CV_32F, 1, 0), cv2.Sobel(tiny, cv2.CV_32F, 0, 1))
    return _Look(
        mean=float(grey.mean()),
        clipped=float(np.count_nonzero(grey >= 250)) / grey.size,
        focus=_sharpness(grey),
        fingerprint=zlib.crc32(np.ascontiguousarray(picture).data),
        small=small,
        edges=np.asarray(cv2.GaussianBlur(edges, (0, 0), 1.0), np.float32),
    )


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian over that of grey (VM-3), after a blur of one pixel that takes off the noise."""
    height, width = grey.shape
    top, left = max(0, (height - _FOCUS_SIDE) // 2), max(0, (width - _FOCUS_SIDE) // 2)
    window = grey[top : top + _FOCUS_SIDE, left : left + _FOCUS_SIDE].astype(np.float32)
    edges = cv2.Laplacian(cv2.GaussianBlur(window, (0, 0), 1.0), cv2.CV_32F)
    _, deviation = cv2.meanStdDev(edges)
    _, contrast = cv2.meanStdDev(window)
    return float(deviation[0, 0] ** 2 / max(float(contrast[0, 0]) ** 2, 1.0))
