import pytest

from model.architecture import Architecture, Skip, named
from model.cost import cost_of

WIDE = {"rd": (108.67, 30.45), "rd-e": (108.67, 30.45), "rd-e+skip": (144.72, 45.22), "rd-e+gii": (156.52, 50.05)}


@pytest.mark.parametrize("ablation", WIDE)
def test_the_papers_network_costs_what_the_reference_says(ablation: str) -> None:
    found = cost_of(named(ablation, backbone="wide_resnet50_2"), (256, 256))  # rd-e.md, section 3
    assert (found.parameters / 1e6, found.macs / 1e9) == pytest.approx(WIDE[ablation], abs=0.006)


def test_the_small_network_of_linear_features_costs_what_was_measured() -> None:
    found = cost_of(Architecture(features="linear"), (256, 256))  # rd-e.md, section 10
    assert found.macs / 1e9 == pytest.approx(1.28, abs=0.02)


@pytest.mark.parametrize(("larger", "times"), [("efficientnet_lite1", 1.06), ("efficientnet_lite2", 1.28)])
def test_the_larger_ones_for_a_cpu_cost_what_the_documents_say(larger: str, times: float) -> None:
    macs = cost_of(Architecture(backbone=larger), (256, 256)).macs  # docs/commands.md, --backbone
    assert macs / cost_of(Architecture(), (256, 256)).macs == pytest.approx(times, abs=0.005)


def test_cost_grows_with_the_area_and_parameters_do_not() -> None:
    architecture = Architecture(skip=Skip.PLAIN)
    small, large = cost_of(architecture, (64, 64)), cost_of(architecture, (128, 96))
    assert large.macs == 3 * small.macs
    assert large.parameters == small.parameters


def test_a_size_that_no_network_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        cost_of(Architecture(), (64, 100))
