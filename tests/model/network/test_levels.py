import torch
import torch.nn.functional as F  # noqa: N812

from model.levels import cosine, distances, flat_cosine
from tests.model.network.conftest import batch


def test_cosine_per_pixel_agrees_with_pytorch() -> None:
    u, v = torch.randn(2, 64, 8, 12), torch.randn(2, 64, 8, 12)
    assert torch.allclose(cosine(u, v), F.cosine_similarity(u, v), atol=2e-6)


def test_flattened_cosine_agrees_with_pytorch_on_a_million_terms() -> None:
    u = torch.rand(2, 256, 64, 64)
    v = u + 0.1 * torch.rand(2, 256, 64, 64)
    wanted = F.cosine_similarity(u.double().flatten(1), v.double().flatten(1))
    assert torch.allclose(flat_cosine(u, v).double(), wanted, atol=5e-5)


def test_two_zero_vectors_are_at_distance_one() -> None:
    zeros = torch.zeros(1, 4, 2, 2)
    assert (cosine(zeros, zeros) == 0).all()
    assert (distances((zeros, zeros, zeros), (zeros, zeros, zeros))[0] == 1).all()


def test_a_zero_vector_gives_a_finite_gradient() -> None:
    u = torch.zeros(1, 4, 2, 2, requires_grad=True)
    cosine(u, torch.rand(1, 4, 2, 2)).sum().backward()  # type: ignore[no-untyped-call]
    assert u.grad is not None
    assert u.grad.isfinite().all()


def test_cosines_stay_float32_inside_autocast() -> None:
    u = batch(1)
    v = u * (1 + 1e-3 * batch(1, seed=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cosine(u, v)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, cosine(u, v))


def test_half_precision_features_are_compared_in_float32() -> None:
    u, v = batch(1).bfloat16(), batch(1, seed=1).bfloat16()
    assert cosine(u, v).dtype == torch.float32
    assert torch.equal(cosine(u, v), cosine(u.float(), v.float()))
