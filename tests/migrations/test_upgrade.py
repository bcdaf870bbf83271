import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, inspect, select, text

import core.account_tables
import core.alert_tables  # noqa: F401 - both put their tables on the metadata
from cli.services.plant import Services
from core.broker.protocol import Message, Partition
from core.database import make_engine, open_database, take_turns
from core.errors import SettingsInvalid, StoreUnavailable
from core.line import Camera, line_of
from core.partitions import next_missing
from core.records import line, models
from core.records.books import books
from core.records.inspections import record, reject
from core.settings import DatabaseSettings, Settings
from core.tables import REVISION, audit_log, inspections, metadata, products, regions, reviews
from core.verdicts import MachineVerdict
from migrations.upgrade import comparing, current, downgrade, head, prepare, script, upgrade
from tests.core.records.rows import inspected
from tests.servers import postgres_of

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/er/books.sqlite"


@pytest.fixture
def server_url(servers: Services) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with postgres_of(servers) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def each(request: pytest.FixtureRequest) -> str:
    """The URL of a database without tables, of each kind."""
    found: str = request.getfixturevalue({"sqlite": "url", "postgresql": "server_url"}[request.param])
    return found


def tables_of(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return set(inspect(connection).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def differences(url: str) -> list[object]:
    """Between the tables that are there and those that the code describes, as Alembic would see them."""
    with open_database(url) as database, database.reading() as connection:
        options = comparing(connection.dialect.name) | {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def schema(url: str) -> set[str]:
    """Every table and index as SQLite keeps it, without the spaces and quotes that differ by who wrote it."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
        found = [sql for (sql,) in raw.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    return {statement for statement in map(_plain, found) if "alembic_version" not in statement}


def _plain(sql: str) -> str:
    """One statement, with the columns and constraints of a table in alphabetical order."""
    words = re.sub(r"\s*([(),])\s*", r"\1", re.sub(r'[\s"]+', " ", sql)).strip()
    name, _, body = words.partition("(")
    if not name.startswith("CREATE TABLE"):
        return words
    depth, parts = 0, [""]
    for letter in body.removesuffix(")"):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return f"{name} {sorted(parts)}"


def test_the_tables_know_the_newest_revision() -> None:
    assert head() == REVISION


def test_an_upgrade_makes_what_is_missing_and_all_tables(each: str) -> None:
    assert current(each) is None
    assert upgrade(each) == REVISION
    assert current(each) == REVISION
    assert tables_of(each) == set(metadata.tables)
    with open_database(each) as database, database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(products)) == 0


def test_an_upgrade_from_nothing_gives_the_tables_that_the_code_describes(url: str, tmp_path: Path) -> None:
    upgrade(url)
    assert differences(url) == []
    other = f"sqlite:///{tmp_path}/described.sqlite"
    engine = make_engine(other)
    with engine.execution_options(writes=True).begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    assert schema(url) == schema(other)  # CHECKs and partial indexes too, which Alembic does not compare


def test_postgresql_has_the_same_tables_with_partitions_and_rows_present(server_url: str) -> None:
    upgrade(server_url)
    assert differences(server_url) == []
    _fill(server_url)
    assert len(tables_of(server_url)) > len(metadata.tables)
    assert differences(server_url) == []  # partitions are nobody's business


def test_postgresql_has_every_check_and_index_that_the_code_describes(server_url: str, servers: Services) -> None:
    upgrade(server_url)
    with postgres_of(servers) as other:
        engine = make_engine(other)
        with engine.begin() as connection:
            metadata.create_all(connection)
        engine.dispose()
        assert _described(server_url) == _described(other)


def _described(url: str) -> set[tuple[str, ...]]:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(
                text(
                    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                    " WHERE connamespace = 'public'::regnamespace"
                    " UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
                    " UNION ALL SELECT relname, '', coalesce(pg_get_partkeydef(oid), '') FROM pg_class"
                    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                )
            ).all()
    finally:
        engine.dispose()
    return {tuple(row) for row in found if not row[0].startswith("alembic_version")}


def test_an_upgrade_again_changes_nothing(each: str) -> None:
    upgrade(each)
    before = tables_of(each)
    _fill(each)
    assert upgrade(each) == REVISION
    assert tables_of(each) >= before
    with open_database(each) as database, database.reading() as connection:
        assert connection.scalars(select(products.c.name)).all() == ["ring"]
        assert connection.scalar(select(func.count()).select_from(inspections)) == 2


def _fill(url: str) -> None:
    """Rows in the tables that others reference, that are partitioned, and that have rules of their own."""
    candidate = models.NewModel(product="ring", blob="b", sha256="s", size=1, recipe_version=1, manifest={}, metrics={})
    row = {"camera": "a", "session": 1, "seq": 0, "captured_at": NOON, "defect_class": "", "reviewer": "ann"}
    row |= {"decided_at": NOON, "verdict": "FAIL"}
    with open_database(url) as database, database.writing() as connection:
        line.register(connection, line_of([Camera(name="a", product="ring", source="folder:/a")]), now=NOON)
        models.register(connection, candidate, who="trainer", now=NOON)
        record(connection, [inspected(0, MachineVerdict.FAIL), inspected(1)])
        connection.execute(insert(reviews).values(row | {"call": "DEFECT"}))
        connection.execute(insert(reviews).values(row | {"undoes": 1}))
        reject(connection, Message(Partition("frames", 0), 0, "", b"", (), 0), detail="no camera", now=NOON)


def test_down_and_up_again_with_rows_present(each: str) -> None:
    upgrade(each)
    before = tables_of(each)
    _fill(each)
    assert downgrade(each, "base") == "base"
    assert tables_of(each) == set()  # partitions too
    with pytest.raises(SettingsInvalid, match="no tables of flawline"):
        open_database(each)
    assert upgrade(each) == REVISION
    assert tables_of(each) == before
    with open_database(each) as database, database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(audit_log)) == 0


REVISIONS = sorted(path.name[1:5] for path in (ROOT / "migrations" / "versions").glob("r0*.py"))


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_each_revision_goes_down_and_up_with_rows_present(each: str, revision: str) -> None:
    upgrade(each)
    _fill(each)
    earlier = REVISIONS[REVISIONS.index(revision) - 1]
    assert downgrade(each, earlier) == earlier
    assert upgrade(each) == REVISION
    assert differences(each) == []
    with open_database(each) as database, database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(inspections)) == 2


def test_models_of_before_there_were_cards_have_none_and_take_one(each: str) -> None:
    upgrade(each)
    _fill(each)
    downgrade(each, "0004")
    upgrade(each)
    with open_database(each) as database, database.writing() as connection:
        (row,) = models.versions(connection, "ring")
        assert row.card is None
        assert models.add_card(connection, row.id, {"edition": 1}, who="x", now=NOON).card == {"edition": 1}
    downgrade(each, "0004")
    upgrade(each)
    with open_database(each) as database, database.reading() as connection:
        assert [row.card for row in models.versions(connection, "ring")] == [None]


def test_rows_of_before_golden_parts_and_scales_read_as_having_none(each: str) -> None:
    upgrade(each, "0005")
    engine = make_engine(each)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT count(*) FROM regions"))
    finally:
        engine.dispose()
    upgrade(each)
    _fill(each)
    downgrade(each, "0005")
    upgrade(each)
    with open_database(each) as database, database.reading() as connection:
        assert connection.scalars(select(inspections.c.golden)).all() == [None, None]
        assert connection.scalars(select(regions.c.area_mm2)).all() == [None]


def test_a_partition_that_was_detached_before_an_upgrade_can_be_attached_again(server_url: str) -> None:
    upgrade(server_url)
    _fill(server_url)
    downgrade(server_url, "0005")
    engine = make_engine(server_url)
    try:
        with engine.begin() as connection:
            for table in ("inspections", "regions"):
                connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {table}_20261124"))
    finally:
        engine.dispose()
    upgrade(server_url)
    with open_database(server_url) as database, database.writing() as connection:
        assert record(connection, [inspected(2)])  # it makes the partition of that day, and finds the detached one
        assert connection.scalar(select(func.count()).select_from(inspections)) == 3


def rejected_at(url: str) -> list[tuple[int, str]]:
    """The place and words of each rejected message."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(text('SELECT "offset", detail FROM rejected_frames ORDER BY detail')).all()
            return [(row[0], row[1]) for row in found]
    finally:
        engine.dispose()


def test_no_rejected_message_is_lost_when_offsets_that_began_again_go_down_and_up(each: str) -> None:
    """Revision 0003 takes one message for each offset: the others stand below 0 there, and are counted."""
    upgrade(each)
    of_frames = Partition("frames", 0)
    for turn in range(2):
        with open_database(each) as database, database.writing() as connection:
            for n, offset in enumerate((0, 1, 1, 1, 2)):
                message = Message(of_frames, offset, "", bytes([n]), (), (turn * 9 + n) * 1000)
                assert reject(connection, message, detail=f"{turn} {n}", now=NOON)
            assert reject(
                connection, Message(Partition("cameras", 0), 1, "", b"", (), turn * 1000), detail="z", now=NOON
            )
        before = rejected_at(each)
        downgrade(each, "0003")
        down = rejected_at(each)
        assert [detail for _, detail in down] == [detail for _, detail in before]
        assert len({offset for offset, detail in down if detail != "z"}) == len(before) - turn - 1
        assert upgrade(each) == REVISION
        assert rejected_at(each) == down
    with open_database(each) as database, database.reading() as connection:
        assert books(connection, now=NOON).rejected == 10


def test_preparing_makes_the_tables_and_the_partitions_ahead(each: str) -> None:
    settings = Settings(database=DatabaseSettings(url=each, partitions_ahead=3))
    assert prepare(settings, now=NOON) == REVISION
    assert prepare(settings, now=NOON) == REVISION
    with open_database(each) as database, database.reading() as connection:
        first = next_missing(connection, now=NOON)
    assert first == (None if each.startswith("sqlite") else datetime(2026, 11, 28, tzinfo=UTC))


def test_an_upgrade_that_breaks_off_leaves_nothing(each: str) -> None:
    """Even on PostgreSQL, whose tables are made in the same transaction."""
    with pytest.raises(SettingsInvalid, match="7777"):
        upgrade(each, "7777")
    assert tables_of(each) == set()
    assert current(each) is None


def test_a_newer_or_unknown_revision_is_refused(each: str) -> None:
    upgrade(each)
    with open_database(each) as database, database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsInvalid, match="9999"):
        upgrade(each)
    assert current(each) == "9999"


def test_an_upgrade_that_cannot_get_the_lock_says_so_and_leaves_the_file_alone(url: str) -> None:
    upgrade(url)
    downgrade(url, "base")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds its lock"):
            upgrade(url, busy_seconds=0.1)
        raw.execute("ROLLBACK")
    assert current(url) is None


def test_an_upgrade_while_another_one_runs_waits_for_its_turn(server_url: str) -> None:
    engine = make_engine(server_url)
    with engine.begin() as connection:
        take_turns(connection, ["upgrade"])
        with pytest.raises(StoreUnavailable, match="another transaction holds its lock"):
            upgrade(server_url, busy_seconds=0.2)
    engine.dispose()
    assert tables_of(server_url) == set()
    assert upgrade(server_url) == REVISION


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot make the folder of"):
        upgrade(f"sqlite:///{tmp_path}/file/books.sqlite")


def test_processes_that_upgrade_at_once_from_another_folder_all_succeed(each: str, tmp_path: Path) -> None:
    code = "import sys; from migrations.upgrade import upgrade; print(upgrade(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, each]
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (out.decode().strip(), err.decode()) == (REVISION, "")
    open_database(each).close()


def test_the_script_makes_the_same_tables_without_touching_a_database(url: str, tmp_path: Path) -> None:
    upgrade(url)
    other = tmp_path / "by-hand.sqlite"
    with closing(sqlite3.connect(other)) as raw:
        raw.executescript(script(f"sqlite:///{tmp_path}/never.sqlite"))
    assert schema(f"sqlite:///{other}") == schema(url)
    assert current(f"sqlite:///{other}") == REVISION
    assert not (tmp_path / "never.sqlite").exists()


def test_the_script_makes_the_same_tables_on_postgresql(server_url: str, servers: Services) -> None:
    upgrade(server_url)
    with postgres_of(servers) as other:
        engine = make_engine(other)
        with engine.begin() as connection:
            connection.exec_driver_sql(script("postgresql+psycopg2://nobody@nowhere/never"))
        engine.dispose()
        assert _described(other) == _described(server_url)
        assert current(other) == REVISION


def test_the_alembic_command_itself_works_from_the_settings_without_an_ini_file(tmp_path: Path) -> None:
    environment = os.environ | {"FLAWLINE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    assert current(f"sqlite:///{tmp_path}/flawline.sqlite") == REVISION
