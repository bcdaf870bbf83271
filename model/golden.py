"""
The golden pictures: read, brought into the fixture, and looked over before anything is learnt from them.

What is wrong is said plainly, picture by picture. Only what cannot be used is left out (unreadable, of another shape
than nearly all others, nothing on it); what merely looks odd is kept and named, because a person knows better.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model.fixture import Fixture, FixtureMismatch, Size
from model.pictures import PictureUnreadable, examine_picture, picture_size

MAJORITY = 0.9  # of the pictures share a size: then the camera is fixed, and the others are mistakes
ODD = 6.0  # robust standard deviations from the middle
LONELY = 4.0  # times as far from its nearest neighbour as the pictures mostly are
LONELY_LEVELS = 10.0  # and at least so many grey levels, RMS
SAME = 1.0  # RMS difference in grey levels below which two pictures show the same shot
COMPARED = 5  # pictures, the nearest ones
FEATURELESS = 2.0  # standard deviation in grey levels
THUMB = 16
FEWEST_TO_COMPARE = 8


@dataclass(frozen=True)
class Finding:
    """Something about a golden picture that a person should know.

    kind: unreadable, odd size, misplaced, featureless, duplicate, blurred, dark, bright, outlier or note. left_out: the
    picture is not used.
    """

    path: Path
    kind: str
    message: str
    left_out: bool = False

    def __str__(self) -> str:
        return f"{self.path.name}: {self.message}" + ("; left out" if self.left_out else "")


@dataclass(frozen=True)
class Golden:
    """Golden pictures that can be learnt from.

    paths: N files. pictures: (N, height, width, 3) uint8, in the fixture. digests: of the raw pixels. groups: equal
    for pictures of the same part or shot, which must not be split.
    """

    fixture: Fixture
    paths: tuple[Path, ...]
    pictures: NDArray[np.uint8]
    digests: tuple[str, ...]
    groups: tuple[str, ...]
    findings: tuple[Finding, ...]


def read_golden(
    paths: Sequence[Path],
    *,
    fixture_of: Callable[[Mapping[Path, Size]], Fixture] | None = None,
    budget: int = 256,
    groups: Mapping[Path, str] | None = None,
    after_picture: Callable[[int], None] = lambda _: None,
) -> Golden:
    """Read golden pictures into their fixture.

    fixture_of: says which, for the pictures that can be used, by file with width and height; None for the whole picture
    at about budget² pixels. groups: by path, the part that several pictures show. Raises ValueError if none can be
    used, and what fixture_of raises.
    """
    findings: list[Finding] = []
    sizes: dict[Path, Size] = {}
    for path in paths:  # raw pictures of a whole set may not fit in memory: first the sizes alone
        try:
            sizes[path] = picture_size(path)
        except PictureUnreadable as problem:
            findings.append(Finding(path, "unreadable", problem.reason, left_out=True))
    findings += _odd_sizes(sizes)
    left_out = {finding.path for finding in findings if finding.left_out}
    usable = [path for path in sizes if path not in left_out]
    if not usable:
        raise ValueError(f"none of the {len(paths)} pictures can be used: " + "; ".join(map(str, findings[:3])))
    offered = {path: sizes[path] for path in usable}
    fixture = fixture_of(offered) if fixture_of else Fixture.for_pictures(list(offered.values()), budget=budget)
    return _read_into(fixture, usable, findings, groups=groups or {}, after_picture=after_picture)


def read_more(paths: Sequence[Path], fixture: Fixture) -> Golden:
    """Further good pictures for a fixture that is already chosen; what does not fit it is a finding."""
    return _read_into(fixture, paths, [], groups={}, after_picture=lambda _: None)


def look_over(paths: Sequence[Path], pictures: NDArray[np.uint8]) -> list[Finding]:
    """Pictures that stand out from the others: blurred, dark, bright, or unlike any other. Needs at least 8.

    pictures: (N, H, W, 3) uint8.
    """
    if len(pictures) < FEWEST_TO_COMPARE:
        return []
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    light = _deviations(np.array([float(grey.mean()) for grey in greys]), least=4.0)
    edges = np.array([float(cv2.Laplacian(grey, cv2.CV_32F).var()) for grey in greys])
    sharp = _deviations(np.log(edges + 1e-3), least=0.15)
    apart = _nearest(_thumbs(pictures), 1)[1][:, 0]
    lonely = apart > max(LONELY * float(np.median(apart)), LONELY_LEVELS)
    found = []
    for path, brightness, sharpness, alone in zip(paths, light, sharp, lonely, strict=True):
        if brightness < -ODD:
            found.append(Finding(path, "dark", "much darker than the others; check the light"))
        elif brightness > ODD:
            found.append(Finding(path, "bright", "much brighter than the others; check light and exposure"))
        elif sharpness < -ODD:
            found.append(Finding(path, "blurred", "much less sharp than the others; check focus and motion"))
        elif alone:
            found.append(
                Finding(path, "outlier", "unlike any other picture; check that it shows a good part, in place")
            )
    return found


def shot_groups(pictures: NDArray[np.uint8], digests: Sequence[str]) -> list[str]:
    """A name for each picture, equal for pictures that show the same shot (equal pixels, or nearly).

    pictures: (N, H, W, 3) uint8. Each is compared with the few whose thumbnails are nearest: with one alone, many shots
    of one part would fall into pairs.
    """
    names = list(digests)
    if len(pictures) < 2:
        return names
    nearest, distance = _nearest(_thumbs(pictures), COMPARED)
    for one, place in np.argwhere(distance < SAME).tolist():
        other = int(nearest[one, place])
        if names[one] != names[other] and _rms(pictures[one], pictures[other]) < SAME:
            old, new = names[one], names[other]
            names = [new if name == old else name for name in names]
    return names


def _read_into(
    fixture: Fixture,
    paths: Sequence[Path],
    findings: list[Finding],
    *,
    groups: Mapping[Path, str],
    after_picture: Callable[[int], None],
) -> Golden:
    kept: list[Path] = []
    pictures: list[NDArray[np.uint8]] = []
    digests: list[str] = []
    for number, path in enumerate(paths, start=1):
        try:
            picture = examine_picture(path)
            fixed = fixture.apply(picture.pixels)
        except PictureUnreadable as problem:
            findings.append(Finding(path, "unreadable", problem.reason, left_out=True))
        except FixtureMismatch as problem:
            kind = "misplaced" if fixture.pose else "odd size"
            findings.append(Finding(path, kind, str(problem), left_out=True))
        else:
            findings += [Finding(path, "note", note) for note in picture.notes]
            if float(fixed.std()) < FEATURELESS:
                findings.append(
                    Finding(path, "featureless", "nothing to be seen on it; check the camera", left_out=True)
                )
            else:
                kept.append(path)
                pictures.append(fixed)
                digests.append(picture.digest)
        after_picture(number)
    if not kept:
        raise ValueError("none of the pictures can be used: " + "; ".join(map(str, findings[:3])))
    stack = np.stack(pictures)
    shots = shot_groups(stack, digests)
    findings += _duplicates(kept, shots) + look_over(kept, stack)
    named = tuple(groups.get(path, shot) for path, shot in zip(kept, shots, strict=True))
    return Golden(fixture, tuple(kept), stack, tuple(digests), named, tuple(findings))


def _odd_sizes(sizes: Mapping[Path, Size]) -> list[Finding]:
    """Pictures of another size, where nearly all share one."""
    if not sizes:
        return []
    (common, count), *_ = Counter(sizes.values()).most_common(1)
    if count < MAJORITY * len(sizes):
        return []
    return [
        Finding(
            path,
            "odd size",
            f"is {size[0]}x{size[1]} px where {count} others are {common[0]}x{common[1]}",
            left_out=True,
        )
        for path, size in sizes.items()
        if size != common
    ]


def _duplicates(paths: Sequence[Path], shots: Sequence[str]) -> list[Finding]:
    first: dict[str, Path] = {}
    found = []
    for path, shot in zip(paths, shots, strict=True):
        if shot in first:
            found.append(Finding(path, "duplicate", f"shows the same shot as {first[shot].name}; it counts once"))
        first.setdefault(shot, path)
    return found


def _thumbs(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 768) float32."""
    small = [cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA).ravel() for picture in pictures]
    return np.stack(small).astype(np.float32)


def _nearest(thumbs: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each picture, the others whose thumbnails are nearest, and their RMS differences in grey levels.

    Both (N, count), the nearest first; fewer columns where there are fewer others.
    """
    wide = thumbs.astype(np.float64)
    square = (wide * wide).sum(axis=1)
    distance = square[:, None] + square[None, :] - 2 * wide @ wide.T
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argsort(axis=1, kind="stable")[:, : min(count, len(wide) - 1)]
    return nearest, np.sqrt(np.maximum(np.take_along_axis(distance, nearest, axis=1), 0) / thumbs.shape[1])


def _rms(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2)))


def _deviations(values: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Robust standard deviations from the median; the spread is taken as at least `least`."""
    middle = np.median(values)
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), least)
    return np.asarray((values - middle) / spread)
