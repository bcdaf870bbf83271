"""All settings: typed, frozen, read once, here and nowhere else. `FLAWLINE_DATABASE__URL=…` sets `database.url`.

Four URLs choose the shape that flawline runs in (design.md §1): broker, database, blobs, live.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsInvalid

PREFIX = "FLAWLINE_"
FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a password


class BrokerSettings(BaseModel):
    """Where frames and verdicts travel. From `prefix` on, all is about Kafka alone."""

    model_config = FROZEN
    url: str = Field(
        default="local:",
        description="local: (in the data folder), local:/path/log.sqlite, memory:, or kafka://host:9092,host:9092",
    )
    poll_seconds: float = Field(default=0.5, gt=0, le=30, description="longest wait for one batch")
    batch: int = Field(default=16, ge=1, le=256, description="most frames in one batch")
    lease_seconds: float = Field(
        default=8, gt=0, le=300, description="a silent consumer loses its partitions after this"
    )
    retention_hours: float = Field(default=24, gt=0, description="age at which log records are dropped")
    retention_bytes: int = Field(
        default=8 << 30, ge=1 << 20, description="size per partition above which the oldest go"
    )
    prefix: str = Field(
        default="", pattern=r"^[a-z0-9._-]{0,64}$", description="before the names of topics and groups, as plant1."
    )
    replication: int = Field(default=1, ge=1, le=7, description="copies of each topic; 3 where there are 3 brokers")
    in_flight_bytes: int = Field(default=64 << 20, ge=1 << 20, description="most bytes that are not acknowledged yet")
    send_seconds: float = Field(default=5, gt=0, le=120, description="wait for the acknowledgement before the spool")
    spool_bytes: int = Field(default=4 << 30, ge=1 << 20, description="most that one camera's spool holds")
    spool_full: Literal["stop", "divert"] = Field(
        default="stop", description="stop: take no more pictures; divert: parts go on record without their pictures"
    )
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Path | None = Field(default=None, description="certificates that the brokers' are checked against")
    cert_file: Path | None = Field(default=None, description="our certificate, for mutual TLS")
    key_file: Path | None = Field(default=None, description="its key")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = Field(default=SecretStr(""), description="better from a file: see password_file")
    password_file: Path | None = Field(default=None, description="file that holds the password, as secrets come")


class DatabaseSettings(BaseModel):
    """Where results live."""

    model_config = FROZEN
    url: str = Field(
        default="sqlite:",
        description="sqlite: (a file in the data folder), sqlite:/path/to/file, or postgresql+psycopg2://user@host/db",
    )
    password_file: Path | None = Field(default=None, description="file that holds PostgreSQL's password")
    partition_days: int = Field(
        default=1, ge=1, le=31, description="days in one partition of PostgreSQL; 7 below 2 M rows a day"
    )
    partitions_ahead: int = Field(default=7, ge=2, le=60, description="partitions made before they are needed")
    keep_days: float = Field(default=0, ge=0, description="life of verdict rows and routes; 0 = for ever")
    keep_minute_days: int = Field(default=0, ge=0, description="life of the counters by minute; 0 = for ever")
    keep_alert_days: int = Field(default=0, ge=0, description="life of an alert after it has closed; 0 = for ever")
    busy_seconds: float = Field(default=10, gt=0, le=60, description="wait for another process's lock")

    @field_validator("url")
    @classmethod
    def _full_name(cls, url: str) -> str:
        if url.startswith("postgresql:"):
            raise ValueError("write postgresql+psycopg2://…: SQLAlchemy reads the short form as another driver")
        return url


class BlobSettings(BaseModel):
    """Where pictures live, and for how long, by kind (streaming.md §5)."""

    model_config = FROZEN
    url: str = Field(
        default="file:",
        description="file: (a folder in the data folder), file:/path, or s3://bucket/prefix?endpoint=https://host",
    )
    access_key: str = Field(default="", description="of the S3 store")
    secret_key: SecretStr = Field(default=SecretStr(""), description="of the S3 store; better from a file")
    secret_key_file: Path | None = Field(default=None, description="file that holds the secret key")
    full_percent: float = Field(default=85, gt=0, le=100, description="above it the least needed pictures go first")
    most_bytes: int = Field(default=0, ge=0, description="what the pictures may take of an S3 store; 0 = no bound")
    heat: Literal["attention", "all"] = Field(
        default="attention", description="heat maps of FAIL and REVIEW, or of all"
    )
    sample_share: float = Field(default=0.01, ge=0, le=1, description="share of passing parts kept in full size")
    ring_hours: float = Field(default=4, gt=0, description="life of the small pictures of passing parts")
    sample_days: float = Field(default=14, gt=0)
    thumb_days: float = Field(default=90, gt=0)
    frame_days: float = Field(default=365, gt=0, description="life of FAIL, REVIEW and INVALID pictures")


class LiveSettings(BaseModel):
    """A cache that may vanish; none on one machine: the dashboard reads the database."""

    model_config = FROZEN
    url: str = Field(default="none:", pattern=r"^(none:$|rediss?://)", description="none: or redis://host:6379/0")
    username: str = Field(default="", description="of an account of Redis (ACL); empty where only a password is asked")
    password: SecretStr = Field(default=SecretStr(""), description="of Redis; better from a file")
    password_file: Path | None = Field(default=None, description="file that holds the password, as secrets come")

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        apart = self.username or self.password.get_secret_value() or self.password_file
        if apart and "@" in self.url:
            raise ValueError("the URL names a user or a password, and so do other settings; take it out of the URL")
        return self


class MetricsSettings(BaseModel):
    """Where each process answers /metrics and /healthz."""

    model_config = FROZEN
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="0 = nowhere; `flawline up` counts up from it, by role")


class PictureSettings(BaseModel):
    """What a picture may be at most."""

    model_config = FROZEN
    max_pixels: int = Field(default=64_000_000, ge=1, description="larger pictures are INVALID, never decoded")
    inline_max_bytes: int = Field(
        default=0,
        ge=0,
        description="larger pictures go through the blob store; 0: 1 MB on Kafka, 5 MB in the local log",
    )


class WorkerSettings(BaseModel):
    """How a worker runs."""

    model_config = FROZEN
    threads: int = Field(default=0, ge=0, description="CPU threads of the model; 0 lets the runtime choose")
    runtime: Literal["auto", "openvino", "torch"] = "auto"
    backoff_seconds: float = Field(default=0.5, gt=0, description="first wait when a store is away; doubles")
    backoff_most_seconds: float = Field(default=15, gt=0)
    fault: str = Field(default="", description="tests only: POINT or POINT:N kills the process at the N-th pass of it")


class DashboardSettings(BaseModel):
    """Where the pages are served."""

    model_config = FROZEN
    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=0, le=65535)
    reviewer: str = Field(default="reviewer", min_length=1, description="name written beside a decision")
    theme: Literal["auto", "light", "dark"] = "auto"


class Settings(BaseSettings):
    """Everything that may be set; unknown `FLAWLINE_` names are refused by `read_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )
    data: Path = Field(default=Path("flawline-data"), description="folder of the log, the database and the pictures")
    line: Path | None = Field(default=None, description="line file (TOML); default: line.toml in the data folder")
    log_format: Literal["auto", "human", "json"] = Field(default="auto", description="auto: human on a terminal")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    weights: Path | None = Field(default=None, description="folder of ImageNet weights; default: the pip package")
    broker: BrokerSettings = BrokerSettings()
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    live: LiveSettings = LiveSettings()
    pictures: PictureSettings = PictureSettings()
    worker: WorkerSettings = WorkerSettings()
    metrics: MetricsSettings = MetricsSettings()
    dashboard: DashboardSettings = DashboardSettings()

    @property
    def on_kafka(self) -> bool:
        """Whether frames travel through Kafka; then each camera has a spool."""
        return self.broker.url.startswith("kafka:")

    @property
    def inline_bytes(self) -> int:
        """The largest picture that travels in the log itself."""
        return self.pictures.inline_max_bytes or (1_000_000 if self.on_kafka else 5_000_000)

    @property
    def spool_folder(self) -> Path:
        """Where the cameras' spools lie."""
        return self.data / "spool"

    @cached_property
    def broker_path(self) -> Path:
        """The local log's file. Raises SettingsInvalid for a URL of another kind."""
        return self._path("broker", self.broker.url, "local:", "log.sqlite")

    @cached_property
    def database_url(self) -> str:
        """As SQLAlchemy takes it, with PostgreSQL's password where a file holds it."""
        if self.database.url.startswith("postgresql+psycopg2:"):
            return _with_password(self.database.url, self.database.password_file)
        if self.database.url.startswith("sqlite:///"):
            return self.database.url
        return f"sqlite:///{self._path('database', self.database.url, 'sqlite:', 'flawline.sqlite')}"

    @cached_property
    def blobs_path(self) -> Path:
        """The picture folder. Raises SettingsInvalid for a URL of another kind."""
        return self._path("blobs", self.blobs.url, "file:", "blobs")

    @property
    def line_path(self) -> Path:
        """The line file."""
        return self.line or self.data / "line.toml"

    def _path(self, group: str, url: str, scheme: str, default: str) -> Path:
        if not url.startswith(scheme):
            raise SettingsInvalid(
                f"{PREFIX}{group.upper()}__URL is {url!r}; this version reads {scheme} or {scheme}/path"
            )
        rest = url.removeprefix(scheme).removeprefix("//")
        return Path(rest) if rest else self.data / default


def strangers(environment: Mapping[str, str]) -> list[str]:
    """`FLAWLINE_` names in an environment that no setting owns; matched as pydantic matches, without case."""
    owned = {name.lower() for name in names()}
    groups = {name.lower().rsplit("__", 1)[0] for name in owned if "__" in name}
    ours = (name for name in environment if name.upper().startswith(PREFIX))
    return sorted(name for name in ours if name.lower() not in owned | groups)


def names() -> Iterator[str]:
    """Every environment name that a setting owns, such as FLAWLINE_DATABASE__URL."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (f"{PREFIX}{name}__{inner}".upper() for inner in kind.model_fields)
        else:
            yield f"{PREFIX}{name}".upper()


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises SettingsInvalid that names every wrong name and value."""
    if unknown := strangers(os.environ if environment is None else environment):
        raise SettingsInvalid(f"no such setting: {', '.join(unknown)}; `flawline doctor --settings` lists them all")
    try:
        return Settings()
    except ValidationError as problem:
        wrong = "; ".join(f"{PREFIX}{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in problem.errors())
        raise SettingsInvalid(wrong) from problem


def environment_of(settings: Settings) -> dict[str, str]:
    """The `FLAWLINE_` environment under which a child process reads the same settings; with this process's own."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return inherited | dict(_flat(settings.model_dump(mode="python", exclude_defaults=True), PREFIX))


def _flat(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}__".upper())
        elif value is not None:
            yield f"{prefix}{name}".upper(), value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def secret(value: SecretStr, file: Path | None) -> str:
    """A secret, from its file where there is one. Raises SettingsInvalid when the file cannot be read."""
    if file is None:
        return value.get_secret_value()
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsInvalid(f"the secret in {file} cannot be read: {problem}") from problem


def _with_password(url: str, file: Path | None) -> str:
    if file is None:
        return url
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    if not at or ":" in user:
        raise SettingsInvalid(f"{PREFIX}DATABASE__URL must name a user and no password where a password file is set")
    return f"{scheme}://{user}:{quote(secret(SecretStr(''), file), safe='')}@{place}"
