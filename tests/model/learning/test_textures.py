from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.textures import PATTERNS, FolderTextures, Mixed, NormalTextures, ProceduralTextures, Textures


def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(params=["procedural", "normals", "folder", "mixed"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Textures:
    (tmp_path / "deep").mkdir()
    for number, picture in enumerate(pictures()):
        cv2.imwrite(str(tmp_path / "deep" / f"{number}.png"), picture)
    sources: dict[str, Textures] = {
        "procedural": ProceduralTextures(),
        "normals": NormalTextures(pictures()),
        "folder": FolderTextures(tmp_path),
        "mixed": Mixed((ProceduralTextures(), NormalTextures(pictures()))),
    }
    return sources[request.param]


def test_a_texture_has_the_size_and_range_asked_for(source: Textures) -> None:
    for seed in range(20):
        texture = source.sample(np.random.default_rng(seed), (64, 128))
        assert texture.shape == (64, 128, 3)
        assert texture.dtype == np.float32
        assert 0 <= texture.min() <= texture.max() <= 1


def test_the_generator_alone_decides_the_texture(source: Textures) -> None:
    first, again, other = (source.sample(np.random.default_rng(seed), (64, 64)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_has_structure(pattern: object) -> None:
    assert callable(pattern)
    fields = [pattern(np.random.default_rng(seed), (64, 96)) for seed in range(5)]
    assert all(field.shape == (64, 96) and field.dtype == np.float32 for field in fields)
    assert all(field.min() >= -1e-6 and field.max() <= 1 + 1e-6 for field in fields)
    assert np.mean([field.std() for field in fields]) > 0.05


def test_the_folder_lists_its_files_with_hashes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pictures()[0])
    ((name, digest),) = FolderTextures(tmp_path).hashes
    assert name == "a.png"
    assert len(digest) == 64


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match="no texture pictures"):
        FolderTextures(tmp_path)
