"""The settings name the broker."""

from pathlib import Path

import pytest

from core.broker.kafka import KafkaBroker
from core.broker.local import LocalBroker
from core.broker.memory import MemoryBroker
from core.broker.open import open_broker
from core.broker.protocol import Topic
from core.errors import SettingsInvalid
from core.settings import BrokerSettings, Settings


def test_the_local_log_lies_in_the_data_folder_unless_a_path_is_given(tmp_path: Path) -> None:
    for url, path in (("local:", tmp_path / "log.sqlite"), (f"local:{tmp_path}/other", tmp_path / "other")):
        with open_broker(Settings(data=tmp_path, broker=BrokerSettings(url=url))) as broker:
            assert isinstance(broker, LocalBroker)
            broker.apply([Topic("frames", 1)])
        assert path.exists()


def test_memory_is_a_broker_of_this_process() -> None:
    assert isinstance(open_broker(Settings(broker=BrokerSettings(url="memory:"))), MemoryBroker)


def test_a_kafka_broker_connects_only_when_it_is_asked_something() -> None:
    broker = open_broker(Settings(broker=BrokerSettings(url="kafka://nowhere.invalid:9092")))
    assert isinstance(broker, KafkaBroker)
    broker.close()


@pytest.mark.parametrize(
    "url", ["kafka://", "kafka://host:port", "kafka://host:0", "kafka://a:1,,b:2", "rabbit://host"]
)
def test_a_url_that_names_no_broker_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FLAWLINE_BROKER__URL"):
        open_broker(Settings(broker=BrokerSettings(url=url)))
