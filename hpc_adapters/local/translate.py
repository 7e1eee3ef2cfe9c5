"""From a run's state to the port's words. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.contract import Observation, Ref, Seen, UsageRow, Window
from hpc_adapters.local.slots import booking_of

_PHASES = {Phase.STARTING: Seen.WAITING, Phase.RUNNING: Seen.RUNNING}


def seen(state: RunState) -> Seen:
    """Ended runs say how; a vanished one is our machine's fault."""
    return state.ending or _PHASES.get(state.phase, Seen.UNKNOWN)


def observation(state: RunState, ref: Ref, *, now: datetime) -> Observation:
    """What the backend says of the run at `now`."""
    return Observation(
        ref=ref,
        seen=seen(state),
        observed_at=now,
        started_at=state.started_at,
        ended_at=state.ended_at,
        exit_code=state.exit_code,
        detail=state.detail,
    )


def touches(state: RunState, window: Window) -> bool:
    """Whether the run's program was running in the window, or ended in it. What never started touches none."""
    return state.started_at is not None and window.touches(state.started_at, state.ended_at)


def usage_row(state: RunState, *, now: datetime) -> UsageRow:
    """The accounting record of a run that has started. One start an attempt, says the gate: sequence 1."""
    assert state.started_at is not None
    taken = booking_of(state).resources
    duration_s = exact_s((state.ended_at or max(now, state.started_at)) - state.started_at)
    facts: dict[str, str | int | float] = {"gpus": taken.gpus, "cpus": taken.cpus, "memory_mb": taken.memory_mb}
    if state.cpu_used_s is not None:
        facts["cpu_used_s"] = state.cpu_used_s
    if state.peak_memory_mb is not None:
        facts["peak_memory_mb"] = state.peak_memory_mb
    if state.measured_by:
        facts["measured_by"] = state.measured_by
    return UsageRow(
        natural_key=f"{state.attempt_id}:1",
        attempt_id=state.attempt_id,
        started_at=state.started_at,
        ended_at=state.ended_at,
        final=state.is_over,
        ending=seen(state),
        components={"gpu_s": taken.gpus * duration_s, "cpu_s": taken.cpus * duration_s},
        facts=facts,
    )


def exact_s(duration: timedelta) -> Decimal:
    """Seconds, to the microsecond, without a float on the way."""
    return Decimal(duration // timedelta(microseconds=1)).scaleb(-6)
