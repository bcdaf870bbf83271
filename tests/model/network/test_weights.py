import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from model.architecture import Architecture
from model.backbones import build_encoder
from model.errors import WeightsMissing
from model.networks import Networks, build_networks
from model.weights import imagenet_weights, load_imagenet

LITE = "efficientnet_lite0"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Downloads go to a port where nobody listens, and torchvision's cache is empty."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, nobody)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def _torchvisions(backbone: str) -> dict[str, Tensor]:
    """Weights under torchvision's names, with a part that lies beyond the encoder."""
    encoder = build_encoder(Architecture(backbone=backbone))
    return dict(encoder.state_dict()) | {"layer4.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}


def test_the_packages_tensors_come_in_the_order_of_our_encoder(default_networks: Networks) -> None:
    packaged = list(imagenet_weights(LITE).values())
    own = list(default_networks.expert.state_dict().values())
    assert len(packaged) == 296
    assert all(torch.equal(given, ours) for given, ours in zip(packaged, own, strict=False))


def test_weights_under_timms_names_are_understood(default_networks: Networks) -> None:
    groups = (1, 2, 2, 3, 3, 4, 1)
    places = [(group, index) for group, count in enumerate(groups) for index in range(count)]
    theirs = {}
    for name, tensor in default_networks.expert.state_dict().items():
        first, *rest = name.split(".", 2)
        if first == "blocks":
            group, index = places[int(rest[0])]
            theirs[f"blocks.{group}.{index}.{rest[1]}"] = tensor
        else:
            theirs[name] = tensor
    encoder = build_encoder(Architecture())
    load_imagenet(encoder, LITE, theirs)
    pairs = zip(encoder.parameters(), default_networks.expert.parameters(), strict=True)
    assert all(torch.equal(one, same) for one, same in pairs)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_comes_first(tmp_path: Path, suffix: str) -> None:
    weights = _torchvisions("resnet18")
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    networks = build_networks(Architecture(backbone="resnet18"), weights=path)
    assert torch.equal(networks.expert.state_dict()["conv1.weight"], weights["conv1.weight"])


def test_a_folder_comes_before_the_package(tmp_path: Path, default_networks: Networks) -> None:
    weights = {name: 0 * tensor for name, tensor in default_networks.expert.state_dict().items()}
    save_file(weights, tmp_path / f"{LITE}.safetensors")
    found = imagenet_weights(LITE, tmp_path)
    assert all((tensor == 0).all() for tensor in found.values())


def test_a_folder_without_the_backbone_falls_through_to_the_package(tmp_path: Path) -> None:
    assert len(imagenet_weights(LITE, tmp_path)) == 296


@pytest.mark.usefixtures("offline")
def test_torchvisions_cache_serves_without_a_network(tmp_path: Path) -> None:
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(_torchvisions("resnet18"), cache / "resnet18-f37072fd.pth")
    assert "layer1.0.conv1.weight" in imagenet_weights("resnet18")


@pytest.mark.usefixtures("offline")
def test_without_any_weights_the_message_names_all_four_places(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        imagenet_weights("wide_resnet50_2", tmp_path)
    for place in ("a weights file", str(tmp_path), "a pip package", "torchvision's download"):
        assert place in str(caught.value)


def test_weights_of_another_backbone_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(_torchvisions("resnet18"), path)
    with pytest.raises(WeightsMissing, match=r"resnet50: .*layer1"):
        build_networks(Architecture(backbone="resnet50"), weights=path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02garbage"], ids=["empty", "text", "pickle"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsMissing, match="broken"):
        imagenet_weights(LITE, path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="nowhere"):
        imagenet_weights(LITE, tmp_path / "nowhere.pth")


class Intruder:
    """What unpickling would run, if it were let."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("intruder-was-here"),))  # type: ignore[return-value]


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Intruder()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsMissing, match="evil"):
        imagenet_weights(LITE, tmp_path / "evil.pth")
    assert not Path("intruder-was-here").exists()


def test_a_file_of_other_things_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "run.pth")
    with pytest.raises(WeightsMissing, match="table of tensors"):
        imagenet_weights(LITE, tmp_path / "run.pth")
