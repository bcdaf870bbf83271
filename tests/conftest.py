"""For all tests: no FLAWLINE_ variable of the developer's own shell leaks in."""

import os

import pytest


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("FLAWLINE_")]:
        monkeypatch.delenv(name)
