"""From runs to rows of accounting. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.confined.model import RunState
from hpc_adapters.contract import Seen, UsageRow
from hpc_adapters.quantum.aer.device import ServiceTime, used
from hpc_adapters.quantum.aer.sessions import Session
from hpc_adapters.quantum.aer.translate import execution_began, executions_taken, seen

CAP_REACHED = "qpu-cap-reached"
_MODEL = ("base_us", "per_kshot_us", "shots", "circuits")
_MICROSECOND = timedelta(microseconds=1)


def circuit_row(state: RunState, stdout: bytes, *, device: str, refusal: str, now: datetime) -> UsageRow | None:
    """None: it never started. `stdout`: its beginning; `refusal`: the code that it left."""
    if state.started_at is None:
        return None
    ending = seen(state)
    began = execution_began(stdout)
    executed = None if began is None else (state.ended_at or now) - max(began, state.started_at)
    cap = state.facts.get("cap_us")
    return UsageRow(
        natural_key=f"{state.attempt_id}:1",
        attempt_id=state.attempt_id,
        started_at=state.started_at,
        ended_at=state.ended_at,
        final=state.is_over,
        ending=ending,
        components=used(
            _service(state),
            Seen.TIMED_OUT if refusal == CAP_REACHED else ending,
            executed,
            taken=executions_taken(stdout),
            cap_us=cap if isinstance(cap, int) else None,
        ),
        facts=_facts(state, device),
    )


def session_row(session: Session, *, device: str, now: datetime) -> UsageRow | None:
    """How long it was open: until it was closed, idle for too long, or expired. None: it never opened."""
    state = session.state
    if state.started_at is None:
        return None
    opened_us = max(timedelta(0), (session.ended_at or now) - state.started_at) // _MICROSECOND
    charged = opened_us if session.why or session.ended_at is None else 0  # a failure of ours costs nothing
    return UsageRow(
        natural_key=f"{state.attempt_id}:session",
        attempt_id=state.attempt_id,
        started_at=state.started_at,
        ended_at=session.ended_at,
        final=session.ended_at is not None,
        ending=session.seen(),
        components={"session_s": Decimal(charged) / 1_000_000},
        facts={"qpus": 1, "device": device},
    )


def _service(state: RunState) -> ServiceTime:
    told = {name: value for name, value in state.facts.items() if name in _MODEL and isinstance(value, int)}
    return ServiceTime(**told)


def _facts(state: RunState, device: str) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {"qpus": 1, "device": device}
    for name in ("calibration_id", "session"):
        told = state.facts.get(name)
        if isinstance(told, str):
            facts[name] = told
    if state.cpu_used_s is not None:
        facts["cpu_used_s"] = state.cpu_used_s
    if state.peak_memory_mb is not None:
        facts["peak_memory_mb"] = state.peak_memory_mb
    return facts
