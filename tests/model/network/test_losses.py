import pytest
import torch
from torch import Tensor, nn

from model.architecture import Architecture
from model.backbones import build_encoder
from model.injection import similarity_gate
from model.levels import Levels
from model.losses import baseline_loss, mask_levels, student_loss, teacher_loss
from model.networks import Networks
from tests.model.network.conftest import batch, untrained

SIZES = [(64, 64), (32, 32), (16, 16)]


def _rows(first: int, last: int) -> Tensor:
    mask = torch.zeros(1, 1, 256, 256)
    mask[:, :, first : last + 1] = 1
    return mask


def _disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    return ((y - 100) ** 2 + (x - 60) ** 2 <= 36).float()[None, None]


@pytest.mark.parametrize(
    ("mask", "positives"),
    [(_rows(128, 133), [64, 0, 0]), (_rows(128, 139), [192, 32, 0]), (_disc(), [8, 3, 0])],
    ids=["six rows", "twelve rows", "disc"],
)
def test_masks_shrink_by_cascade(mask: Tensor, positives: list[int]) -> None:
    assert [int(level.sum()) for level in mask_levels(mask, SIZES)] == positives


def test_masks_of_oblong_pictures_keep_their_shape() -> None:
    mask = torch.zeros(2, 1, 160, 448)
    mask[1, :, 40:120, 200:300] = 1
    levels = mask_levels(mask, [(40, 112), (20, 56), (10, 28)])
    assert [tuple(level.shape) for level in levels] == [(2, 40, 112), (2, 20, 56), (2, 10, 28)]
    assert all(level[0].sum() == 0 and level[1].sum() > 0 for level in levels)
    assert all(((level == 0) | (level == 1)).all() for level in levels)


def _levels(seed: int) -> Levels:
    generator = torch.Generator().manual_seed(seed)
    first, second, third = (torch.rand(2, 3 * k, 16 // k, 16 // k, generator=generator) for k in (1, 2, 4))
    return first, second, third


def test_a_teacher_that_equals_the_expert_loses_only_on_marred_pixels() -> None:
    features = _levels(0)
    mask = torch.zeros(2, 1, 64, 64)
    mask[0] = 1  # half of all pixels, at every level
    assert teacher_loss(features, features, features, features, mask).item() == pytest.approx(3 * 0.5, abs=1e-4)
    assert teacher_loss(features, features, features, features, 0 * mask).item() == pytest.approx(0, abs=1e-4)


def test_a_student_that_answers_normal_features_has_learnt_everything() -> None:
    features = _levels(0)
    assert student_loss(features, features, features, features).item() == pytest.approx(0, abs=1e-5)
    assert student_loss(features, _levels(1), features, features).item() > 0.1


def test_the_student_loss_is_the_sum_of_its_four_terms() -> None:
    s_n, s_a, e, t = (_levels(seed) for seed in range(4))
    terms = [baseline_loss(s, wanted) for s in (s_n, s_a) for wanted in (e, t)]
    assert student_loss(s_n, s_a, e, t).item() == pytest.approx(sum(term.item() for term in terms), rel=1e-6)


def _gradients(network: nn.Module) -> int:
    return sum(parameter.grad is not None for parameter in network.parameters())


@pytest.fixture
def networks() -> Networks:
    return untrained(Architecture())


def test_the_teacher_loss_reaches_the_teacher_alone(networks: Networks) -> None:
    n, a, mask = batch(2), batch(2, seed=1), torch.zeros(2, 1, 64, 64)
    teacher, expert = networks.teacher, networks.expert
    loss = teacher_loss(teacher(n), teacher(a), expert(n), expert(a), mask)
    loss.backward()  # type: ignore[no-untyped-call]
    assert _gradients(teacher) == len(list(teacher.parameters()))
    assert _gradients(expert) == 0
    assert _gradients(networks.student) == 0


def test_the_teacher_loss_gives_its_targets_no_gradient_even_if_they_could_take_one() -> None:
    wanted = _levels(1)
    for level in wanted:
        level.requires_grad_()
    given = _levels(0)
    for level in given:
        level.requires_grad_()
    teacher_loss(given, given, wanted, wanted, torch.zeros(2, 1, 64, 64)).backward()  # type: ignore[no-untyped-call]
    assert all(level.grad is None for level in wanted)
    assert all(level.grad is not None for level in given)


def test_the_student_loss_reaches_the_student_alone(networks: Networks) -> None:
    n, a = batch(2), batch(2, seed=1)
    with torch.no_grad():
        taught_n, taught_a, wanted = networks.teacher(n), networks.teacher(a), networks.expert(n)
    student = networks.student
    student_loss(student(taught_n), student(taught_a), wanted, taught_n).backward()  # type: ignore[no-untyped-call]
    assert _gradients(student) == len(list(student.parameters()))
    assert _gradients(networks.teacher) == 0
    assert _gradients(networks.expert) == 0


def test_the_gate_takes_no_gradient_and_is_not_clamped() -> None:
    features = torch.randn(1, 8, 4, 4, requires_grad=True)
    gate = similarity_gate(features, -features)
    assert not gate.requires_grad
    assert gate.shape == (1, 1, 4, 4)
    assert torch.allclose(gate, torch.full_like(gate, -1))


def test_normal_and_marred_pictures_each_move_the_teachers_statistics() -> None:
    teacher = build_encoder(Architecture()).train()
    seen = []
    for images in (batch(2), 3 + batch(2, seed=1)):
        teacher(images)
        seen.append({name: value.clone() for name, value in teacher.named_buffers() if "running_mean" in name})
    assert all((seen[0][name] != seen[1][name]).any() for name in seen[0])
    counters = [value.item() for name, value in teacher.named_buffers() if "num_batches_tracked" in name]
    assert set(counters) == {2}
