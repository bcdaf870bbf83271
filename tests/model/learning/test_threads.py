import pytest
import torch

from model.threads import ThreadChooser, time_convolution


def test_the_fastest_number_is_taken_and_put_back() -> None:
    before = torch.get_num_threads()
    with ThreadChooser(2, probe=lambda threads: {1: 0.1, 2: 0.5}[threads]):
        assert torch.get_num_threads() == 1
    with ThreadChooser(2, probe=lambda threads: {1: 0.5, 2: 0.1}[threads]):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_it_looks_again_when_the_last_look_is_old() -> None:
    now, costs = [0.0], {1: 0.1, 2: 0.5}
    with ThreadChooser(2, probe=lambda threads: costs[threads], clock=lambda: now[0]) as chooser:
        costs[2] = 0.01
        chooser.look()
        assert torch.get_num_threads() == 1
        now[0] = 21.0
        chooser.look()
        assert torch.get_num_threads() == 2


def test_a_fixed_number_is_never_questioned() -> None:
    def refuse(_threads: int) -> float:
        raise AssertionError("a fixed number needs no probe")

    with ThreadChooser(2, fixed=True, probe=refuse):
        assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="0 threads"):
        ThreadChooser(0)


def test_the_probe_measures_time() -> None:
    before = torch.get_num_threads()
    try:
        assert 0 < time_convolution(1) < 5
    finally:
        torch.set_num_threads(before)
