from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import SourceUnavailable
from ingest.simulator import DatasetCounts, Simulator, write_dataset


def test_a_data_set_has_the_mvtec_layout_with_a_mask_for_each_defective_part(tmp_path: Path, ring: Simulator) -> None:
    told: list[tuple[int, int]] = []
    counts = write_dataset(ring, tmp_path, train=3, test=11, after_picture=lambda *done: told.append(done))
    assert counts == DatasetCounts(train_good=3, test_good=6, test_defective=5)
    assert told == [(at, 14) for at in range(1, 15)]
    assert len(list((tmp_path / "train" / "good").iterdir())) == 3
    assert len(list((tmp_path / "test" / "good").iterdir())) == 6
    kinds = {path.name for path in (tmp_path / "test").iterdir()} - {"good"}
    assert kinds == {kind.value for kind in ring.kinds}
    for kind in kinds:
        for picture in (tmp_path / "test" / kind).iterdir():
            mask = cv2.imread(str(tmp_path / "ground_truth" / kind / f"{picture.stem}_mask.png"), cv2.IMREAD_UNCHANGED)
            assert mask is not None
            assert mask.shape == (480, 640)
            assert set(np.unique(mask)) == {0, 255}


def test_pictures_are_stored_in_their_true_colours(tmp_path: Path, ring: Simulator) -> None:
    write_dataset(ring, tmp_path, train=1, test=0)
    stored = cv2.imread(str(tmp_path / "train" / "good" / "0000.png"), cv2.IMREAD_COLOR_RGB)
    assert stored is not None
    assert np.array_equal(stored, ring.good(0).picture)


def test_test_parts_are_not_training_parts(tmp_path: Path, ring: Simulator) -> None:
    write_dataset(ring, tmp_path, train=2, test=2)
    contents = [path.read_bytes() for path in tmp_path.rglob("good/*.png")]
    assert len(contents) == 3
    assert len(set(contents)) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, ring: Simulator) -> None:
    (tmp_path / "train").write_text("in the way")
    with pytest.raises(SourceUnavailable, match="train"):
        write_dataset(ring, tmp_path, train=1, test=0)
