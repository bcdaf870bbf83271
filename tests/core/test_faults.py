"""The kill switch: real processes die at the pass that was named, and nowhere else."""

import signal
from collections.abc import Iterator

import pytest

from core import faults
from core.errors import SettingsInvalid
from tests.core.processes import start


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm("")


@pytest.mark.parametrize(
    ("fault", "passes", "killed"),
    [
        ("", 9, False),
        ("inspect_after_poll", 1, True),
        ("inspect_after_poll:3", 2, False),
        ("inspect_after_poll:3", 3, True),
        ("local_in_flush", 9, False),
    ],
)
def test_the_process_dies_at_the_pass_that_was_named(fault: str, passes: int, killed: bool) -> None:
    process = start("pass_points", fault, passes)
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if killed else 0)


@pytest.mark.parametrize("fault", ["nowhere", "inspect_after_poll:0", "inspect_after_poll:-1", "inspect_after_poll:x",
                                   "inspect_after_poll:²", ":1", "Inspect_after_poll"])  # fmt: skip
def test_a_fault_that_nobody_can_mean_is_refused(fault: str) -> None:
    with pytest.raises(SettingsInvalid, match="fault"):
        faults.arm(fault)


def test_arming_with_nothing_disarms() -> None:
    faults.arm("inspect_after_poll:1")
    faults.arm("")
    faults.reach("inspect_after_poll")
