"""TLS, passwords and certificates against a Kafka that asks for them; what is wrong is said at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services.secure_kafka import PASSWORD, USER, SecureKafka, issue, issue_authority
from cli.services.service import free_ports
from core.broker.kafka import KafkaBroker
from core.broker.kafka_client import addresses, connection, require_fast_crc
from core.broker.protocol import Topic
from core.errors import SettingsInvalid, StoreUnavailable
from core.settings import BrokerSettings
from tests.core.broker.records import FRAMES, read, send, values
from tests.servers import unique


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    server = SecureKafka(tmp_path_factory.mktemp("kafka"), free_ports(SecureKafka.ports))
    server.start()
    yield server
    server.stop()
    server.wipe()


def sasl(kafka: SecureKafka, **more: object) -> BrokerSettings:
    told = {"url": kafka.sasl_url, "security": "SASL_SSL", "ca_file": kafka.ca_file, "username": USER}
    told |= {"password": PASSWORD, "prefix": unique() + "."}
    return BrokerSettings.model_validate(told | more)


def tls(kafka: SecureKafka, **more: object) -> BrokerSettings:
    told = {"url": kafka.tls_url, "security": "SSL", "ca_file": kafka.ca_file, "prefix": unique() + "."}
    told |= {"cert_file": kafka.folder / "client.pem", "key_file": kafka.folder / "client.key"}
    return BrokerSettings.model_validate(told | more)


def goes_round(settings: BrokerSettings) -> bool:
    with KafkaBroker(settings) as broker:
        broker.apply([Topic(FRAMES, 1)])
        send(broker, b"through")
        with broker.consumer(FRAMES, group="a") as consumer:
            return values(read(consumer, 1)) == [b"through"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_password_over_tls_opens_the_door(kafka: SecureKafka, mechanism: str) -> None:
    assert goes_round(sasl(kafka, sasl_mechanism=mechanism))


def test_a_password_may_lie_in_a_file(kafka: SecureKafka, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    assert goes_round(sasl(kafka, password="", password_file=tmp_path / "password"))


def test_a_certificate_of_our_own_opens_the_door(kafka: SecureKafka) -> None:
    assert goes_round(tls(kafka))


def refused(settings: BrokerSettings, said: str) -> None:
    """Whoever asks is told so, at once, and without the password."""
    started = time.monotonic()
    with KafkaBroker(settings) as broker:
        for ask in (
            lambda: broker.apply([Topic(FRAMES, 1)]),
            lambda: broker.consumer(FRAMES, group="a"),
            lambda: broker.lag(FRAMES, group="a"),
            lambda: send(broker, b"one"),
        ):
            with pytest.raises(SettingsInvalid, match=said) as problem:
                ask()
            assert "wrong-secret" not in str(problem.value)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_wrong_password_is_said(kafka: SecureKafka, mechanism: str) -> None:
    refused(sasl(kafka, sasl_mechanism=mechanism, password="wrong-secret"), "refuses us.*FLAWLINE_BROKER__USERNAME")


def test_a_broker_whose_certificate_others_signed_is_not_trusted(kafka: SecureKafka, tmp_path: Path) -> None:
    issue_authority(tmp_path, "stranger")
    refused(sasl(kafka, ca_file=tmp_path / "stranger.pem"), "no TLS with Kafka.*FLAWLINE_BROKER__CA_FILE")


def test_a_certificate_that_the_broker_does_not_know_is_refused(kafka: SecureKafka, tmp_path: Path) -> None:
    issue_authority(tmp_path, "stranger")
    issue(tmp_path, "client", authority="stranger")
    wrong = {"cert_file": tmp_path / "client.pem", "key_file": tmp_path / "client.key"}
    refused(tls(kafka, **wrong), "no TLS with Kafka.*FLAWLINE_BROKER__CERT_FILE")
    refused(tls(kafka, cert_file=None, key_file=None), "no TLS with Kafka.*FLAWLINE_BROKER__CERT_FILE")


def test_a_client_without_tls_gets_no_answer_and_no_hang(kafka: SecureKafka) -> None:
    settings = BrokerSettings(url=kafka.sasl_url)
    with KafkaBroker(settings) as broker, pytest.raises(StoreUnavailable, match="Kafka at"):
        broker.lag(FRAMES, group="a")


# Settings that need no server to be refused


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for settings in (
        BrokerSettings(url="kafka://host", security="SSL", ca_file=tmp_path / "nowhere.pem"),
        BrokerSettings(url="kafka://host", security="SSL", cert_file=tmp_path / "empty.pem"),
    ):
        with pytest.raises(SettingsInvalid, match=r"cannot be read \(.*\.pem\)"):
            connection(settings)


def test_a_password_is_needed_where_one_is_asked_for() -> None:
    with pytest.raises(SettingsInvalid, match="FLAWLINE_BROKER__PASSWORD_FILE"):
        connection(BrokerSettings(url="kafka://host", security="SASL_SSL", username="me"))


def test_addresses_take_several_hosts_and_a_default_port() -> None:
    assert addresses("kafka://one,two:9094/") == [("one", 9092), ("two", 9094)]
    assert addresses("kafka://[::1]:9093,[::1]") == [("::1", 9093), ("::1", 9092)]
    told = connection(BrokerSettings(url="kafka://[::1]:9093,two"))
    assert told["bootstrap_servers"] == ["[::1]:9093", "two:9092"]


def test_a_client_without_the_checksum_in_c_is_refused() -> None:
    require_fast_crc()
    with pytest.raises(SettingsInvalid, match=r"20 times too slow.*pip install"):
        require_fast_crc(None)
