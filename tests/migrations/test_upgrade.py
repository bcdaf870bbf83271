import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, select

from core.database import make_engine, open_database
from core.errors import SettingsInvalid, StoreUnavailable
from core.line import Camera, line_of
from core.records import line, models
from core.tables import REVISION, audit_log, metadata, products, reviews
from migrations.upgrade import current, downgrade, head, script, upgrade

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/er/books.sqlite"


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


def test_an_upgrade_makes_the_folder_the_file_and_all_tables(url: str) -> None:
    assert current(url) is None
    assert upgrade(url) == REVISION
    assert current(url) == REVISION
    with open_database(url) as database, database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(products)) == 0


def test_an_upgrade_from_nothing_gives_the_tables_that_the_code_describes(url: str, tmp_path: Path) -> None:
    upgrade(url)
    with open_database(url) as database, database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    other = f"sqlite:///{tmp_path}/described.sqlite"
    engine = make_engine(other)
    with engine.execution_options(writes=True).begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    assert schema(url) == schema(other)  # CHECKs and partial indexes too, which Alembic does not compare


def test_an_upgrade_again_changes_nothing(url: str) -> None:
    upgrade(url)
    before = schema(url)
    with open_database(url) as database, database.writing() as connection:
        connection.execute(insert(products).values(name="ring", created_at=NOON))
    assert upgrade(url) == REVISION
    assert schema(url) == before
    with open_database(url) as database, database.reading() as connection:
        assert connection.scalars(select(products.c.name)).all() == ["ring"]


def test_down_and_up_again_with_rows_present(url: str) -> None:
    upgrade(url)
    before = schema(url)
    candidate = models.NewModel(product="ring", blob="b", sha256="s", size=1, recipe_version=1, manifest={}, metrics={})
    row = {"camera": "a", "session": 1, "seq": 0, "captured_at": NOON, "defect_class": "", "reviewer": "ann"}
    row |= {"decided_at": NOON, "verdict": "FAIL"}
    with open_database(url) as database, database.writing() as connection:
        line.register(connection, line_of([Camera(name="a", product="ring", source="folder:/a")]), now=NOON)
        models.register(connection, candidate, who="trainer", now=NOON)
        connection.execute(insert(reviews).values(row | {"call": "DEFECT"}))
        connection.execute(insert(reviews).values(row | {"undoes": 1}))
    assert downgrade(url, "base") == "base"
    assert schema(url) == set()
    with pytest.raises(SettingsInvalid, match="no tables of flawline"):
        open_database(url)
    assert upgrade(url) == REVISION
    assert schema(url) == before
    with open_database(url) as database, database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(audit_log)) == 0


def test_a_newer_or_unknown_revision_is_refused(url: str) -> None:
    upgrade(url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsInvalid, match="9999"):
        upgrade(url)
    assert current(url) == "9999"


def test_an_upgrade_that_cannot_get_the_lock_says_so_and_leaves_the_file_alone(url: str) -> None:
    upgrade(url)
    downgrade(url, "base")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds its lock"):
            upgrade(url, busy_seconds=0.1)
        raw.execute("ROLLBACK")
    assert current(url) is None


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot make the folder of"):
        upgrade(f"sqlite:///{tmp_path}/file/books.sqlite")


def test_processes_that_upgrade_at_once_from_another_folder_all_succeed(url: str, tmp_path: Path) -> None:
    code = "import sys; from migrations.upgrade import upgrade; print(upgrade(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, url]
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (out.decode().strip(), err.decode()) == (REVISION, "")
    open_database(url).close()


def test_the_script_makes_the_same_tables_without_touching_a_database(url: str, tmp_path: Path) -> None:
    upgrade(url)
    other = tmp_path / "by-hand.sqlite"
    with closing(sqlite3.connect(other)) as raw:
        raw.executescript(script(f"sqlite:///{tmp_path}/never.sqlite"))
    assert schema(f"sqlite:///{other}") == schema(url)
    assert current(f"sqlite:///{other}") == REVISION
    assert not (tmp_path / "never.sqlite").exists()


def test_the_alembic_command_itself_works_from_the_settings_without_an_ini_file(tmp_path: Path) -> None:
    environment = os.environ | {"FLAWLINE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    assert current(f"sqlite:///{tmp_path}/flawline.sqlite") == REVISION
