import pytest
import torch
from torch import nn

from model.architecture import ABLATIONS, BACKBONES, Architecture, Features, Skip, named
from model.backbones import build_encoder, check_size, feature_channels
from model.losses import student_loss, teacher_loss
from model.networks import Networks, build_networks
from model.student import build_student
from tests.model.network.conftest import batch, untrained

EVERY = [Architecture(backbone=backbone) for backbone in BACKBONES] + [Architecture(features="linear")]
STUDENT_MILLIONS = {  # source: rd-e.md, section 3
    ("efficientnet_lite0", "expanded", "gii"): 4.6,
    ("efficientnet_lite0", "linear", "gii"): 2.64,
    ("wide_resnet50_2", "expanded", "gii"): 131.66,
    ("wide_resnet50_2", "expanded", "plain"): 119.86,
    ("wide_resnet50_2", "expanded", "none"): 83.81,
}


def _name(architecture: Architecture) -> str:
    return f"{architecture.backbone}-{architecture.features}"


@pytest.mark.parametrize("architecture", EVERY, ids=_name)
def test_every_backbone_learns_with_its_student(architecture: Architecture) -> None:
    networks = untrained(architecture)
    n, a = batch(2, 64, 96), batch(2, 64, 96, seed=1)
    mask = torch.zeros(2, 1, 64, 96)
    mask[:, :, 16:48, 16:64] = 1
    expert = networks.expert(n)
    taught = networks.teacher(n)
    _check_shapes(architecture, taught)
    teacher_loss(taught, networks.teacher(a), expert, networks.expert(a), mask).backward()  # type: ignore[no-untyped-call]
    given = tuple(level.detach() for level in taught)
    rebuilt = networks.student(given)
    _check_shapes(architecture, rebuilt)
    student_loss(rebuilt, networks.student(given), expert, given).backward()  # type: ignore[no-untyped-call]
    for role, network in (("teacher", networks.teacher), ("student", networks.student)):
        dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not dead, f"no gradient reaches these of the {role}"
    assert all(p.grad is None and not p.requires_grad for p in networks.expert.parameters())


def _check_shapes(architecture: Architecture, levels: tuple[torch.Tensor, ...]) -> None:
    channels = feature_channels(architecture)
    assert [tuple(level.shape) for level in levels] == [
        (2, channels[0], 16, 24),
        (2, channels[1], 8, 12),
        (2, channels[2], 4, 6),
    ]
    assert all(level.isfinite().all() for level in levels)


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
def test_every_ablation_gives_its_own_answer(backbone: str, ablation: str) -> None:
    networks = untrained(named(ablation, backbone=backbone))
    with torch.no_grad():
        taught = networks.teacher.eval()(batch(1))
        rebuilt = networks.student.eval()(taught)
    assert [level.shape for level in rebuilt] == [level.shape for level in taught]
    names = {name.split(".")[0] for name, _ in networks.student.named_parameters()}
    injected = {"conv1x1_downsample_dim", "fuse_encoder", "fuse_skip"}
    skip = ABLATIONS[ablation].skip
    assert (injected & names == injected) is (skip is not Skip.NONE)
    assert ("conv3x3_simattn" in names) is (skip is Skip.GII)
    assert (networks.teacher is networks.expert) is (not ABLATIONS[ablation].expert)


@pytest.mark.parametrize(("kind", "millions"), STUDENT_MILLIONS.items(), ids=str)
def test_students_have_the_size_that_was_measured(kind: tuple[str, Features, str], millions: float) -> None:
    backbone, features, skip = kind
    with torch.device("meta"):
        student = build_student(Architecture(backbone=backbone, features=features, skip=Skip(skip)))
    count = sum(parameter.numel() for parameter in student.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.03)


def test_the_gate_decides_what_is_injected() -> None:
    plain, guided = (untrained(Architecture(skip=skip)) for skip in (Skip.PLAIN, Skip.GII))
    weights = plain.student.state_dict()
    guided.student.load_state_dict(weights, strict=False)
    with torch.no_grad():
        taught = plain.teacher.eval()(batch(1))
        one, other = plain.student.eval()(taught), guided.student.eval()(taught)
    assert torch.equal(one[2], other[2])  # level 3 comes before any injection
    assert not torch.equal(one[1], other[1])


def test_the_same_seed_gives_the_same_student_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, same, other = (build_student(Architecture(), seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_built_teacher_starts_as_the_expert_and_shares_nothing_with_it(default_networks: Networks) -> None:
    expert, teacher = default_networks.expert, default_networks.teacher
    pairs = zip(expert.parameters(), teacher.parameters(), strict=True)
    assert all(torch.equal(e, t) and e.data_ptr() != t.data_ptr() for e, t in pairs)
    assert not expert.training
    assert not any(parameter.requires_grad for parameter in expert.parameters())
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_without_an_expert_the_teacher_is_frozen() -> None:
    networks = build_networks(Architecture(skip=Skip.NONE, expert=False))
    assert networks.teacher is networks.expert
    assert not networks.teacher.training
    assert not any(parameter.requires_grad for parameter in networks.teacher.parameters())


def test_students_start_with_xavier_convolutions_and_neutral_norms() -> None:
    student = build_student(Architecture(backbone="resnet18"))
    for part in student.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert (part.weight == 1).all()
            assert (part.bias == 0).all()
        if isinstance(part, nn.Conv2d) and part.weight.numel() > 50_000:
            taps = part.weight[0, 0].numel()
            wanted = (2 / (taps * (part.in_channels + part.out_channels))) ** 0.5
            assert part.weight.std().item() == pytest.approx(wanted, rel=0.03)


def test_architectures_survive_the_way_through_plain_values() -> None:
    for ablation in ABLATIONS:
        for backbone in BACKBONES:
            architecture = named(ablation, backbone=backbone, features="linear")
            assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"backbone": "vgg16"}, "vgg16"),
        ({"features": "wide"}, "wide"),
        ({"skip": "some"}, "some"),
        ({"expert": "no"}, "no"),
        ({"depth": 3}, "depth"),
    ],
)
def test_an_impossible_architecture_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Architecture.from_dict(values)


def test_an_unknown_ablation_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"rd-e\+gii"):
        named("rd-f")


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, 100), (-32, 32), (48, 64)])
def test_sizes_that_do_not_halve_five_times_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        check_size(height, width)


def test_encoders_tell_their_channels() -> None:
    for architecture in EVERY[:5]:
        assert build_encoder(architecture).channels == feature_channels(architecture)
