"""Sessions read from runs: when they are open, when they ended, and what is charged. No process is started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import process_time
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.contract import Seen
from hpc_adapters.quantum.aer.sessions import CLOSED, EXPIRED, IDLE, busy, dedicated_in, look, sessions_in
from hpc_adapters.quantum.aer.usage import session_row

T = datetime(2026, 4, 1, tzinfo=UTC)
ID = UUID(int=7)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def held(*, ended: float | None = None, ending: Seen | None = None, idle_s: int = 60, started: bool = True) -> RunState:
    return RunState(
        attempt_id=ID,
        tenant="t",
        phase=Phase.RUNNING if ended is None else Phase.ENDED,
        accepted_at=T,
        started_at=T if started else None,
        ended_at=None if ended is None else at(ended),
        ending=ending,
        facts={"kind": "session", "idle_s": idle_s, "dedicated": True, "walltime_s": 600},
    )


def circuit(accepted: float, ended: float | None, number: int = 1) -> RunState:
    return RunState(
        attempt_id=UUID(int=100 + number),
        tenant="t",
        phase=Phase.RUNNING if ended is None else Phase.ENDED,
        accepted_at=at(accepted),
        started_at=at(accepted),
        ended_at=None if ended is None else at(ended),
        ending=None if ended is None else Seen.SUCCEEDED,
        facts={"kind": "circuit", "session": str(ID)},
    )


def test_it_is_open_until_so_long_after_the_last_circuit() -> None:
    circuits = [circuit(10, 30), circuit(50, 80, 2)]
    assert look(held(), circuits, at(139)).is_open
    over = look(held(), circuits, at(141))
    assert (over.ended_at, over.why, over.seen()) == (at(140), IDLE, Seen.SUCCEEDED)


def test_a_circuit_that_runs_keeps_it_open() -> None:
    assert look(held(), [circuit(10, None)], at(10_000)).is_open


def test_whoever_looks_late_sees_the_same_end() -> None:
    closed_late = held(ended=5_000, ending=Seen.CANCELLED)
    assert look(closed_late, [], at(9_000)).ended_at == look(held(), [], at(61)).ended_at == at(60)


def test_closed_and_expired_are_successes() -> None:
    for ending, why in ((Seen.CANCELLED, CLOSED), (Seen.TIMED_OUT, EXPIRED)):
        over = look(held(ended=30, ending=ending), [], at(50))
        assert (over.ended_at, over.why, over.seen()) == (at(30), why, Seen.SUCCEEDED)


def test_a_failure_of_the_machine_is_none_and_costs_nothing() -> None:
    over = look(held(ended=30, ending=Seen.NODE_FAILED), [], at(50))
    row = session_row(over, device="d", now=at(50))
    assert over.seen() is Seen.NODE_FAILED
    assert row is not None
    assert row.components == {"session_s": 0}


def test_one_that_was_cancelled_before_it_opened_is_cancelled_and_has_no_record() -> None:
    never = look(held(ended=1, ending=Seen.CANCELLED, started=False), [], at(2))
    assert never.seen() is Seen.CANCELLED
    assert session_row(never, device="d", now=at(2)) is None


def test_an_open_one_is_charged_so_far() -> None:
    row = session_row(look(held(), [], at(12)), device="d", now=at(12))
    assert row is not None
    assert (row.components, row.final, row.natural_key) == ({"session_s": Decimal(12)}, False, f"{ID}:session")


def test_one_about_to_open_has_the_device_already() -> None:
    assert dedicated_in([held(started=False)], at(1)) is not None
    assert dedicated_in([held(ended=3, ending=Seen.CANCELLED)], at(4)) is None
    assert busy([held(), circuit(1, None), circuit(1, 2, 2)]) == 1


def test_thousands_of_sessions_that_are_over_cost_no_more_than_a_look_at_each() -> None:
    """Runs are kept for ever, and the device's room is asked for in every cycle of planning."""
    numbers = range(3_000)
    over = [replace(held(ended=50, ending=Seen.CANCELLED), attempt_id=UUID(int=10**6 + n)) for n in numbers]
    inside = [
        replace(circuit(1, 2, n), facts={"kind": "circuit", "session": str(UUID(int=10**6 + n))}) for n in numbers
    ]
    states = [*over, *inside, held(), circuit(10, 30)]
    began = process_time()
    assert dedicated_in(states, at(60)) is not None
    found = sessions_in(states, at(95))
    assert process_time() - began < 2
    assert found[-1].ended_at == at(90)
    assert {each.ended_at for each in found[:-1]} == {at(50)}


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 2_000))
def test_an_end_never_moves_once_it_was_seen(idle_s: int, accepted: int, ran: int, later: int) -> None:
    circuits = [circuit(accepted, accepted + ran)] if accepted < idle_s else []
    first = accepted + ran + idle_s + 1
    one = look(held(idle_s=idle_s), circuits, at(first))
    two = look(held(idle_s=idle_s), circuits, at(first + later))
    assert one.ended_at is not None
    assert one.ended_at == two.ended_at
