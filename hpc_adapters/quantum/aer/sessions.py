"""Sessions on a device, read from the runs alone: which are open, who may use the device, when one was over. Pure.

Nothing counts down while a session is open. Its end is computed: closed, or at its walltime, or so long after the last
thing that was done in it, whichever was first. One that was idle while nobody looked ended when it should have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.confined.model import RunState
from hpc_adapters.contract import Seen
from hpc_adapters.quantum.aer.requests import SESSION

CLOSED, IDLE, EXPIRED = "closed", "idle", "expired"


@dataclass(frozen=True, slots=True)
class Session:
    """One session as it is at a moment. `ended_at` None: it is not over. `why`: CLOSED, IDLE, EXPIRED or empty."""

    state: RunState
    ended_at: datetime | None
    why: str

    @property
    def is_open(self) -> bool:
        """Whether circuits may run in it now."""
        return self.state.started_at is not None and self.ended_at is None

    @property
    def is_waiting(self) -> bool:
        """Accepted, and not opened yet."""
        return self.state.started_at is None and not self.state.is_over

    @property
    def is_dedicated(self) -> bool:
        """Whether it keeps others off the device."""
        return bool(self.state.facts.get("dedicated", True))

    def seen(self) -> Seen:
        """As the port says it: whatever ended an open session as it may end, it has succeeded."""
        if self.is_waiting:
            return Seen.WAITING
        if self.is_open:
            return Seen.RUNNING
        return Seen.SUCCEEDED if self.why else self.state.ending or Seen.UNKNOWN


def is_session(state: RunState) -> bool:
    """Whether this run is one."""
    return state.facts.get("kind") == SESSION


def session_of(state: RunState) -> UUID | None:
    """In which session this circuit is."""
    named = state.facts.get("session")
    return UUID(named) if isinstance(named, str) else None


def look(state: RunState, circuits: Iterable[RunState], now: datetime) -> Session:
    """One session, given at least the circuits in it."""
    if state.started_at is None:
        return Session(state, state.ended_at, "")
    own = [circuit for circuit in circuits if session_of(circuit) == state.attempt_id]
    idle_from = None if any(not circuit.is_over for circuit in own) else _last(state.started_at, own)
    idle_at = None if idle_from is None else idle_from + timedelta(seconds=_idle_s(state))
    ended_at, why = state.ended_at, _why(state)
    if idle_at is not None and idle_at <= (now if ended_at is None else ended_at):
        return Session(state, idle_at, IDLE)
    return Session(state, ended_at, why)


def sessions_in(states: Sequence[RunState], now: datetime) -> list[Session]:
    """Every session among these runs. Runs are kept for long, so each is looked at once."""
    circuits: dict[UUID, list[RunState]] = {}
    for state in states:
        session = None if is_session(state) else session_of(state)
        if session is not None:
            circuits.setdefault(session, []).append(state)
    return [look(state, circuits.get(state.attempt_id, ()), now) for state in states if is_session(state)]


def dedicated_in(states: Sequence[RunState], now: datetime) -> Session | None:
    """The one that has the device for itself now, or is about to."""
    held = (each for each in sessions_in(states, now) if each.is_dedicated and (each.is_open or each.is_waiting))
    return next(held, None)


def left_s(session: Session, now: datetime) -> float:
    """Until its walltime."""
    assert session.state.started_at is not None, "only of an open one"
    walltime_s = session.state.facts.get("walltime_s")
    told = float(walltime_s) if isinstance(walltime_s, int | float) else 0.0
    return max(1.0, told - (now - session.state.started_at).total_seconds())


def busy(states: Iterable[RunState]) -> int:
    """Circuits that are on the device, or on their way."""
    return sum(not state.is_over and not is_session(state) for state in states)


def _last(opened_at: datetime, circuits: Iterable[RunState]) -> datetime:
    """When anything was last done in it."""
    moments = [moment for each in circuits for moment in (each.accepted_at, each.ended_at) if moment is not None]
    return max([opened_at, *moments])


def _idle_s(state: RunState) -> float:
    told = state.facts.get("idle_s")
    return float(told) if isinstance(told, int | float) else 0.0


def _why(state: RunState) -> str:
    match state.ending:
        case Seen.CANCELLED:
            return CLOSED
        case Seen.TIMED_OUT:
            return EXPIRED
        case _:
            return ""
