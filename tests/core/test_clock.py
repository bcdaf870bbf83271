import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ClockWatch, age_ns, boot
from core.messages import FrameCaptured

SECOND = 10**9
FRAME = FrameCaptured(station="s", camera="c", session=1, seq=0, captured_at=1_790_000_000 * SECOND, product="p")


@dataclass
class Clocks:
    wall: int = 1_790_000_000 * SECOND
    monotonic: int = 500 * SECOND

    def watch(self) -> ClockWatch:
        return ClockWatch(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def pass_(self, seconds: float, *, wall: float | None = None) -> None:
        self.monotonic += int(seconds * SECOND)
        self.wall += int((seconds if wall is None else wall) * SECOND)


def test_a_frame_of_this_machine_has_its_age_from_the_monotonic_clock() -> None:
    frame = replace(FRAME, boot=boot(), monotonic_at=time.monotonic_ns() - 2 * SECOND)
    assert boot()
    for wrong in (0, FRAME.captured_at - 3600 * SECOND, FRAME.captured_at + 3600 * SECOND):
        assert 2 * SECOND <= age_ns(frame, wrong) < 60 * SECOND


@pytest.mark.parametrize("other", ["", "another machine, or this one before it was started again"])
def test_a_frame_of_another_machine_has_its_age_from_the_wall_clock(other: str) -> None:
    frame = replace(FRAME, boot=other, monotonic_at=1)
    assert age_ns(frame, FRAME.captured_at + 7) == 7


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 1.5])
def test_a_jump_is_told_for_a_minute(jump: float) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.pass_(1)
    assert watch.look() == ""
    clocks.pass_(1, wall=1 + jump)
    assert f"CLOCK_OFFSET: the wall clock jumped by {jump:+.1f} s" in watch.look()
    clocks.pass_(59)
    assert watch.look()
    clocks.pass_(2)
    assert watch.look() == ""


@given(st.lists(st.floats(-0.4, 0.4), max_size=50))
def test_a_clock_that_is_corrected_gently_is_no_alarm(corrections: list[float]) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for correction in corrections:
        clocks.pass_(1, wall=1 + correction)
        assert watch.look() == ""
