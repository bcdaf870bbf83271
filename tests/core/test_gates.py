"""A gate's deadline and what a line file may say of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.gates import Gate, time_budget_ms


def gate(**values: object) -> Gate:
    return Gate.model_validate({"name": "reject-1", "cameras": ["top"], **values})


def test_the_deadline_of_the_handbook() -> None:
    """domain.md §3.1: d = 1.2 m, v = 0.5 m/s, actuator 50 ms, scan 20 ms, network 0, margin 100 ms."""
    assert time_budget_ms(distance_m=1.2, fastest_m_s=0.5, slack_ms=50 + 20 + 0 + 100) == pytest.approx(2230)
    assert gate(distance_m=1.2, fastest_m_s=0.5).budget_ms == pytest.approx(2230)


def test_a_stated_deadline_wins() -> None:
    assert gate(deadline_ms=700, distance_m=1.2, fastest_m_s=0.5).budget_ms == 700


def test_the_way_to_the_gate_in_counts_of_the_encoder() -> None:
    assert gate(distance_m=1.2, fastest_m_s=0.5, counts_per_m=2000).counts_to_gate == 2400
    assert gate(distance_m=1.2, fastest_m_s=0.5).counts_to_gate == 0


@given(st.floats(0.1, 50), st.floats(0.01, 10), st.floats(0, 1000), st.floats(1.01, 3))
def test_a_faster_belt_a_nearer_gate_or_more_slack_leave_less_time(
    way: float, speed: float, slack: float, by: float
) -> None:
    budget = time_budget_ms(distance_m=way, fastest_m_s=speed, slack_ms=slack)
    assert time_budget_ms(distance_m=way, fastest_m_s=speed * by, slack_ms=slack) < budget
    assert time_budget_ms(distance_m=way / by, fastest_m_s=speed, slack_ms=slack) < budget
    assert time_budget_ms(distance_m=way, fastest_m_s=speed, slack_ms=slack + by) < budget


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "deadline_ms, or distance_m"),
        ({"distance_m": 1.2}, "deadline_ms, or distance_m"),
        ({"distance_m": 0.05, "fastest_m_s": 0.5}, "too near"),
        ({"deadline_ms": 1, "counts_per_m": 2000}, "no deadline_ms"),
        ({"deadline_ms": 1, "distance_m": 1.2, "fastest_m_s": 0.5, "counts_per_m": 2000}, "no deadline_ms"),
        ({"distance_m": 1.2, "fastest_m_s": 0.5, "counts_per_m": 0.1}, "counts_per_m"),
        ({"deadline_ms": 1, "cameras": []}, "cameras"),
        ({"deadline_ms": 1, "cameras": ["top", "top"]}, "twice"),
        ({"deadline_ms": 1, "modbus": "5020"}, "modbus"),
        ({"deadline_ms": 1, "modbus": "localhost:70000"}, "70000"),
        ({"deadline_ms": 1, "product_codes": {"ring": 0}}, "product_codes"),
        ({"deadline_ms": 1, "stop_on": ["RAIN"]}, "stop_on"),
        ({"deadline_ms": 1, "mqtt": "http://broker"}, "mqtt"),
        ({"deadline_ms": 1, "site": "a/b"}, "site"),
        ({"deadline_ms": 1, "colour": 1}, "colour"),
    ],
)
def test_what_nobody_can_mean_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        gate(**values)


@pytest.mark.parametrize(("modbus", "host"), [("127.0.0.1:502", "127.0.0.1"), ("[::1]:502", "::1")])
def test_the_modbus_address_has_a_host_and_a_port(modbus: str, host: str) -> None:
    assert gate(deadline_ms=1, modbus=modbus).modbus_address == (host, 502)
