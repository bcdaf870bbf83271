"""A line is backed up while it works, lost, and restored: every row, every picture, and the books agree."""

import json
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from core import archives, backups, dumps, postgres_dump
from core.archives import verify
from core.backups import Pictures, Report, examine, restore
from core.blobs.keys import Kind
from core.blobs.open import open_blobs
from core.contents import Contents, contents
from core.database import make_engine, open_database
from core.errors import BackupUnusable, NotAllowed, SettingsInvalid, StoreUnavailable
from core.records import books, inspections
from core.settings import DatabaseSettings, Settings
from core.tables import REVISION
from core.times import ns_of
from core.verdicts import MachineVerdict
from tests.core.records.rows import NOON, captured, inspected
from tests.operations.conftest import on_files
from tests.operations.worked import FRAMES, LINE, MODEL, work, writing_on

AFTER = NOON + timedelta(days=2)


def back_up(settings: Settings, target: Path, pictures: Pictures = Pictures.EVIDENCE) -> Report:
    offsets = {"inspection": {"0": 41}}
    return backups.make(settings, open_blobs(settings), target, pictures=pictures, offsets=offsets, now=AFTER)


def accounts(settings: Settings) -> books.Books:
    with open_database(settings.database_url) as database, database.reading() as connection:
        return books.books(connection, now=AFTER)


def test_what_is_restored_elsewhere_is_what_was_backed_up(line: Settings, empty: Settings, tmp_path: Path) -> None:
    made = back_up(line, tmp_path / "a.tar.gz")
    restored = restore(tmp_path / "a.tar.gz", empty, open_blobs(empty), over=False)
    assert contents(empty.database_url) == contents(line.database_url) == made.database == restored.database
    assert accounts(empty) == accounts(line)
    assert accounts(empty).rows == FRAMES + 1
    old, new = open_blobs(line), open_blobs(empty)
    assert {key: new.get(key) for key in new.keys()} == {  # noqa: SIM118 - a method of the store
        key: old.get(key) for kind in (Kind.FRAME, Kind.MODEL) for key in old.keys(kind)
    }
    assert empty.line_path.read_text() == LINE.to_toml()


def test_a_line_that_lost_everything_goes_on_where_the_backup_ends(line: Settings, tmp_path: Path) -> None:
    with writing_on(line) as done:
        while len(done) < 20:
            threading.Event().wait(0.01)
        before = len(done)
        made = back_up(line, tmp_path / "a.tar.gz")
        after = len(done) + 1
    held = sum(n for name, n in made.database.rows.items() if name.startswith("inspections"))
    assert FRAMES + 1 + before <= held <= FRAMES + 1 + after
    blobs = open_blobs(line)
    for kind in Kind:
        blobs.delete_prefix(kind)
    restore(tmp_path / "a.tar.gz", line, blobs, over=True)
    assert contents(line.database_url) == made.database
    assert accounts(line).rows == accounts(line).counted == held, "rows and counters are of one moment"
    assert blobs.get("model/ring.safetensors") == MODEL
    with open_database(line.database_url) as database, database.writing() as connection:
        again = inspections.record(connection, [inspected(0), inspected(999, MachineVerdict.FAIL)])
    assert {frame.seq for frame in again} == {999}, "what comes again meets its row, what is new is taken"


def test_restoring_twice_is_the_same_as_once(line: Settings, empty: Settings, tmp_path: Path) -> None:
    made = back_up(line, tmp_path / "a.tar.gz")
    for _ in range(2):
        restore(tmp_path / "a.tar.gz", empty, open_blobs(empty), over=True)
    assert contents(empty.database_url) == made.database


def test_rows_in_the_way_are_not_replaced_unasked(line: Settings, tmp_path: Path) -> None:
    back_up(line, tmp_path / "a.tar.gz")
    with open_database(line.database_url) as database, database.writing() as connection:
        inspections.record(connection, [inspected(500)])
    held = contents(line.database_url)
    with pytest.raises(NotAllowed, match="--yes"):
        restore(tmp_path / "a.tar.gz", line, open_blobs(line), over=False)
    assert contents(line.database_url) == held


def test_a_dry_run_counts_every_row_and_changes_nothing(line: Settings, tmp_path: Path) -> None:
    made = back_up(line, tmp_path / "a.tar.gz")
    held = contents(line.database_url)
    assert examine(tmp_path / "a.tar.gz", tmp_path).database == made.database
    assert contents(line.database_url) == held
    assert not list(tmp_path.glob(".flawline*"))


def test_a_manifest_that_promises_other_rows_is_refused_before_anything_changes(
    line: Settings, empty: Settings, tmp_path: Path
) -> None:
    dumped = tmp_path / "books"
    held = dumps.dump(line.database_url, dumped)
    rows = {**held.rows, "products": 7}
    lie = Report("a", "", "", Contents(held.kind, held.revision, rows), None)
    with archives.writing(tmp_path / "a.tar.gz") as archive:
        archive.add_file(archives.DATABASE, dumped)
        archive.finish({"backup": lie.to_json()})
    with pytest.raises(BackupUnusable, match="products 1 instead of 7"):
        restore(tmp_path / "a.tar.gz", empty, open_blobs(empty), over=False)
    with pytest.raises((BackupUnusable, StoreUnavailable), match="products"):  # past the first check, the load's own
        dumps.load(empty.database_url, dumped, lie.database)
    assert contents(empty.database_url).total == 0


@pytest.mark.parametrize(
    ("pictures", "kinds"),
    [(Pictures.NONE, {"model"}), (Pictures.EVIDENCE, {"model", "frame"}), (Pictures.ALL, {"model", "frame", "ring"})],
)
def test_the_pictures_are_those_that_were_asked_for(pictures: Pictures, kinds: set[str], tmp_path: Path) -> None:
    settings = on_files(tmp_path / "line")
    work(settings)
    report = back_up(settings, tmp_path / "a.tar.gz", pictures)
    assert set(report.blobs) == kinds
    assert report.blob_bytes["model"] == len(MODEL)
    if "frame" in kinds:
        assert report.blobs["frame"] == FRAMES


def test_the_manifest_says_what_it_is_and_where_the_groups_stood(tmp_path: Path) -> None:
    settings = on_files(tmp_path / "line")
    work(settings)
    back_up(settings, tmp_path / "a.tar.gz")
    said = verify(tmp_path / "a.tar.gz")["backup"]
    assert said["offsets"] == {"inspection": {"0": 41}}
    assert said["database"]["revision"] == REVISION
    assert said["database"]["rows"]["inspections"] == FRAMES + 1
    assert said["made_at"].startswith("2026-11-26T12:00:00")


def test_nothing_to_back_up_is_said_so_and_leaves_no_file(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "nothing")
    (tmp_path / "to").mkdir()
    with pytest.raises(SettingsInvalid, match="nothing to back up"):
        back_up(settings, tmp_path / "to" / "a.tar.gz")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_backup_of_one_kind_of_database_does_not_go_into_the_other(tmp_path: Path, postgres_url: str) -> None:
    settings = on_files(tmp_path / "line")
    work(settings)
    back_up(settings, tmp_path / "a.tar.gz")
    other = Settings(data=tmp_path / "other", database=DatabaseSettings(url=postgres_url))
    with pytest.raises(SettingsInvalid, match="sqlite database and FLAWLINE_DATABASE__URL names a postgresql one"):
        restore(tmp_path / "a.tar.gz", other, open_blobs(other), over=True)


def test_tables_of_a_newer_version_ask_for_an_update(tmp_path: Path) -> None:
    settings = on_files(tmp_path / "line")
    engine = make_engine(settings.database_url)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    back_up(settings, tmp_path / "a.tar.gz")
    with pytest.raises(BackupUnusable, match=r"revision 9999.*update flawline"):
        restore(tmp_path / "a.tar.gz", settings, open_blobs(settings), over=True)


def test_a_database_with_tables_of_others_is_not_emptied(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(data=tmp_path / "line", database=DatabaseSettings(url=postgres_url))
    work(settings)
    back_up(settings, tmp_path / "a.tar.gz")
    engine = make_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE wages (name text)"))
    engine.dispose()
    held = contents(postgres_url)
    with pytest.raises(SettingsInvalid, match=r"not flawline's.*wages"):
        restore(tmp_path / "a.tar.gz", settings, open_blobs(settings), over=True)
    assert contents(postgres_url) == held


def test_partitions_that_came_after_the_backup_are_gone_and_those_before_are_there(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = Settings(data=tmp_path / "line", database=DatabaseSettings(url=postgres_url))
    work(settings)
    made = back_up(settings, tmp_path / "a.tar.gz")
    assert {"inspections_20261124", "inspections_20261125", "regions_20261124"} <= set(made.database.rows)
    later = ns_of(datetime(2027, 3, 1, 12, tzinfo=UTC))
    far = inspected(700, MachineVerdict.FAIL, captured(700, captured_at=later))
    with open_database(postgres_url) as database, database.writing() as connection:
        inspections.record(connection, [far])
    assert "inspections_20270301" in contents(postgres_url).rows
    restore(tmp_path / "a.tar.gz", settings, open_blobs(settings), over=True)
    assert contents(postgres_url) == made.database
    with open_database(postgres_url) as database, database.writing() as connection:
        assert len(inspections.record(connection, [far])) == 1


def test_a_session_that_holds_a_lock_costs_a_sentence_and_no_row(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(data=tmp_path / "line", database=DatabaseSettings(url=postgres_url))
    work(settings)
    back_up(settings, tmp_path / "a.tar.gz")
    held = contents(postgres_url)
    engine = make_engine(postgres_url)
    with engine.connect() as worker:
        worker.execute(text("SELECT count(*) FROM products"))  # and its transaction stays open
        with pytest.raises(StoreUnavailable, match=r"nothing is changed.*lock"):
            restore(tmp_path / "a.tar.gz", settings, open_blobs(settings), over=True)
    engine.dispose()
    assert contents(postgres_url) == held


def test_the_password_stays_out_of_the_command_line(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_url.replace("flawline@", "flawline:s3c:r\\et'@", 1).replace("\\", "%5C")
    with postgres_dump._target(url) as said:
        assert "s3c" not in said
        name = said.rpartition("passfile='")[2].rstrip("'")
        assert Path(name).read_text() == "*:*:*:*:s3c\\:r\\\\et'\n"
        assert Path(name).stat().st_mode & 0o077 == 0
    assert not Path(name).exists()


def test_a_program_that_is_older_than_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="install postgresql-client-99"):
        postgres_dump._program("pg_dump", least=99)
    with pytest.raises(SettingsInvalid, match="no program pg_nothing here"):
        postgres_dump._program("pg_nothing")


def test_standard_tools_can_read_a_backup_without_flawline(tmp_path: Path) -> None:
    settings = on_files(tmp_path / "line")
    work(settings)
    back_up(settings, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        names = tar.getnames()
        assert names[0] == "database"
        assert names[-2:] == ["members.sha256", "manifest.json"]
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)["format"] == 1
