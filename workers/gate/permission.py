"""What lets a gate accept parts: a passed challenge, no fault, or a bypass with an end. Pure: no I/O, no clock.

Times are ns of a monotonic clock. A gate starts unqualified, whatever it was before (domain.md §3.2, power cycle).
"""

from dataclasses import dataclass

from core.verdicts import NoVerdictReason

DUE_SHARE = 0.9
"""A challenge is due when this share of its interval has passed, and overdue at its end."""

BELT = "belt"  # the fault that only a person takes back


@dataclass(frozen=True, slots=True)
class Bypass:
    """Parts go by whatever their verdict (MI-30): who allowed it, why, by which other control, and until when."""

    id: str
    who: str
    why: str
    control: str
    until: int


class Permission:
    """Qualification, faults and bypass of one gate.

    withhold: whether an unqualified gate withholds PASS, or only flags it. challenge_ns: a passed challenge counts for
    so long; 0 = until the next start.
    """

    def __init__(self, *, withhold: bool = True, challenge_ns: int = 0) -> None:
        self._withhold, self._challenge_ns = withhold, challenge_ns
        self._qualified_at: int | None = None
        self._bypass: Bypass | None = None
        self._is_expired = False
        self._faults: dict[str, str] = {}

    def qualify(self, at: int) -> None:
        """A challenge was passed, and somebody has looked at the belt."""
        self._qualified_at = at
        self.fault(BELT, "")

    def disqualify(self) -> None:
        """A challenge failed, or something happened after which nobody knows."""
        self._qualified_at = None

    def lose_track(self, detail: str) -> None:
        """Nobody knows where the belt is: a fault until a challenge is passed."""
        self.disqualify()
        self.fault(BELT, detail)

    def allow(self, bypass: Bypass) -> None:
        """Begin a bypass, or replace the present one."""
        self._bypass, self._is_expired = bypass, False

    def end_bypass(self) -> None:
        """Inspect again; what was not watched meanwhile must pass a challenge first."""
        if self._bypass:
            self._bypass = None
            self.disqualify()

    def fault(self, name: str, detail: str) -> None:
        """Set a fault, or clear it by an empty detail; any fault withholds PASS (MI-2)."""
        if detail:
            self._faults[name] = detail
        else:
            self._faults.pop(name, None)

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with the gate itself, by name."""
        return dict(self._faults)

    def bypass(self, now: int) -> Bypass | None:
        """The bypass that is active; one that has reached its end is over."""
        if self._bypass and now >= self._bypass.until:
            self.end_bypass()
            self._is_expired = True
        return self._bypass

    def has_expired(self, now: int) -> bool:
        """Whether the last bypass ended by itself."""
        self.bypass(now)
        return self._is_expired

    def is_qualified(self, now: int) -> bool:
        """Whether a challenge was passed and is not overdue."""
        if self._qualified_at is None:
            return False
        return not self._challenge_ns or now - self._qualified_at < self._challenge_ns

    def is_overdue(self, now: int) -> bool:
        """Whether a challenge was passed once, but too long ago."""
        return self._qualified_at is not None and not self.is_qualified(now)

    def is_challenge_due(self, now: int) -> bool:
        """Whether the next challenge should be run."""
        if self._qualified_at is None:
            return True
        return bool(self._challenge_ns) and now - self._qualified_at >= self._challenge_ns * DUE_SHARE

    def withheld(self, now: int) -> tuple[NoVerdictReason, str] | None:
        """Why a PASS accepts nothing now; None when it does."""
        if self._faults:
            return NoVerdictReason.INTERNAL_ERROR, "; ".join(self._faults.values())
        if self._withhold and not self.is_qualified(now):
            why = "the challenge is overdue" if self.is_overdue(now) else "no challenge was passed since the start"
            return NoVerdictReason.NOT_QUALIFIED, why
        return None
