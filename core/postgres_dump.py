"""PostgreSQL's own programs: pg_dump for a copy, pg_restore and psql to load it. Debian: postgresql-client."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, make_url, text

from core.contents import Contents, counted, snapshot, strangers
from core.errors import BackupUnusable, SettingsInvalid, StoreUnavailable

CHUNK = 1 << 20
_COPY = re.compile(rb'COPY (?:public\.)?"?([\w]+)"? \(.*\) FROM stdin;\n')
_TABLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PLAIN = ("--no-owner", "--no-privileges")  # whoever restores owns what is restored
_EMPTY = "SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;\n"


def dump(url: str, target: Path) -> Contents:
    """One snapshot in pg_dump's custom format, its rows counted in the same snapshot."""
    with snapshot(url) as connection, _target(url) as database:
        held = counted(connection)
        shared = connection.scalar(text("SELECT pg_export_snapshot()"))
        command = [_program("pg_dump", least=_version(connection)), "--format=custom", *_PLAIN, f"--snapshot={shared}"]
        _run([*command, "--file", str(target), "--dbname", database])
    return held


def load(url: str, dumped: Path, rows: Mapping[str, int]) -> None:
    """Everything in one transaction: empty the schema, load, count; psql undoes it all at the first error."""
    with snapshot(url) as connection:
        major = _version(connection)
        if others := strangers(connection):
            raise SettingsInvalid(
                f"the database holds tables that are not flawline's ({', '.join(others[:5])}): it is not emptied; "
                "name a database of its own in FLAWLINE_DATABASE__URL"
            )
    with _target(url) as database, tempfile.TemporaryFile() as complaints:
        psql = [_program("psql", least=major), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", database]
        with subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(_EMPTY.encode())
                _pour(dumped, process.stdin)
                process.stdin.write(_proof(rows).encode())
                process.stdin.close()
            except BrokenPipeError:
                pass  # psql has given up; it says why
            except BaseException:
                process.kill()  # before it reads the end of its input and commits what came so far
                raise
        if process.returncode:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
            raise StoreUnavailable(f"the database cannot be restored; nothing is changed: {said[-600:]}")


def rows_of(dumped: Path) -> dict[str, int]:
    """Counted from the text that pg_restore makes of a dump."""
    rows: dict[str, int] = {}
    table = ""
    for line in _lines(dumped):
        if table:
            if line == b"\\.\n":
                table = ""
            else:
                rows[table] += 1
        elif match := _COPY.fullmatch(line):
            table = match[1].decode()
            rows[table] = 0
    return rows


def _pour(dumped: Path, into: IO[bytes]) -> None:
    with _text_of(dumped) as sql:
        shutil.copyfileobj(sql, into, CHUNK)


def _lines(dumped: Path) -> Iterator[bytes]:
    with _text_of(dumped) as sql:
        yield from sql


@contextmanager
def _text_of(dumped: Path) -> Iterator[IO[bytes]]:
    """The SQL of a dump as it comes. Raises BackupUnusable when pg_restore cannot read it to its end."""
    command = [_program("pg_restore"), *_PLAIN, "--file=-", str(dumped)]
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            complaints.seek(0)
            raise BackupUnusable(
                f"pg_restore cannot read the dump: {complaints.read().decode(errors='replace')[-400:]}"
            )


def _proof(rows: Mapping[str, int]) -> str:
    """SQL that fails unless each table has the rows that it had."""
    if odd := [name for name in rows if not _TABLE.fullmatch(name)]:
        raise BackupUnusable(f"the backup names tables that nobody can mean: {odd[:3]}")
    missing = "  IF (SELECT count(*) FROM public.{0}) <> {1} THEN RAISE EXCEPTION 'rows of {0} are missing'; END IF;"
    checks = "\n".join(missing.format(name, int(n)) for name, n in sorted(rows.items()))
    return f"\nDO $proof$ BEGIN\n{checks}\nEND $proof$;\n"


def _version(connection: Connection) -> int:
    return int(connection.scalar(text("SHOW server_version_num")) or 0) // 10000


def _program(name: str, *, least: int = 0) -> str:
    """The newest version of one of PostgreSQL's programs here. Raises SettingsInvalid where the server is newer."""
    places = [shutil.which(name), *map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found = [(_major(place), place) for place in places if place]
    if not found:
        raise SettingsInvalid(f"no program {name} here; install postgresql-client (in containers: the image `backup`)")
    major, place = max(found)
    if major < least:
        raise SettingsInvalid(
            f"{name} here is of version {major}, the server of version {least}: install postgresql-client-{least}"
        )
    return place


def _major(place: str) -> int:
    said = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)(?:\.\d+)?", said)
    return int(match[1]) if match else 0


@contextmanager
def _target(url: str) -> Iterator[str]:
    """How libpq's programs are told the database; the password travels in a file that only this user reads."""
    parts = make_url(url)
    words = {"host": parts.host, "port": parts.port, "user": parts.username, "dbname": parts.database, **parts.query}
    with tempfile.NamedTemporaryFile("w", prefix="flawline-pass-") as secret:
        if parts.password is not None:
            secret.write("*:*:*:*:" + re.sub(r"([\\:])", r"\\\1", str(parts.password)) + "\n")
            secret.flush()
            words["passfile"] = secret.name
        yield " ".join(f"{name}={_quoted(str(value))}" for name, value in words.items() if value is not None)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise StoreUnavailable(f"{Path(command[0]).name} failed: {done.stderr.strip()[-600:]}")
