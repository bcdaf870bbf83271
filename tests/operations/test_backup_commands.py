"""`flawline backup` and `flawline restore` as a person would type them."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from cli.backup_commands import Pictures as Offered
from core.backups import Pictures
from core.blobs.open import open_blobs
from core.contents import contents
from core.database import open_database
from core.errors import BackupUnusable, NotAllowed, SettingsInvalid
from core.records import alerts
from core.settings import Settings, read_settings
from core.tables import REVISION, audit_log
from migrations.upgrade import downgrade
from tests.cli.conftest import Run, flawline
from tests.operations.conftest import on_files
from tests.operations.worked import FRAMES, work

__all__ = ["flawline"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAWLINE_DATA", str(tmp_path / "data"))
    work(on_files(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def archive(data: Path, tmp_path: Path, flawline: Run) -> Path:
    (tmp_path / "backups").mkdir()
    assert flawline("backup", tmp_path / "backups")[0] == 0
    (file,) = (tmp_path / "backups").iterdir()
    return file


def test_the_choices_are_those_of_core() -> None:
    assert [choice.value for choice in Offered] == [choice.value for choice in Pictures]


def test_a_folder_gets_a_file_named_after_the_time(archive: Path) -> None:
    assert archive.match("flawline-20*T*Z.tar.gz")


def test_what_was_written_is_told_with_sizes_and_stands_in_the_audit_log(
    data: Path, tmp_path: Path, flawline: Run
) -> None:
    code, said = flawline("backup", tmp_path / "a.tar.gz")
    assert code == 0
    assert f"frame         {FRAMES}" in said
    assert "21 KB" in said, "the model"
    with open_database(read_settings().database_url) as database, database.reading() as connection:
        assert "backup.make" in connection.scalars(select(audit_log.c.action)).all()
        assert alerts.marked(connection, alerts.BACKUP) is not None, "no alert for a missing backup"


def test_json_for_programs(data: Path, tmp_path: Path, flawline: Run) -> None:
    _, said = flawline("backup", tmp_path / "a.tar.gz", "--pictures", "none", "--json", "-")
    found = json.loads(said)
    assert found["database"]["rows"]["inspections"] == FRAMES + 1
    assert found["blobs"] == {"model": 1}
    assert found["offsets"] is None, "there is no log yet"
    assert found["size"] == (tmp_path / "a.tar.gz").stat().st_size


def test_a_backup_makes_no_log_where_there_is_none(data: Path, archive: Path) -> None:
    assert not (data / "log.sqlite").exists()


def test_where_the_groups_stand_in_the_log_is_in_it(data: Path, tmp_path: Path, flawline: Run) -> None:
    from cli import parts
    from core.line import read_line

    settings = read_settings()
    parts.prepare(settings, read_line(settings.line_path))
    _, said = flawline("backup", tmp_path / "a.tar.gz", "--json", "-")
    assert json.loads(said)["offsets"]["inspection"] == {"0": 0, "1": 0, "2": 0, "3": 0}


def test_a_drill_leaves_the_line_alone(data: Path, archive: Path, tmp_path: Path, flawline: Run) -> None:
    held = contents(read_settings().database_url)
    code, said = flawline("restore", archive, "--into", tmp_path / "drill")
    assert code == 0
    assert "flawline books" in said
    drill = Settings(data=tmp_path / "drill")
    assert contents(drill.database_url).rows["inspections"] == FRAMES + 1
    assert len(list(open_blobs(drill).keys("frame"))) == FRAMES
    assert (tmp_path / "drill" / "line.toml").read_bytes() == (data / "line.toml").read_bytes()
    assert contents(read_settings().database_url) == held


def test_a_drill_into_a_folder_with_books_is_refused(archive: Path, tmp_path: Path, flawline: Run) -> None:
    flawline("restore", archive, "--into", tmp_path / "drill")
    with pytest.raises(NotAllowed):
        flawline("restore", archive, "--into", tmp_path / "drill")


def test_a_dry_run_says_that_all_is_there(archive: Path, flawline: Run) -> None:
    code, said = flawline("restore", archive, "--dry-run")
    assert code == 0
    assert "nothing was changed" in said


def test_a_restore_over_the_line_needs_a_yes_and_is_in_the_audit_log(archive: Path, data: Path, flawline: Run) -> None:
    with pytest.raises(NotAllowed, match="--yes"):
        flawline("restore", archive)
    assert flawline("restore", archive, "--yes")[0] == 0
    with open_database(read_settings().database_url) as database, database.reading() as connection:
        assert connection.scalars(select(audit_log.c.action)).all()[-1] == "backup.restore"


def test_a_line_file_that_was_changed_since_stays(archive: Path, data: Path, flawline: Run) -> None:
    (data / "line.toml").write_text("name = 'another'")
    _, said = flawline("restore", archive, "--yes")
    assert (data / "line.toml").read_text() == "name = 'another'"
    assert "stays as it is" in said


def test_a_folder_that_is_not_there_and_a_damaged_file_are_refused(data: Path, tmp_path: Path, flawline: Run) -> None:
    with pytest.raises(SettingsInvalid, match="make it first"):
        flawline("backup", tmp_path / "none" / "a.tar.gz")
    (tmp_path / "a.tar.gz").write_bytes(b"damaged")
    with pytest.raises(BackupUnusable):
        flawline("restore", tmp_path / "a.tar.gz", "--yes")


def test_tables_of_an_earlier_version_are_backed_up_and_upgraded_when_they_come_back(
    data: Path, tmp_path: Path, flawline: Run
) -> None:
    downgrade(read_settings().database_url, "0001")
    code, said = flawline("backup", tmp_path / "a.tar.gz")
    assert code == 0
    assert "not noted in the audit log" in said
    assert "flawline db upgrade" in said
    assert flawline("restore", tmp_path / "a.tar.gz", "--into", tmp_path / "drill")[0] == 0
    drill = contents(Settings(data=tmp_path / "drill").database_url)
    assert drill.revision == REVISION
    assert drill.rows["inspections"] == FRAMES + 1
