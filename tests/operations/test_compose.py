"""docker-compose.yml names only what there is: settings, commands, ports, stages, volumes, secrets."""

import re
import tomllib
from typing import Any

import pytest
import typer.main

from cli.main import app
from core.line import read_line
from core.settings import read_settings, strangers
from tests.operations.stack import (
    PROFILES,
    ROOT,
    commands_of,
    compose,
    environment,
    resolved,
    services,
    stages,
)

ALL = sorted(services())
OURS = sorted(services(ours=True))
ONCE = {"migrate", "bucket", "training", "training-gpu", "backup"}  # do their work and end


@pytest.mark.parametrize("profiles", [(), *((one,) for one in PROFILES), PROFILES], ids=str)
def test_docker_compose_takes_the_file_with_every_profile(profiles: tuple[str, ...]) -> None:
    started = resolved(*profiles)["services"]
    assert set(started) == set(services())  # Debian's version shows also those that no chosen profile starts
    for name, service in started.items():
        assert service.get("profiles") == services()[name].get("profiles")


def test_the_profiles_are_those_that_the_head_of_the_file_explains() -> None:
    used = {profile for one in services().values() for profile in one.get("profiles", [])}
    assert used == set(PROFILES)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_and_has_a_value_that_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = services()[name]
    given = environment(service["build"]["target"]) | {key: str(value) for key, value in service["environment"].items()}
    assert strangers(given) == []
    for key, value in given.items():
        if key.startswith("FLAWLINE_"):
            monkeypatch.setenv(key, value)
    settings = read_settings()
    assert settings.on_kafka
    assert settings.metrics.host == "0.0.0.0"


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_with_options_that_it_takes(name: str) -> None:
    for words in commands_of(services()[name]):
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert not hasattr(command, "commands"), f"{words} is no whole command"
        options = {text for parameter in command.params for text in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= options
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        if "--help" not in rest:
            given = [word for word in rest if not word.startswith("--")]
            assert len([a for a in arguments if a.required]) <= len(given) + rest.count("--name")


def test_every_camera_of_the_line_has_its_capture_with_a_spool_of_its_own() -> None:
    captures = {
        one["command"][2]: one for one in services().values() if one.get("command", [])[:2] == ["worker", "capture"]
    }
    assert set(captures) == {camera.name for camera in read_line(ROOT / "deploy/line.toml").camera}
    spools = [one["volumes"][0] for one in captures.values()]
    assert all(volume.endswith(":/data") for volume in spools)
    assert len(set(spools)) == len(spools)


def test_every_gate_of_the_line_has_its_service_and_waits_for_nobody() -> None:
    gates = {one["command"][2]: one for one in services().values() if one.get("command", [])[:2] == ["worker", "gate"]}
    known = {gate.name: gate for gate in read_line(ROOT / "deploy/line.toml").gate}
    assert set(gates) == set(known)
    for name, service in gates.items():
        assert not service["depends_on"]
        host, port = known[name].modbus_address
        assert host == "0.0.0.0"
        assert service["ports"][0].endswith(f":{port}")


@pytest.mark.parametrize("name", ALL)
def test_every_image_has_a_fixed_version(name: str) -> None:
    image = services()[name]["image"]
    tag = image.rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), image
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert not image.startswith("flawline-") or tag.endswith(f"-{version}}}")


def test_there_is_no_minio() -> None:
    assert "minio" not in (ROOT / "docker-compose.yml").read_text().lower()


@pytest.mark.parametrize("name", OURS)
def test_every_target_is_a_stage_named_as_its_image(name: str) -> None:
    service = services()[name]
    target = service["build"]["target"]
    assert target in stages()
    assert service["image"].startswith(f"flawline-{target}:")


@pytest.mark.parametrize("name", ALL)
def test_every_volume_network_secret_and_dependency_is_defined(name: str) -> None:
    service = services()[name]
    for volume in service.get("volumes", []):
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
        assert source.startswith(("/", "./")) or source in compose()["volumes"], volume
        if source.startswith("./deploy"):
            assert (ROOT / source).exists(), volume
    assert set(service.get("secrets", [])) <= set(compose()["secrets"])
    assert set(service["networks"]) <= set(compose()["networks"])
    for other, wanted in (service.get("depends_on") or {}).items():
        condition = wanted["condition"]
        assert other in services()
        if condition == "service_completed_successfully":
            assert other in ONCE
            assert services()[other]["restart"] == "no"
        else:
            assert condition == "service_healthy"
            assert "healthcheck" in services()[other]


def test_nothing_is_defined_that_nobody_uses() -> None:
    everything = list(services().values())
    volumes = {volume.split(":")[0] for one in everything for volume in one.get("volumes", [])}
    assert set(compose()["volumes"]) <= volumes
    assert set(compose()["secrets"]) == {secret for one in everything for secret in one.get("secrets", [])}


@pytest.mark.parametrize("name", OURS)
def test_every_secret_file_of_a_setting_is_mounted(name: str) -> None:
    service = services()[name]
    files = {value for value in service["environment"].values() if str(value).startswith("/run/secrets/")}
    assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}


def test_no_secret_stands_in_the_file() -> None:
    for name, service in services().items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET", key):
                assert str(value).startswith("/run/secrets/"), f"{name}: {key}"


@pytest.mark.parametrize("name", ALL)
def test_every_service_stays_within_its_bounds(name: str) -> None:
    service = services()[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"]["max-size"]
    assert "container_name" not in service, "it could not be scaled"
    assert "privileged" not in service
    if name not in ONCE:
        assert service["restart"] == "unless-stopped"
        assert service["deploy"]["resources"]["limits"]["memory"]
    if service["image"].startswith("flawline-"):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["stop_grace_period"]


def test_ports_are_open_to_this_host_only_and_only_those_that_people_need() -> None:
    published = {name: one["ports"] for name, one in resolved(*PROFILES)["services"].items() if one.get("ports")}
    assert set(published) == {"dashboard", "prometheus", "grafana", "gate-reject-1"}
    for ports in published.values():
        for port in ports:
            said = port if isinstance(port, str) else f"{port.get('host_ip', '')}:{port['published']}"
            assert said.startswith("127.0.0.1:"), said


def test_servers_have_no_way_out() -> None:
    assert compose()["networks"]["servers"] == {"internal": True}
    for name in ("kafka", "postgres", "redis", "s3", "inspection", "books", "housekeeping", "watch"):
        assert services()[name]["networks"] == ["servers"]


@pytest.mark.parametrize("name", sorted(set(OURS) - ONCE))
def test_the_health_check_asks_the_port_that_the_role_serves(name: str) -> None:
    service = services()[name]
    assert "healthcheck" not in service, "the image's own is used"
    given = environment(service["build"]["target"]) | service["environment"]
    port = {"dashboard": "8501"}.get(name, given["FLAWLINE_METRICS__PORT"])
    (check, *_) = [line for line in reversed(stages()[service["build"]["target"]]) if line.startswith("HEALTHCHECK")]
    assert f"http://127.0.0.1:{port}/healthz" in check


def test_the_inspection_workers_can_be_scaled_and_are_named_after_their_containers() -> None:
    for name in ("inspection", "inspection-gpu"):
        service = services()[name]
        assert "replicas" in service["deploy"]
        assert '--name "$$(hostname)"' in service["command"][0]
        assert service["command"][0].startswith("exec "), "signals must reach it"
    assert resolved("gpu")["services"]["inspection"]["deploy"]["replicas"] == 2


def test_the_gpu_is_reserved_only_where_it_is_asked_for() -> None:
    def reserves(service: dict[str, Any]) -> bool:
        return "devices" in service.get("deploy", {}).get("resources", {}).get("reservations", {})

    with_gpu = {name: one for name, one in services().items() if reserves(one)}
    assert set(with_gpu) == {"inspection-gpu", "training-gpu"}
    assert all(one["build"]["target"].endswith("-cuda") and one["profiles"] for one in with_gpu.values())


def test_the_secrets_are_kept_out_of_git_and_out_of_the_images() -> None:
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert all(one["file"].startswith("./deploy/secrets/") for one in compose()["secrets"].values())
    assert "!deploy" not in (ROOT / ".dockerignore").read_text()
