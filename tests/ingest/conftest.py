from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.encoder import encode_jpeg, encode_png
from ingest.simulator import Simulator

Picture = NDArray[np.uint8]
Write = Callable[[str, bytes], Path]


@pytest.fixture(scope="session")
def ring() -> Simulator:
    return Simulator("ring", seed=7, defect_rate=0.0)


@pytest.fixture(scope="session")
def jpegs(ring: Simulator) -> list[bytes]:
    """Twelve good parts as a camera would store them."""
    return [encode_jpeg(ring.render(part).picture) for part in range(12)]


@pytest.fixture(scope="session")
def png(ring: Simulator) -> bytes:
    return encode_png(ring.render(40).picture)
