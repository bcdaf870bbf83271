"""The rules of the watch: from facts to what needs a person (domain.md §3.2, §9.1). Pure: no I/O, no clock.

Each rule gives a cause for each thing that is wrong now. Frames that were judged long after their capture, from a
spool or a backlog, and runs other than production never are (INV-6, INV-9): the facts hold live frames alone.
"""

from collections.abc import Iterator
from datetime import timedelta

from core.alarms import Cause, Kind, Severity
from core.verdicts import MachineVerdict, NoVerdictReason
from workers.facts import Away, Camera, Facts, Told
from workers.store_rules import REJECTED, STORE_RULES, many, span

SILENT_AFTER = timedelta(seconds=20)  # VM-16
RUNNING_WITHIN = timedelta(seconds=6)  # a process that runs reports each second
IN_A_ROW = 3  # domain.md §3.2
MOST_UNJUDGED, OF_FRAMES = 5, 1000  # 0.5 % of the last 1000 †, domain.md §3.2
_OF_GATES = {  # codes that a gate tells with each part: what happened, what it means, what to do
    Kind.GATE_FAULT: ("it has a fault", "It accepts no part until that is mended.", "Check the gate and its PLC."),
    Kind.BIN_FULL: ("the reject bin is full", "Rejected parts can no longer leave the line.", "Empty the bin."),
    Kind.BIN_OPEN: ("the reject bin is open", "Rejected parts can be taken out again.", "Close and lock the bin."),
    Kind.LOW_AIR: ("the air is low", "The actuator may not push parts out.", "Check the compressed air."),
    Kind.WRONG_PRODUCT: ("another product runs than is judged", "No part is accepted.",
                         "Set PLC and recipe to the same product."),
    Kind.CONSECUTIVE_REJECT: ("several parts in a row failed", "The process may have changed.",
                              "Look at the last rejects; call the line lead."),
    Kind.CHALLENGE_OVERDUE: ("the last passed challenge is too old", "No part is accepted until one is passed.",
                             "Run the challenge parts."),
    Kind.CHALLENGE_DUE: ("a challenge is due", "Soon no part will be accepted.", "Run the challenge parts."),
    Kind.BYPASS_ACTIVE: ("a bypass is active", "Parts go by whatever their verdict.",
                         "Keep up the other control that was agreed."),
    Kind.BYPASS_EXPIRED: ("the bypass has ended by itself", "Parts are inspected again; none is accepted unproved.",
                          "Run the challenge parts."),
    Kind.TRIGGER_MISMATCH: ("triggers and pictures do not belong together", "Such parts are rejected.",
                            "Check the trigger sensor and the camera's trigger."),
}  # fmt: skip
_OF_REPORTS = {  # codes that a capture process tells itself: what happened, what it means, what to do
    Kind.SPOOL_FULL: ("The spool of {camera} is full", "The station does as its setting says: stop, or divert parts.",
                      "Bring the broker back; until then no picture of this camera is taken."),
    Kind.SPOOL_80: ("The spool of {camera} is nearly full", "Pictures wait on the station's disk, none is lost yet.",
                    "Bring the broker back, or stop the station before the spool is full."),
    Kind.CLOCK_OFFSET: ("The clock of {camera} is off", "Deadlines do not depend on it, the times on record do.",
                        "Check the time service of that machine."),
}  # fmt: skip


def causes(facts: Facts) -> list[Cause]:
    """Everything that needs a person now."""
    return [cause for rule in (*LINE_RULES, *STORE_RULES) for cause in rule(facts)]


def looked_at(facts: Facts) -> frozenset[Kind]:
    """The kinds of which the facts can tell that their cause has gone."""
    blind: set[Kind] = set()
    if isinstance(facts.log, Away):
        blind |= {Kind.NOT_INSPECTING, Kind.LAG, Kind.RETENTION_HALF, Kind.DEAD_LETTERS, *_TOLD_BY_CAMERAS}
    elif facts.log.reports_waiting:
        blind |= _TOLD_BY_CAMERAS
    if facts.silent is None:
        blind.add(Kind.WORKER_MISSING)
    if not facts.disks:
        blind |= {Kind.DISK_85, Kind.DISK_95}
    return frozenset(Kind) - blind


_TOLD_BY_CAMERAS = {Kind.CAMERA_LOST, Kind.TWO_SESSIONS, *_OF_REPORTS}


def _cameras(facts: Facts) -> Iterator[Cause]:
    """A camera that is lost or silent; while its reports cannot be read, nobody knows."""
    if isinstance(facts.log, Away) or facts.log.reports_waiting:
        return
    for camera in facts.line.cameras:
        newest = camera.told[0] if camera.told else None
        if newest is None:
            if facts.now - camera.since > SILENT_AFTER:
                why = f"It has never reported. {REJECTED}"
                yield _lost(camera, "has not been started", why, "Start its capture process: flawline up.")
        elif newest.state == "LOST":
            why = f"{_capital(newest.detail or 'it does not answer')}; it is being tried again. {REJECTED}"
            yield _lost(camera, "is lost", why, "Check power and cable at the camera.")
        elif newest.state != "ENDED" and facts.now - newest.reported_at > SILENT_AFTER:
            why = f"Its capture process has not reported for {span(facts.now - newest.reported_at)}. {REJECTED}"
            yield _lost(camera, "is silent", why, "Check that its capture process and its machine run.")


def _lost(camera: Camera, is_so: str, why: str, do: str) -> Cause:
    return Cause(kind=Kind.CAMERA_LOST, subject=camera.name, what=f"{camera.name} {is_so}", why=why, do=do)


def _alive(camera: Camera, facts: Facts) -> list[Told]:
    return [t for t in camera.told if t.state != "ENDED" and facts.now - t.reported_at <= RUNNING_WITHIN]


def _two_sessions(facts: Facts) -> Iterator[Cause]:
    for camera in facts.line.cameras:
        running = _alive(camera, facts)
        if len(running) > 1:
            hosts = ", ".join(sorted({told.host or "a machine without a name" for told in running}))
            yield Cause(
                kind=Kind.TWO_SESSIONS, subject=camera.name,
                what=f"{len(running)} processes take pictures of {camera.name}",
                why=f"They run on {hosts}. Each part is judged twice under two identities, the counts are wrong.",
                do="Stop all but one of them.", detail={"sessions": [told.session for told in running]})  # fmt: skip


def _reported(facts: Facts) -> Iterator[Cause]:
    """What the capture processes tell of themselves, one line for each code: `CODE: text`."""
    for camera in facts.line.cameras:
        lines = (line.partition(":") for told in _alive(camera, facts) for line in told.alarm.splitlines())
        said = {code.strip(): text.strip().rstrip(".") for code, _, text in lines}
        for code, (what, why, do) in _OF_REPORTS.items():
            if code in said:
                means = f"{_capital(said[code])}. {why}" if said[code] else why
                yield Cause(kind=code, subject=camera.name, what=what.format(camera=camera.name), why=means, do=do)


def _qualified(facts: Facts) -> Iterator[Cause]:
    for product in sorted({camera.product for camera in facts.line.cameras} - facts.line.qualified):
        yield Cause(
            kind=Kind.NOT_QUALIFIED, subject=product, what=f"No model judges {product}",
            why="Its parts get NO VERDICT and are rejected.",
            do=f"Activate a model on the Models page, or learn one: flawline onboard {product} FOLDER.")  # fmt: skip


def _invalid_run(facts: Facts) -> Iterator[Cause]:
    for camera in facts.line.cameras:
        newest = camera.judged[:IN_A_ROW]
        if len(newest) == IN_A_ROW and all(one.verdict == MachineVerdict.INVALID for one in newest):
            yield Cause(
                kind=Kind.IMAGE_INVALID_RUN, subject=camera.name,
                what=f"The last {IN_A_ROW} pictures of {camera.name} could not be used",
                why=f"Reason: {newest[0].reason}. {REJECTED}", do="Check light, focus and the lens at the camera.",
                detail={"reasons": [one.reason for one in newest]})  # fmt: skip


def _unjudged(facts: Facts) -> Iterator[Cause]:
    """Parts that the system owes their verdict: three in a row, or more than 0.5 % of the last 1000."""
    for camera in facts.line.cameras:
        told = NoVerdictReason.NOT_QUALIFIED if camera.product not in facts.line.qualified else ""  # by another rule
        owed = [one for one in camera.judged[:OF_FRAMES] if one.verdict == MachineVerdict.NO_VERDICT]
        missing = [one for one in owed if one.reason != told]
        newest = camera.judged[:IN_A_ROW]
        run = len(newest) == IN_A_ROW and all(one in missing and one.reason != NoVerdictReason.LATE for one in newest)
        if not run and len(missing) <= MOST_UNJUDGED:
            continue
        of = min(OF_FRAMES, len(camera.judged))
        yield Cause(
            kind=Kind.NO_VERDICT_RATE, subject=camera.name,
            what=f"{len(missing)} of the last {of} parts of {camera.name} have no verdict",
            why=f"Newest reason: {missing[0].reason}. They are rejected.",
            do="See the reasons on the Line page; check the inspection workers: flawline doctor.",
            detail={"parts": len(missing), "of": of})  # fmt: skip


def _late(facts: Facts) -> Iterator[Cause]:
    """Verdicts after their deadline; three in a row are red."""
    for camera in facts.line.cameras:
        late = [one for one in camera.judged[:OF_FRAMES] if one.reason == NoVerdictReason.LATE]
        if not late:
            continue
        newest = camera.judged[:IN_A_ROW]
        run = len(newest) == IN_A_ROW and all(one.reason == NoVerdictReason.LATE for one in newest)
        yield Cause(
            kind=Kind.LATE_VERDICT, subject=camera.name, severity=Severity.RED if run else None,
            what=f"Verdicts of {camera.name} come after their deadline",
            why=f"{len(late)} of the last {min(OF_FRAMES, len(camera.judged))} parts were late, the newest by "
            f"{late[0].seconds - camera.deadline_ms / 1000:.1f} s. They were rejected.",
            do="Add an inspection worker, or slow the line.", detail={"parts": len(late)})  # fmt: skip


def _unbalanced(facts: Facts) -> Iterator[Cause]:
    for camera in facts.line.cameras:
        account = camera.account
        unseen = max(account.residual, account.missing)
        unrouted = account.unrouted or 0
        if not unseen and not unrouted:
            continue
        said = [f"{account.not_captured} were triggered and never had a picture"] if account.not_captured else []
        said += [f"missing: {', '.join(account.gaps)}"] if account.gaps else []
        said += [f"{unrouted} went where no gate tells"] if unrouted else []
        why = "; ".join(said) or "they were captured and never judged"
        yield Cause(
            kind=Kind.COUNT_RECONCILE, subject=camera.name,
            what=f"Unaccounted for: {many(max(unseen, unrouted), 'part')} of {camera.name}",
            why=f"{_capital(why)}. They may have passed without inspection.",
            do="Hold the parts of that time; see flawline books --minutes.",
            detail={"residual": account.residual, "missing": account.missing, "unrouted": unrouted})  # fmt: skip


def _twice(facts: Facts) -> Iterator[Cause]:
    if facts.line.duplicates:
        yield Cause(
            kind=Kind.COUNTED_TWICE, what="The counters and the rows of the books differ",
            why=f"The counters have {facts.line.duplicates:+d} frames. Rates and charts are wrong, verdicts are not.",
            do="Keep the log files and report it; flawline books shows both numbers.",
            detail={"difference": facts.line.duplicates})  # fmt: skip


def _gates(facts: Facts) -> Iterator[Cause]:
    """What a gate did not see done, and what it told with its newest part."""
    for gate in facts.line.gates:
        if gate.unconfirmed or Kind.GATE_UNCONFIRMED in gate.alarms:
            yield Cause(
                kind=Kind.GATE_UNCONFIRMED, subject=gate.name,
                what=f"Gate {gate.name} did not confirm {many(max(gate.unconfirmed, 1), 'part')}",
                why="It was told to reject them; no sensor saw them go. They may lie among the good ones.",
                do="Look for them behind the gate, then check the gate and its sensor.")  # fmt: skip
        for code, (what, why, do) in _OF_GATES.items():
            if code in gate.alarms:
                yield Cause(kind=code, subject=gate.name, what=f"Gate {gate.name}: {what}", why=why, do=do)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


LINE_RULES = (
    _cameras, _two_sessions, _reported, _qualified, _invalid_run, _unjudged, _late, _unbalanced, _twice, _gates,
)  # fmt: skip
