from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.architecture import Architecture
from model.errors import ModelFileInvalid
from model.fixture import Fixture, FixtureMismatch
from model.manifest import CalibrationRecord, Manifest, ModelLimits
from model.memory import GoldenMemory, Search
from model.model_file import save, sha256_of, tensors_of
from model.networks import Networks
from model.predictor import Predictor, valid_pixels
from model.regions import RegionRule
from model.runtimes import Distances, Fingerprint, RuntimeName, Seen
from model.scorer import Scorer
from tests.model.network.conftest import pictures

WHOLE = Fixture("none", None, 64, 96, (192, 128))


def _manifest(fixture: Fixture = WHOLE, **changes: Any) -> Manifest:
    architecture = Architecture().to_dict()
    return Manifest(
        architecture=architecture, height=fixture.height, width=fixture.width, fixture=fixture.to_dict(), **changes
    )


@pytest.fixture(scope="module")
def predictor(default_networks: Networks) -> Predictor:
    return Predictor.from_networks(default_networks.teacher, default_networks.student, _manifest())


def _on_torch(networks: Networks, manifest: Manifest) -> Predictor:
    """The quick one to open, for what does not depend on the runtime."""
    return Predictor.from_networks(networks.teacher, networks.student, manifest, runtime="torch")


def test_a_prediction_is_a_map_and_its_highest_value(predictor: Predictor) -> None:
    predictions = predictor(pictures(3))
    assert len(predictions) == 3
    for prediction in predictions:
        assert prediction.map.shape == predictor.size == (64, 96)
        assert prediction.map.dtype == np.float32
        assert prediction.score == prediction.map.max()
        assert prediction.regions == ()  # no limit yet


def test_the_same_picture_always_gets_the_same_answer(predictor: Predictor) -> None:
    one, same = predictor(pictures(2)), predictor(pictures(2))
    assert all(np.array_equal(a.map, b.map) and a.score == b.score for a, b in zip(one, same, strict=True))


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_model_file_answers_as_the_networks_it_was_saved_from(
    tmp_path: Path, default_networks: Networks, runtime: RuntimeName
) -> None:
    teacher, student = default_networks.teacher, default_networks.student
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(teacher, student), _manifest())
    loaded = Predictor.load(path, runtime=runtime, threads=1, sha256=sha256_of(path))
    fresh = Predictor.from_networks(teacher, student, _manifest(), runtime=runtime, threads=1)
    assert loaded.fingerprint == fresh.fingerprint
    assert loaded.fingerprint.runtime == runtime
    assert loaded.sha256 == sha256_of(path)
    assert loaded(pictures(1))[0].score == fresh(pictures(1))[0].score


def test_a_changed_model_file_is_not_loaded(tmp_path: Path, default_networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    save(path, tensors_of(default_networks.teacher, default_networks.student), _manifest())
    with pytest.raises(ModelFileInvalid):
        Predictor.load(path, sha256="0" * 64)


def test_a_model_that_looks_at_nothing_is_not_loaded(tmp_path: Path, default_networks: Networks) -> None:
    path = tmp_path / "model.safetensors"
    everything = _manifest(ignored=((0, 0, 192, 128),))
    save(path, tensors_of(default_networks.teacher, default_networks.student), everything)
    with pytest.raises(ModelFileInvalid, match="at least one pixel"):
        Predictor.load(path)


class SpoiltRuntime:
    """A runtime one of whose distances is no number, as after an overflow, for every second picture."""

    size = (64, 96)
    fingerprint = Fingerprint("torch", "2", "cpu", "f32")

    def distances(self, images: NDArray[np.uint8]) -> Distances:
        first, second, third = (np.full((len(images), 64 // s, 96 // s), 0.1, dtype=np.float32) for s in (4, 8, 16))
        second[1::2, 3, 5] = np.nan
        return first, second, third

    def look(self, images: NDArray[np.uint8]) -> Seen:
        return Seen(self.distances(images))

    def search(self, memory: GoldenMemory) -> Search:
        return memory.distances


def test_an_answer_that_is_no_number_is_never_a_low_score() -> None:
    predictor = Predictor(Scorer(SpoiltRuntime()), _manifest(limits=ModelLimits(t_lo=0.2)))
    good, spoilt = predictor(pictures(2))
    assert good.score == pytest.approx(0.3)
    assert good.regions
    assert np.isnan(spoilt.score)
    assert np.isnan(spoilt.map).all()
    assert spoilt.regions == ()


def test_regions_follow_the_limit_that_judges_the_score(default_networks: Networks) -> None:
    plain = _on_torch(default_networks, _manifest())(pictures(1))[0]
    below = float(np.quantile(plain.map, 0.9))
    limited = _on_torch(default_networks, _manifest(limits=ModelLimits(t_lo=below)))
    found = limited(pictures(1))[0]
    assert found.regions[0].peak == found.score == plain.score
    limited.rule = RegionRule(limit=plain.score)
    assert limited(pictures(1))[0].regions == ()


def test_raw_pictures_are_brought_into_the_fixture_and_regions_back(default_networks: Networks) -> None:
    fixture = Fixture("roi", (200, 100, 192, 128), 64, 96, (640, 480))
    predictor = _on_torch(default_networks, _manifest(fixture))
    raw = np.full((480, 640, 3), 90, dtype=np.uint8)
    raw[100:228, 200:392] = pictures(1, 128, 192)[0]
    at_size = predictor(fixture.apply(raw)[None])[0]
    predictor.rule = RegionRule(limit=float(np.quantile(at_size.map, 0.95)))
    (found,) = predictor.inspect([raw])
    assert found.score == at_size.score
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    peak = found.regions[0]
    assert peak.x <= 200 + 2 * column < peak.x + peak.width
    assert peak.y <= 100 + 2 * row < peak.y + peak.height
    assert 200 <= peak.x < peak.x + peak.width <= 392


def test_pictures_of_several_sizes_are_inspected_together(default_networks: Networks) -> None:
    manifest = _manifest(Fixture("none", None, 64, 96))
    predictor = _on_torch(default_networks, manifest)
    assert len(predictor.inspect([pictures(1, 128, 192)[0], pictures(1, 256, 320)[0]])) == 2
    assert predictor.inspect([]) == []


def test_a_picture_that_does_not_fit_is_refused(predictor: Predictor) -> None:
    with pytest.raises(FixtureMismatch):
        predictor.inspect([pictures(1, 192, 128)[0]])


def test_what_is_ignored_never_makes_the_score(default_networks: Networks) -> None:
    free = _on_torch(default_networks, _manifest())(pictures(1))[0]
    row, column = (int(place) for place in np.unravel_index(free.map.argmax(), free.map.shape))
    ignored = (2 * column - 8, 2 * row - 8, 18, 18)
    manifest = _manifest(ignored=(ignored,), limits=ModelLimits(t_lo=0.0))
    found = _on_torch(default_networks, manifest)(pictures(1))[0]
    valid = valid_pixels(manifest)
    assert valid is not None
    assert not valid[row, column]
    assert found.score == found.map[valid].max() < free.score
    assert np.array_equal(found.map, free.map)  # the map itself stays whole


def test_ignored_rectangles_are_placed_by_the_fixture() -> None:
    fixture = Fixture("roi", (200, 100, 192, 128), 64, 96, (640, 480))
    valid = valid_pixels(_manifest(fixture, ignored=((220, 110, 21, 20), (0, 0, 10, 10), (380, 200, 500, 500))))
    assert valid is not None
    wanted = np.ones((64, 96), dtype=np.bool_)
    wanted[5:15, 10:21] = False  # 20.5 input pixels, rounded outwards
    wanted[50:, 90:] = False  # cut at the ROI's edge; the one beside the ROI does nothing
    assert np.array_equal(valid, wanted)


def test_a_predictor_knows_whether_its_limits_hold_here(default_networks: Networks) -> None:
    teacher, student = default_networks.teacher, default_networks.student
    fresh = Predictor.from_networks(teacher, student, _manifest())
    assert not fresh.is_calibrated
    record = CalibrationRecord(scores=(1.0, 2.0), fingerprint=fresh.fingerprint)
    manifest = _manifest(calibration=record, limits=ModelLimits(t_lo=2.0))
    assert Predictor.from_networks(teacher, student, manifest).is_calibrated
    other: RuntimeName = "torch" if fresh.fingerprint.runtime == "openvino" else "openvino"
    assert not Predictor.from_networks(teacher, student, manifest, runtime=other).is_calibrated
