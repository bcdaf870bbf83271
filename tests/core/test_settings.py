from pathlib import Path

import pytest

from core.errors import SettingsInvalid
from core.settings import Settings, environment_of, names, read_settings, strangers


def test_out_of_the_box_everything_lies_in_one_folder() -> None:
    settings = read_settings()
    assert settings.broker_path == Path("flawline-data/log.sqlite")
    assert settings.database_url == "sqlite:///flawline-data/flawline.sqlite"
    assert settings.blobs_path == Path("flawline-data/blobs")
    assert settings.line_path == Path("flawline-data/line.toml")


def test_a_nested_setting_is_read_by_its_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWLINE_BROKER__BATCH", "4")
    monkeypatch.setenv("FLAWLINE_DATA", "/srv/flawline")
    assert read_settings().broker.batch == 4
    assert read_settings().blobs_path == Path("/srv/flawline/blobs")


@pytest.mark.parametrize(
    "name", ["FLAWLINE_BROKR__URL", "FLAWLINE_BROKER_URL", "flawline_broker__ulr", "FLAWLINE_THREADS"]
)
def test_a_name_that_no_setting_owns_is_refused_at_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsInvalid, match=f"(?i)no such setting: {name}"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FLAWLINE_BROKER__BATCH", "many", "BROKER__BATCH"), ("FLAWLINE_BROKER__BATCH", "0", "BROKER__BATCH"),
        ("FLAWLINE_LOG_LEVEL", "LOUD", "LOG_LEVEL"), ("FLAWLINE_LIVE__URL", "memcached://x", "LIVE__URL"),
        ("FLAWLINE_DATABASE__URL", "postgresql://x/y", r"postgresql\+psycopg2"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=said):
        read_settings()


@pytest.mark.parametrize(("group", "part"), [("broker", "broker_path"), ("blobs", "blobs_path")])
def test_a_url_of_another_kind_is_refused_with_what_is_read(
    group: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FLAWLINE_{group.upper()}__URL", "carrier-pigeon:coop")
    with pytest.raises(SettingsInvalid, match="this version reads"):
        getattr(read_settings(), part)


def test_a_child_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWLINE_DATA", "/srv/flawline")
    monkeypatch.setenv("FLAWLINE_BLOBS__SAMPLE_SHARE", "0.5")
    settings = read_settings()
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings() == settings


def test_strangers_of_an_environment_are_listed() -> None:
    assert strangers({"FLAWLINE_X": "1", "PATH": "", "FLAWLINE_DATA": "d", "FLAWLINE_BROKER__URL": "local:"}) == [
        "FLAWLINE_X"
    ]


def test_every_setting_says_its_name() -> None:
    listed = list(names())
    assert "FLAWLINE_DATABASE__URL" in listed
    assert len(listed) == len(set(listed)) > len(Settings.model_fields)
