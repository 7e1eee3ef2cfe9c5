"""From runs to rows of accounting. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.confined.model import RunState
from hpc_adapters.contract import Seen, UsageRow
from hpc_adapters.quantum.aer.device import ServiceTime, simulated, used
from hpc_adapters.quantum.aer.sessions import Session
from hpc_adapters.quantum.aer.translate import execution_began, executions_taken, seen

CAP_REACHED = "qpu-cap-reached"
_MODEL = ("base_us", "per_kshot_us", "shots", "circuits")
_MICROSECOND = timedelta(microseconds=1)


def circuit_row(state: RunState, stdout: bytes, *, device: str, refusal: str, now: datetime) -> UsageRow | None:
    """None: it never started. `stdout`: its beginning; `refusal`: the code that it left."""
    if state.started_at is None:
        return None
    ending = Seen.TIMED_OUT if refusal == CAP_REACHED else seen(state)
    began = execution_began(stdout)
    executed = None if began is None else (state.ended_at or now) - max(began, state.started_at)
    return UsageRow(
        natural_key=f"{state.attempt_id}:1",
        attempt_id=state.attempt_id,
        started_at=state.started_at,
        ended_at=state.ended_at,
        final=state.is_over,
        ending=seen(state),
        components=_components(state, ending, executed, executions_taken(stdout)),
        facts=_facts(state, device),
    )


def _components(state: RunState, ending: Seen, executed: timedelta | None, taken: int | None) -> Mapping[str, Decimal]:
    """By what the device was sold as when the program was accepted."""
    service, cap, units = _service(state), state.facts.get("cap_us"), _sim_units(state)
    if units:
        return simulated(ending, executed, units=units, shots=service.shots, taken=taken)
    return used(service, ending, executed, taken=taken, cap_us=cap if isinstance(cap, int) else None)


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


def _sim_units(state: RunState) -> int:
    """CPUs or GPUs whose seconds are charged; 0: it was QPU time that was sold."""
    told = state.facts.get("sim_units")
    return told if isinstance(told, int) else 0


def _facts(state: RunState, device: str) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {"qpus": 1, "device": device}
    if units := _sim_units(state):
        facts |= {"sim_units": units, "sim_from": "execution"}
    for name in ("calibration_id", "session"):
        told = state.facts.get(name)
        if isinstance(told, str):
            facts[name] = told
    if state.cpu_used_s is not None:
        facts["cpu_used_s"] = state.cpu_used_s
    if state.peak_memory_mb is not None:
        facts["peak_memory_mb"] = state.peak_memory_mb
    return facts
