"""The journal: parts under way, routes, orders, and who was told what."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import StoreUnavailable
from workers.gate.journal import BOOKS, KEPT, KEPT_ENTRIES, Journal


def fill(journal: Journal, first: int, last: int, *, views: int = 1) -> None:
    with journal.writing():
        for n in range(first, last):
            journal.routed(("g", 1, n), f"{n}".encode(), part_id=str(n), views=views)


def bodies(journal: Journal, target: str, most: int = 64) -> list[str]:
    return [entry.body.decode() for entry in journal.waiting(target, most=most)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gates" / "g.sqlite"


def test_parts_under_way_outlive_the_process_until_they_have_their_route(path: Path) -> None:
    with Journal(path) as journal, journal.writing():
        journal.under_way(1, 0, {"seq": 7})
        journal.under_way(1, 1, {"seq": 8})
        journal.under_way(1, 0, {"seq": 7, "action": "REJECT"})
        journal.routed(("g", 1, 1), b"there", part_id="8", views=1)
    with Journal(path) as journal:
        assert journal.left_over() == [(1, 0, {"seq": 7, "action": "REJECT"})]


def test_a_route_is_told_once_however_often_it_is_written(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS])
        fill(journal, 0, 2)
        fill(journal, 0, 3)
        assert bodies(journal, BOOKS) == ["0", "1", "2"]


def test_each_target_has_its_own_place_in_the_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS, "mqtt"])
        fill(journal, 0, 5)
        journal.told(BOOKS, journal.waiting(BOOKS)[2].id)
        journal.told(BOOKS, 1)
        assert bodies(journal, BOOKS) == ["3", "4"]
        assert bodies(journal, "mqtt", most=2) == ["0", "1"]
        assert journal.backlog() == {BOOKS: 2, "mqtt": 5}


def test_a_new_listener_is_told_from_now_on_and_the_books_everything(path: Path) -> None:
    with Journal(path) as journal:
        fill(journal, 0, 3)
        journal.targets([BOOKS, "webhook"])
        fill(journal, 3, 4)
        assert bodies(journal, BOOKS) == ["0", "1", "2", "3"]
        assert bodies(journal, "webhook") == ["3"]
        journal.targets([BOOKS])
        assert journal.backlog().keys() == {BOOKS}


def write_by_half(journal: Journal) -> None:
    with journal.writing():
        journal.under_way(1, 0, {})
        journal.under_way(1, 1, {"no JSON": object()})


def test_what_is_written_together_is_there_together_or_not_at_all(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(TypeError):
            write_by_half(journal)
        assert journal.left_over() == []


def test_orders_are_taken_once_and_in_order(path: Path) -> None:
    with Journal(path) as giver, Journal(path) as gate:
        first, second = giver.order({"kind": "a"}), giver.order({"kind": "b"})
        assert not giver.is_taken(first)
        assert gate.take_orders() == [{"kind": "a"}, {"kind": "b"}]
        assert gate.take_orders() == []
        assert giver.is_taken(second)
        assert not giver.withdraw(second)


def test_an_order_that_nobody_read_can_be_taken_back(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.withdraw(journal.order({"kind": "a"}))
        assert journal.take_orders() == []


def test_the_ids_whose_pictures_may_still_come(path: Path) -> None:
    with Journal(path) as journal:
        fill(journal, 0, 2, views=1)
        fill(journal, 2, 4, views=2)
        assert journal.owed(2) == ["0", "1"]
        assert journal.owed(1) == []
        assert journal.owed(2, most=3) == ["1"]


def test_what_everybody_has_goes_but_for_the_newest(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS, "mqtt"])
        fill(journal, 0, KEPT + 100)
        for target in (BOOKS, "mqtt"):
            journal.told(target, KEPT + 100)
        assert journal.make_room() == 0
        assert len(journal.newest_routes(10 * KEPT)) == KEPT
        assert journal.newest_routes(1)[0].body == str(KEPT + 99).encode()


def note(journal: Journal, n: int) -> None:
    with journal.writing():
        for each in range(n):
            journal.note("alarm", f"a{each}", b"")


def test_a_commit_that_fails_takes_all_back_and_the_next_one_works(path: Path) -> None:
    def deny(action: int, name: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and name == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    with Journal(path) as journal:
        journal.targets([BOOKS])
        journal._raw.set_authorizer(deny)
        with pytest.raises(StoreUnavailable):
            fill(journal, 0, 3)
        journal._raw.set_authorizer(None)
        fill(journal, 10, 12)
        assert [entry.body for entry in journal.waiting(BOOKS)] == [b"10", b"11"]


def test_alarms_and_states_never_crowd_out_the_routes_that_the_next_run_needs(path: Path) -> None:
    """A line that stands for weeks while its alarms come and go."""
    with Journal(path) as journal:
        journal.targets([BOOKS])
        fill(journal, 0, 10)
        note(journal, KEPT + 100)
        journal.told(BOOKS, KEPT + 110)
        journal.make_room()
        assert len(journal.newest_routes(KEPT)) == 10
        assert journal.owed(2) == [str(n) for n in range(10)]


def test_but_no_journal_grows_without_bound_for_them(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS])
        note(journal, KEPT_ENTRIES + 500)
        journal.told(BOOKS, KEPT_ENTRIES + 500)
        journal.make_room()
        journal._raw.execute("UPDATE cursors SET done = 0")
        assert len(journal.waiting(BOOKS, most=2 * KEPT_ENTRIES)) == KEPT_ENTRIES


def test_a_dead_listener_holds_up_to_the_bound_and_no_more(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS, "mqtt"])
        fill(journal, 0, KEPT + 1000)
        journal.told(BOOKS, KEPT + 1000)
        assert journal.make_room(most=KEPT + 400) == 600
        assert bodies(journal, "mqtt")[0] == "600"
        assert journal.make_room(most=KEPT + 400) == 0


def test_nothing_is_ever_dropped_for_the_books(path: Path) -> None:
    with Journal(path) as journal:
        journal.targets([BOOKS])
        fill(journal, 0, 100)
        with pytest.raises(StoreUnavailable, match="full"):
            journal.make_room(most=50)
        assert len(journal.waiting(BOOKS, most=1000)) == 100


def test_another_process_that_holds_the_file_does_not_hold_the_gate(path: Path) -> None:
    with Journal(path, busy_seconds=0.01) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"), journal.writing():
            pass
        other.execute("ROLLBACK")
        other.close()
        with journal.writing():
            journal.under_way(1, 0, {})


def test_a_journal_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="journal"):
        Journal(tmp_path / "file" / "g.sqlite")
    (tmp_path / "noise").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailable, match="noise"):
        Journal(tmp_path / "noise")


def test_a_kill_in_the_middle_leaves_whole_transactions(path: Path) -> None:
    program = (
        "import sys, os, signal; from pathlib import Path; from workers.gate.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.targets(['books'])\n"
        "for n in range(10**6):\n"
        "    with journal.writing():\n"
        "        journal.under_way(1, n, {}); journal.routed(('g', 1, n), b'x', part_id='p', views=1)\n"
        "        if n == 50: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -9
    with Journal(path) as journal:
        assert len(journal.waiting(BOOKS)) == 50
        assert journal.left_over() == []
