from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from core.database import Database, open_database
from core.errors import NotAllowed
from core.messages import FrameId
from core.records import review_queue
from core.records.inspections import record
from core.records.reviews import (
    LEASE,
    Decision,
    call,
    claim,
    effective,
    effective_calls,
    release,
    undo,
    undoable,
)
from core.tables import audit_log, inspections, review_claims, reviews
from core.verdicts import HumanCall, MachineVerdict, Severity
from tests.core.records.conftest import Fresh
from tests.core.records.processes import decide_all
from tests.core.records.rows import NOON, frame_id, inspected, size

FAIL, PASS, REVIEW = MachineVerdict.FAIL, MachineVerdict.PASS, MachineVerdict.REVIEW
GOOD = Decision(call=HumanCall.GOOD)
SCRATCH = Decision(call=HumanCall.DEFECT, defect_class="Scratch", severity=Severity.MAJOR, seconds=2.5)
FIRST = frame_id(0)
LATER = NOON + LEASE


@pytest.fixture
def books(database: Database) -> Iterator[Connection]:
    """Frames 0-11 wait for a call; 12 passed. In one open transaction."""
    with database.writing() as connection:
        record(connection, [inspected(seq, FAIL if seq % 2 == 0 else REVIEW) for seq in range(12)])
        record(connection, [inspected(12, PASS)])
        yield connection


def test_a_frame_is_leased_to_one_reviewer_at_a_time(books: Connection) -> None:
    assert claim(books, FIRST, reviewer="ann", now=NOON)
    assert not claim(books, FIRST, reviewer="bob", now=NOON)
    assert claim(books, frame_id(1), reviewer="bob", now=NOON)


def test_a_lease_is_renewed_by_its_holder_and_returned_when_it_expires(books: Connection) -> None:
    just_before = LATER - timedelta(microseconds=1)
    assert claim(books, FIRST, reviewer="ann", now=NOON)
    assert not claim(books, FIRST, reviewer="bob", now=just_before)
    assert claim(books, FIRST, reviewer="ann", now=just_before)
    assert not claim(books, FIRST, reviewer="bob", now=LATER)
    assert claim(books, FIRST, reviewer="bob", now=just_before + LEASE)


def test_a_lease_is_given_back_by_its_holder_alone(books: Connection) -> None:
    claim(books, FIRST, reviewer="ann", now=NOON)
    release(books, FIRST, reviewer="bob")
    assert not claim(books, FIRST, reviewer="bob", now=NOON)
    release(books, FIRST, reviewer="ann")
    assert claim(books, FIRST, reviewer="bob", now=NOON)


def test_a_call_is_a_row_of_its_own_and_ends_the_lease(books: Connection) -> None:
    claim(books, FIRST, reviewer="ann", now=NOON)
    number = call(books, FIRST, SCRATCH, reviewer="ann", now=NOON)
    stands = effective(books, FIRST)
    assert stands is not None
    assert (stands.id, stands.call, stands.defect_class, stands.severity) == (number, "DEFECT", "Scratch", "MAJOR")
    assert (stands.reviewer, stands.decided_at, stands.seconds, stands.verdict) == ("ann", NOON, 2.5, FAIL)
    assert size(books, review_claims) == 0
    assert books.scalar(select(inspections.c.verdict).where(inspections.c.seq == 0)) == FAIL  # INV-3


@pytest.mark.parametrize(("seq", "kept"), [(0, "FALSE_REJECT"), (1, "FALSE_REJECT"), (12, "GOOD")])
@pytest.mark.parametrize("said", [HumanCall.GOOD, HumanCall.FALSE_REJECT])
def test_the_one_good_key_is_kept_by_what_the_machine_said(
    books: Connection, seq: int, kept: str, said: HumanCall
) -> None:
    call(books, frame_id(seq), Decision(call=said), reviewer="ann", now=NOON)
    stands = effective(books, frame_id(seq))
    assert stands is not None
    assert stands.call == kept


@pytest.mark.parametrize("said", [HumanCall.DEFECT, HumanCall.UNSURE, HumanCall.BAD_IMAGE])
def test_other_calls_are_kept_as_they_are(books: Connection, said: HumanCall) -> None:
    call(books, FIRST, Decision(call=said), reviewer="ann", now=NOON)
    assert effective_calls(books, [FIRST, frame_id(1)])[FIRST].call is said


def test_a_call_on_a_frame_that_another_reviewer_holds_is_refused(books: Connection) -> None:
    claim(books, FIRST, reviewer="ann", now=NOON)
    with pytest.raises(NotAllowed, match="another reviewer has it open"):
        call(books, FIRST, GOOD, reviewer="bob", now=NOON)
    assert size(books, reviews) == 0


def test_a_call_on_a_lost_lease_is_refused(books: Connection) -> None:
    claim(books, FIRST, reviewer="ann", now=NOON)
    claim(books, FIRST, reviewer="bob", now=LATER)
    with pytest.raises(NotAllowed, match="another reviewer has it open"):
        call(books, FIRST, GOOD, reviewer="ann", now=LATER)


def test_a_call_on_an_expired_lease_that_nobody_took_is_accepted(books: Connection) -> None:
    claim(books, FIRST, reviewer="ann", now=NOON)
    call(books, FIRST, GOOD, reviewer="ann", now=NOON + 10 * LEASE)
    assert effective(books, FIRST) is not None


@pytest.mark.parametrize("reviewer", ["ann", "bob"])
def test_a_decided_frame_takes_no_second_call(books: Connection, reviewer: str) -> None:
    call(books, FIRST, GOOD, reviewer="ann", now=NOON)
    assert not claim(books, FIRST, reviewer=reviewer, now=LATER)
    with pytest.raises(NotAllowed, match=r"already decided by ann \(FALSE_REJECT\)"):
        call(books, FIRST, SCRATCH, reviewer=reviewer, now=LATER)
    assert size(books, reviews) == 1


def test_a_refused_call_leaves_no_lease_behind(database: Database) -> None:
    with database.writing() as connection:
        record(connection, [inspected(0, FAIL)])
        call(connection, FIRST, GOOD, reviewer="ann", now=NOON)
    with pytest.raises(NotAllowed), database.writing() as connection:
        call(connection, FIRST, GOOD, reviewer="bob", now=NOON)
    with database.reading() as connection:
        assert size(connection, review_claims) == 0


def test_a_frame_that_is_not_in_the_books_takes_no_call(books: Connection) -> None:
    with pytest.raises(NotAllowed, match="no such frame"):
        call(books, frame_id(99), GOOD, reviewer="ann", now=NOON)


def test_an_undo_is_a_row_that_brings_the_frame_back_to_its_reviewer(books: Connection) -> None:
    number = call(books, FIRST, SCRATCH, reviewer="ann", now=NOON)
    back = undo(books, number, reviewer="ann", now=NOON)
    assert back > number
    assert size(books, reviews) == 2
    assert effective(books, FIRST) is None
    assert not claim(books, FIRST, reviewer="bob", now=NOON)
    again = call(books, FIRST, GOOD, reviewer="ann", now=NOON)
    assert effective_calls(books, [FIRST])[FIRST].id == again


@pytest.mark.parametrize("tries", ["twice", "by another", "an undo", "unknown"])
def test_only_a_standing_call_of_ones_own_can_be_undone(books: Connection, tries: str) -> None:
    number = call(books, FIRST, GOOD, reviewer="ann", now=NOON)
    if tries in {"twice", "an undo"}:
        back = undo(books, number, reviewer="ann", now=NOON)
        number = back if tries == "an undo" else number
    if tries == "unknown":
        number += 100
    with pytest.raises(NotAllowed, match=f"call {number} is not among the last 10 calls"):
        undo(books, number, reviewer="bob" if tries == "by another" else "ann", now=NOON)


def test_the_database_itself_refuses_a_second_undo_and_a_row_that_is_neither(books: Connection) -> None:
    number = call(books, FIRST, GOOD, reviewer="ann", now=NOON)
    row = {"camera": "ring-top", "session": 1, "seq": 0, "captured_at": NOON, "defect_class": "", "reviewer": "ann"}
    row |= {"decided_at": NOON, "verdict": "FAIL"}
    with pytest.raises(IntegrityError, match="call_or_undo"), books.begin_nested():
        books.execute(reviews.insert().values(row))
    books.execute(reviews.insert().values(row | {"undoes": number}))
    with pytest.raises(IntegrityError, match="undoes"):
        books.execute(reviews.insert().values(row | {"undoes": number}))


def test_the_last_ten_calls_can_be_undone_newest_first(books: Connection) -> None:
    numbers = [call(books, frame_id(seq), GOOD, reviewer="ann", now=NOON) for seq in range(11)]
    call(books, frame_id(11), GOOD, reviewer="bob", now=NOON)
    assert [called.id for called in undoable(books, reviewer="ann")] == numbers[:0:-1]
    with pytest.raises(NotAllowed):
        undo(books, numbers[0], reviewer="ann", now=NOON)
    undo(books, numbers[5], reviewer="ann", now=NOON)
    assert [called.id for called in undoable(books, reviewer="ann")] == numbers[:5:-1] + numbers[4:0:-1]


def test_every_call_and_undo_is_in_the_audit_log(books: Connection) -> None:
    number = call(books, FIRST, SCRATCH, reviewer="ann", now=NOON)
    undo(books, number, reviewer="ann", now=LATER)
    called, undone = books.execute(select(audit_log).order_by(audit_log.c.id)).all()
    assert (called.action, called.who, called.subject, called.at) == ("review.call", "ann", str(FIRST), NOON)
    assert called.old is None
    assert called.new == {"review": number, "call": "DEFECT", "class": "Scratch", "severity": "MAJOR"}
    assert (undone.action, undone.at, undone.old["review"], undone.old["call"]) == (
        "review.undo", LATER, number, "DEFECT",
    )  # fmt: skip


def _forty_frames(url: str) -> None:
    with open_database(url) as database, database.writing() as connection:
        record(connection, [inspected(seq, FAIL) for seq in range(40)])


def _each_once(url: str, first: list[int], second: list[int]) -> None:
    assert sorted(first + second) == list(range(40))
    with open_database(url) as database, database.reading() as connection:
        assert size(connection, reviews) == size(connection, audit_log) == 40


def test_of_two_reviewers_in_two_processes_exactly_one_decides_each_frame(
    new_url: Callable[[], str], two_processes: ProcessPoolExecutor
) -> None:
    url = new_url()
    _forty_frames(url)
    ann, bob = (two_processes.submit(decide_all, url, reviewer) for reviewer in ("ann", "bob"))
    _each_once(url, ann.result(60), bob.result(60))


def test_of_two_reviewers_in_two_threads_exactly_one_decides_each_frame(new_url: Callable[[], str]) -> None:
    url = new_url()
    _forty_frames(url)
    with ThreadPoolExecutor(2) as pool:
        ann, bob = (pool.submit(decide_all, url, reviewer) for reviewer in ("ann", "bob"))
        _each_once(url, ann.result(60), bob.result(60))


frames = st.sampled_from([frame_id(seq) for seq in range(3)])
people = st.sampled_from(["ann", "bob"])


class Reviewing(RuleBasedStateMachine):
    """Two reviewers at random; the model keeps who holds and who decided each frame."""

    fresh: Fresh

    def __init__(self) -> None:
        super().__init__()
        self.opened = self.fresh()
        self.database = self.opened.__enter__()
        self.now: datetime = NOON
        self.holders: dict[FrameId, tuple[str, datetime]] = {}
        self.calls: list[tuple[int, FrameId, str]] = []  # standing, in order
        with self.database.writing() as connection:
            record(connection, [inspected(seq, FAIL) for seq in range(3)])

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)

    def decided(self) -> set[FrameId]:
        return {frame for _, frame, _ in self.calls}

    def free(self, frame: FrameId, reviewer: str) -> bool:
        holder, until = self.holders.get(frame, (reviewer, NOON))
        return frame not in self.decided() and (holder == reviewer or until <= self.now)

    @rule(seconds=st.sampled_from([1, 60, 119, 120, 500]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(frame=frames, reviewer=people)
    def claims(self, frame: FrameId, reviewer: str) -> None:
        with self.database.writing() as connection:
            got = claim(connection, frame, reviewer=reviewer, now=self.now)
        assert got == self.free(frame, reviewer)
        if got:
            self.holders[frame] = (reviewer, self.now + LEASE)

    @rule(frame=frames, reviewer=people)
    def calls_it(self, frame: FrameId, reviewer: str) -> None:
        try:
            with self.database.writing() as connection:
                number = call(connection, frame, GOOD, reviewer=reviewer, now=self.now)
        except NotAllowed:
            assert not self.free(frame, reviewer)
            return
        assert self.free(frame, reviewer)
        self.holders.pop(frame, None)
        self.calls.append((number, frame, reviewer))

    @rule(reviewer=people)
    def undoes_the_last(self, reviewer: str) -> None:
        with self.database.writing() as connection:
            own = undoable(connection, reviewer=reviewer)
            if own:
                undo(connection, own[0].id, reviewer=reviewer, now=self.now)
        mine = [each for each in self.calls if each[2] == reviewer]
        assert [called.id for called in own] == [number for number, _, _ in reversed(mine)]
        if mine:
            self.calls.remove(mine[-1])
            self.holders[mine[-1][1]] = (reviewer, self.now + LEASE)

    @invariant()
    def the_queue_holds_what_nobody_decided(self) -> None:
        with self.database.reading() as connection:
            assert review_queue.counts(connection).total == 3 - len(self.decided())
            for reviewer in ("ann", "bob"):
                shown = {i.frame for i in review_queue.queue(connection, reviewer=reviewer, now=self.now)}
                assert shown == {frame_id(s) for s in range(3) if self.free(frame_id(s), reviewer)}


def test_whatever_two_reviewers_do_each_frame_is_held_and_decided_by_one_at_most(fresh: Fresh) -> None:
    machine = type("OnThisDatabase", (Reviewing,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=12, deadline=None))
