"""`flawline up` gives each role a port for its figures."""

from pathlib import Path

import pytest

from cli.line_up import roles_of, with_ports
from core.errors import SettingsInvalid
from core.line import Camera, line_of
from core.settings import MetricsSettings, Settings, environment_of, read_settings
from workers.supervisor import Role

LINE = line_of([Camera(name=name, product="ring", source="simulator:ring") for name in ("a", "b", "c")])


def roles(settings: Settings) -> list[Role]:
    first, cameras = roles_of(settings, LINE, Path("line.toml"), dashboard=True)
    return [*first, *cameras]


def test_each_role_has_a_port_of_its_own_counted_up_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(metrics=MetricsSettings(port=9101))
    ports = []
    for role in with_ports(settings, roles(settings)):
        for name, value in {**environment_of(settings), **role.environment}.items():
            monkeypatch.setenv(name, value)
        ports.append(read_settings().metrics.port)  # as the role's process reads it
    assert ports == list(range(9101, 9101 + len(roles(settings))))


def test_without_a_port_no_role_gets_one() -> None:
    settings = Settings()
    assert with_ports(settings, roles(settings)) == roles(settings)


def test_ports_beyond_the_last_are_refused_with_the_setting_s_name() -> None:
    settings = Settings(metrics=MetricsSettings(port=65535))
    with pytest.raises(SettingsInvalid, match="FLAWLINE_METRICS__PORT"):
        with_ports(settings, roles(settings))
    last = Settings(metrics=MetricsSettings(port=65536 - len(roles(settings))))
    assert with_ports(last, roles(last))[-1].environment["FLAWLINE_METRICS__PORT"] == "65535"
