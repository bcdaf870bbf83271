"""Inspection: pictures in, raw scores, anomaly maps and regions out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from model.errors import ModelFileInvalid
from model.fixture import Fixture
from model.fusion import Second
from model.manifest import Manifest
from model.model_file import load
from model.neighbours import Comparison, GoldenPictures, Neighbours
from model.placement import Placement
from model.regions import Region, RegionRule, find_regions
from model.runtimes import Fingerprint, RuntimeChoice, RuntimeName, Seen, open_runtime
from model.scorer import Scorer


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture.

    score: raw, the highest value of the map among the pixels that are looked at; NaN if the network's answer was not
    finite. map: (H, W) float32 at the model's size. regions: highest peak first. placement: where the raw picture lies
    on the input, where it is known.
    """

    score: float
    map: NDArray[np.float32]
    regions: tuple[Region, ...]
    placement: Placement | None = None

    def on_picture(self, placement: Placement) -> Self:
        """The same with its regions in pixels of the raw picture that lies so."""
        regions = tuple(region.on_picture(placement) for region in self.regions)
        return replace(self, regions=regions, placement=placement)


class Predictor:
    """One model, ready to inspect; knows no camera, queue or database. One thread may look while another concludes.

    rule: which regions are listed; the limit and minimum area of the model file, until the caller sets another one.
    """

    def __init__(
        self, scorer: Scorer, manifest: Manifest, *, sha256: str | None = None, neighbours: Neighbours | None = None
    ) -> None:
        self.manifest = manifest
        self.sha256 = sha256
        self._neighbours = neighbours
        self.fixture: Fixture = manifest.fitted()
        limits = manifest.limits
        self.rule = RegionRule(limits.t_lo if limits else None, manifest.minimum_area)
        self._scorer = scorer

    @classmethod
    def load(
        cls, path: Path, *, runtime: RuntimeName = "auto", threads: int | None = None, sha256: str | None = None
    ) -> Self:
        """A model file on a runtime; sha256: what the file must be.

        Raises ModelFileInvalid, and RuntimeUnavailable if the runtime or the model's precision cannot be had here.
        """
        file = load(path, sha256=sha256)
        teacher, student = file.networks()
        choice = RuntimeChoice(runtime, file.manifest.precision, threads)
        try:
            second = file.second()
            scorer = _scorer(teacher, student, file.manifest, choice, second)
        except ValueError as problem:
            raise ModelFileInvalid(f"the model in {path} cannot be run: {problem}; train it again") from problem
        return cls(scorer, file.manifest, sha256=file.sha256, neighbours=_neighbours(second, file.pictures()))

    @classmethod
    def from_networks(
        cls,
        teacher: nn.Module,
        student: nn.Module,
        manifest: Manifest,
        *,
        runtime: RuntimeName = "auto",
        threads: int | None = None,
        second: Second | None = None,
    ) -> Self:
        """Networks just trained, as they will inspect; later changes to them do not matter."""
        choice = RuntimeChoice(runtime, manifest.precision, threads)
        return cls(_scorer(teacher, student, manifest, choice, second), manifest)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.manifest.size

    @property
    def fingerprint(self) -> Fingerprint:
        """Runtime, version, kind of device and precision: what a calibration holds for."""
        return self._scorer.runtime.fingerprint

    @property
    def is_calibrated(self) -> bool:
        """Whether the model file's limits were taken on this runtime; if not, neither PASS nor FAIL may be said."""
        return self.manifest.calibrated_for(self.fingerprint)

    def __call__(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """images: (N, H, W, 3) uint8 RGB at the model's size, as the fixture gives them. Regions in input pixels."""
        return self.conclude(self.look(images))

    def look(self, images: NDArray[np.uint8]) -> Seen:
        """The network's part of it; another thread may conclude meanwhile."""
        return self._scorer.runtime.look(images)

    def conclude(self, seen: Seen) -> list[Prediction]:
        """The rest of it: maps, scores, regions."""
        scored = self._scorer.conclude(seen)
        valid = self._scorer.valid
        return [
            Prediction(float(score), anomaly, find_regions(anomaly, self.rule, valid=valid))
            for score, anomaly in zip(scored.scores, scored.maps, strict=True)
        ]

    def compare(self, seen: Seen, place: int, laid: NDArray[np.uint8], prediction: Prediction) -> Comparison | None:
        """The golden parts nearest to a part, at its highest region; None for a model that keeps none to show.

        place: of the part in what was seen; laid: (H, W, 3) uint8 RGB, as it was seen; prediction: as `conclude` gave
        it. Has no say in score or regions. Raises ValueError for golden pictures that cannot be read.
        """
        if self._neighbours is None or seen.features is None:
            return None
        box = next(((one.x, one.y, one.width, one.height) for one in prediction.regions), None)
        return self._neighbours(laid, seen.features[place], box)

    def inspect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Raw pictures, (H, W, 3) uint8 RGB of any size that fits the fixture. Regions in pixels of the raw picture.

        Raises FixtureMismatch for a picture that the fixture refuses; none of the batch is judged then.
        """
        if not pictures:
            return []
        placements = [self.fixture.place(picture) for picture in pictures]
        pairs = zip(pictures, placements, strict=True)
        predictions = self(np.stack([self.fixture.lay(picture, placement) for picture, placement in pairs]))
        return [one.on_picture(placement) for one, placement in zip(predictions, placements, strict=True)]


def _neighbours(second: Second | None, pictures: GoldenPictures | None) -> Neighbours | None:
    return Neighbours(second.memory, pictures) if second and pictures else None


def valid_pixels(manifest: Manifest) -> NDArray[np.bool_] | None:
    """Which input pixels are looked at: all but those that touch an ignored rectangle; None if none is ignored.

    Returns (H, W) bool.
    """
    if not manifest.ignored:
        return None
    fixture = manifest.fitted()
    assert fixture.picture is not None  # the manifest has checked it
    placement = fixture.still(fixture.picture)
    assert placement.window is not None
    (left, top, raw_width, raw_height), (x0, y0, laid_width, laid_height) = placement.window, placement.inner
    valid = np.ones(manifest.size, dtype=np.bool_)
    for x, y, width, height in manifest.ignored:
        columns = _span(x - left, width, scale=laid_width / raw_width, offset=x0, end=manifest.width)
        rows = _span(y - top, height, scale=laid_height / raw_height, offset=y0, end=manifest.height)
        valid[rows, columns] = False
    return valid


def _span(start: float, length: float, *, scale: float, offset: int, end: int) -> slice:
    first = int(np.floor(start * scale + offset + 1e-6))
    last = int(np.ceil((start + length) * scale + offset - 1e-6))
    return slice(min(max(first, 0), end), min(max(last, 0), end))


def _scorer(
    teacher: nn.Module, student: nn.Module, manifest: Manifest, choice: RuntimeChoice, second: Second | None
) -> Scorer:
    runtime = open_runtime(
        teacher,
        student,
        size=manifest.size,
        choice=choice,
        normalisation=manifest.normalisation,
        memory=second is not None,
    )
    return Scorer(runtime, valid=valid_pixels(manifest), second=second)
