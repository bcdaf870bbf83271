"""A model that looks at nothing: what the line costs without a network. Only `flawline bench line` can use it.

It is no model file (a worker of a line refuses it), and the process that takes it refuses every database but that of a
bench.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import make_url

from core.errors import SettingsInvalid
from core.settings import Settings
from model.architecture import Architecture
from model.errors import ModelFileInvalid
from model.fixture import Fixture
from model.manifest import CalibrationRecord, Manifest, ModelLimits
from model.predictor import Prediction, Predictor
from model.regions import RegionRule
from model.runtimes import Fingerprint, Seen

BENCH = "flawline_bench_"  # how the databases of benches begin
SIDE = 64  # px
FINGERPRINT = Fingerprint("null", "1", "none", "none")


class NullPredictor(Predictor):
    """Scores every picture 0 against a limit of 1; looks at a corner of it, so that nothing has to be resized."""

    def __init__(self, width: int, height: int, *, sha256: str) -> None:
        fixture = Fixture("roi", (0, 0, SIDE, SIDE), SIDE, SIDE, (width, height))
        self.manifest = Manifest(
            architecture=Architecture().to_dict(), height=SIDE, width=SIDE, fixture=fixture.to_dict(),
            calibration=CalibrationRecord(scores=(0.0,), fingerprint=FINGERPRINT),
            limits=ModelLimits(t_lo=1.0, t_hi=1.0),
        )  # fmt: skip
        self.sha256 = sha256
        self.fixture = fixture
        self.rule = RegionRule()
        self._map = np.zeros((SIDE, SIDE), dtype=np.float32)

    @property
    def fingerprint(self) -> Fingerprint:
        """Of no runtime."""
        return FINGERPRINT

    def look(self, images: NDArray[np.uint8]) -> Seen:
        """Nothing but how many there are."""
        nothing = np.zeros((len(images), 0, 0), dtype=np.float32)
        return Seen((nothing, nothing, nothing))

    def conclude(self, seen: Seen) -> list[Prediction]:
        """All the same."""
        return [Prediction(0.0, self._map, ())] * len(seen.distances[0])


def null_model(width: int, height: int) -> bytes:
    """What stands for the model file."""
    return json.dumps({"flawline bench": "null model", "width": width, "height": height}).encode()


def load_null(path: Path, sha256: str) -> Predictor:
    """The null model in a file that `null_model` gave. Raises ModelFileInvalid."""
    data = path.read_bytes()
    try:
        found = json.loads(data)
        width, height = int(found["width"]), int(found["height"])
    except (ValueError, KeyError, TypeError) as problem:
        raise ModelFileInvalid(f"{path} is no null model of a bench: {problem!r}") from problem
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFileInvalid(f"{path} is not the file that was registered (SHA-256 differs)")
    return NullPredictor(width, height, sha256=sha256)


def require_bench(settings: Settings) -> None:
    """Raise SettingsInvalid unless these settings are those of a bench."""
    database = make_url(settings.database_url).database or ""
    if not Path(database).name.startswith(BENCH):
        raise SettingsInvalid(f"the null model judges nothing: it is for `flawline bench line`, not for {database!r}")
