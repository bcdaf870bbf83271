"""Alerts and the dashboard ask only for figures that there are, and each alert is explained."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from core.health import Health
from core.prometheus import PrometheusMetrics
from tests.core.test_prometheus import figures, tell_everything
from tests.operations.stack import ROOT, services

ALERTS = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/flawline.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in ALERTS]
NAME = re.compile(r"\b(?:flawline|process)_[a-z_]+")


def exported() -> dict[str, set[str]]:
    """Every figure with its labels."""
    metrics = PrometheusMetrics(role="inspection", cameras=["ring-top"])
    tell_everything(metrics)
    metrics.watch(Health()) if "flawline_healthy" not in str(figures(metrics)) else None
    found: dict[str, set[str]] = {}
    for name, labels in figures(metrics):
        found.setdefault(name, set()).update(dict(labels))
    return found


EXPORTED = exported()


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_every_figure_and_label_that_is_asked_for_is_there(expression: str) -> None:
    for name in NAME.findall(expression):
        assert name in EXPORTED, name
    for name, inner in re.findall(r"((?:flawline|process)_[a-z_]+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)(?:=~|!=|=)", inner)) - {"job", "service", "instance"}
        assert labels <= EXPORTED[name]


def test_promtool_finds_nothing_to_complain_of() -> None:
    for words in (["check", "rules", "deploy/alerts.yml"], ["check", "config", "deploy/prometheus.yml"]):
        done = subprocess.run(["promtool", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_goes_off_when_it_should_and_a_quiet_line_is_quiet() -> None:
    tests = "tests/operations/alerts_test.yml"
    done = subprocess.run(["promtool", "test", "rules", tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (ROOT / tests).read_text()
    assert {rule["alert"] for rule in ALERTS if rule["alert"] not in said} == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_how_bad_it_is_and_is_explained(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"red", "amber"}
    assert len(rule["annotations"]["summary"]) > 20
    page = (ROOT / "docs/operations.md").read_text()
    assert re.search(rf"^\| `{rule['alert']}` \| {rule['labels']['severity']} \| .{{40,}}\|$", page, re.MULTILINE)


def test_every_role_is_asked_at_its_port() -> None:
    said = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"][0]["dns_sd_configs"]
    asked = {name: one["port"] for one in said for name in one["names"]}
    once = {"migrate", "training", "training-gpu", "backup"}
    assert set(asked) == set(services(ours=True)) - once
    assert {name for name, port in asked.items() if port != 9100} == {"dashboard"}


def test_the_panels_do_not_overlap_and_read_the_provisioned_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    (only,) = source["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {only["uid"]}
    assert only["url"] == "http://prometheus:9090"


def test_grafana_finds_the_dashboard_where_compose_puts_it() -> None:
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/flawline.yml").read_text())["providers"][
        0
    ]
    volumes = [volume.split(":") for volume in services()["grafana"]["volumes"]]
    assert provider["options"]["path"] in {target for _, target, *_ in volumes}
