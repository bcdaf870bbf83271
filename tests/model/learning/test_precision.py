"""A precision that this machine lacks is refused before training, and one that it has is what the model inspects in."""

from pathlib import Path

import pytest

from model import learning, openvino_graph
from model.errors import RuntimeUnavailable
from model.learning import LearnOptions, learn
from model.model_file import load
from model.openvino_graph import offers
from model.pace import Budget
from model.precision import require_precision
from model.runtimes import Precision, RuntimeChoice, RuntimeName
from tests.model.learning.conftest import SMALL, data_set


def options(runtime: RuntimeName, precision: Precision) -> LearnOptions:
    return LearnOptions(
        architecture=SMALL, budget=Budget(iterations=2), size=64, runtime=runtime, precision=precision, threads=1,
        capability=False,
    )  # fmt: skip


def test_a_precision_that_this_cpu_lacks_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_graph, "offers", lambda _: False)
    monkeypatch.setattr(learning, "build_networks", lambda *_, **__: pytest.fail("it began"))
    root = data_set(tmp_path / "rings", train=range(8), test=range(2))
    with pytest.raises(RuntimeUnavailable, match="no bf16 arithmetic for OpenVINO; choose f32"):
        learn(root, tmp_path / "ring.safetensors", options=options("openvino", "bf16"))


@pytest.mark.parametrize("precision", ["f32", "bf16", "f16"])
def test_pytorch_computes_in_each(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_graph, "offers", lambda _: False)
    require_precision(RuntimeChoice("torch", precision))


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_model_says_in_which_precision_it_was_calibrated(runtime: RuntimeName, tmp_path: Path) -> None:
    if runtime == "openvino" and not offers("bf16"):
        pytest.skip("this CPU has no bfloat16 arithmetic")
    root = data_set(tmp_path / "rings", train=range(8), test=range(2))
    path = learn(root, tmp_path / "ring.safetensors", options=options(runtime, "bf16")).path
    manifest = load(path).manifest
    assert manifest.precision == "bf16"
    assert manifest.calibration is not None
    assert manifest.calibration.fingerprint.precision == "bf16"
