"""Calls of running jobs: what they may ask for, what they may cost, and when a job that calls may start."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from hpc_adapters.simulated.adapter import SimulatedBackend
from infra.db.connection import Pool as Connections
from pricing.model import ServiceClass
from scheduler.core.calls import (
    CALL,
    Allowance,
    Call,
    CallRefused,
    Used,
    all_qpu_time_us,
    answer_of,
    is_idle,
    judged,
    qpu_time_us,
)
from scheduler.core.cycle import plan
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Plan, Pool, Snapshot, Standing, Waiting
from scheduler.loops import listening
from scheduler.loops.deps import Deps

NOW = datetime(2026, 4, 1, tzinfo=UTC)
ALPHA, BETA = UUID(int=1), UUID(int=2)
GPU, QPU = Resources(gpus=1), Resources(qpus=1)


async def test_where_no_machine_has_mailboxes_the_database_is_not_asked() -> None:
    simulated = SimulatedBackend(name="sim", total=GPU, seed=1, clock=lambda: NOW)
    deps = Deps(pool=cast("Connections", None), lease=None, backends={"sim": simulated}, new_id=lambda: ALPHA)
    assert await listening.tick(deps, NOW) == 0


def allowance(**changed: int) -> Allowance:
    usual = {"calls": 3, "shots": 100, "max_shots": 90, "idle_s": 60, "base_us": 1000, "per_kshot_us": 333}
    return Allowance(**{**usual, **changed}, nu_per_hour=1.0)


def a_call(shots: object = 10, **more: object) -> bytes:
    return json.dumps({"format": CALL, "program": "OPENQASM 3.0;", "shots": shots, **more}).encode()


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.integers(0, 10**6), st.integers(0, 10**6))
def test_calls_within_the_quote_never_need_more_than_was_quoted(shots: list[int], base_us: int, per_us: int) -> None:
    allowed = allowance(
        calls=len(shots), shots=sum(shots), max_shots=500, base_us=base_us, per_kshot_us=per_us, idle_s=1
    )
    used, together = Used(), 0
    for each in shots:
        call = judged(a_call(each), allowed, used)
        assert call.max_qpu_us == qpu_time_us(allowed, each) >= 1
        together += call.max_qpu_us
        used = Used(used.calls + 1, used.shots + each)
    assert together <= all_qpu_time_us(allowed)
    for last in (a_call(1),):
        with pytest.raises(CallRefused, match="too-many-calls"):
            judged(last, allowed, used)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_job_writes_is_a_call_or_refused(told: bytes) -> None:
    try:
        made: Call | str = judged(told, allowance(), Used())
    except CallRefused as refused:
        made = json.dumps([refused.code, refused.facts])
    assert made


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (a_call(shots=True), "malformed-call"),
        (a_call("10"), "malformed-call"),
        (a_call(1, more=1), "malformed-call"),
        (b'{"format": "kyoyo.call/1", "program": ' + b"[" * 100_000, "malformed-call"),
        (b'{"format": "kyoyo.call/1", "program": "OPENQASM 3;", "shots": ' + b"9" * 5000 + b"}", "malformed-call"),
        (a_call(91), "too-many-shots"),
        (json.dumps({"format": CALL, "program": "{}", "shots": 1}).encode(), "malformed-call"),
        (json.dumps({"format": CALL, "program": "OPENQASM 3.0;\ud800", "shots": 1}).encode(), "not-utf-8"),
    ],
)
def test_hostile_calls_are_refused_by_name(told: bytes, code: str) -> None:
    with pytest.raises(CallRefused) as refused:
        judged(told, allowance(), Used())
    assert refused.value.code == code


def test_an_answer_is_the_devices_own_or_says_what_became_of_the_call() -> None:
    result, error = b'{"counts": {"00": 1}}', b'{"error": {"code": "unknown-gate", "facts": {}}}'
    assert answer_of(State.SUCCEEDED, None, result) == result
    assert answer_of(State.FAILED, "exit_code", error) == error
    for state, reason, left, code in (
        (State.FAILED, "exit_code", result, "call-failed"),
        (State.FAILED, "timed_out", b"[" * 100_000, "call-failed"),
        (State.FAILED, "refused:too-large", b"", "too-large"),
        (State.LOST, "vanished", b"", "call-failed"),
        (State.SUCCEEDED, None, b"", "call-failed"),
    ):
        assert json.loads(answer_of(state, reason, left))["error"]["code"] == code


def test_idle_is_longer_than_was_agreed() -> None:
    assert not is_idle(allowance(), NOW, NOW + timedelta(seconds=60))
    assert is_idle(allowance(), NOW, NOW + timedelta(seconds=61))


# -- the plan ----------------------------------------------------------------------------------------------------------


def waiting(number: int, **changed: object) -> Waiting:
    usual = {
        "attempt_id": UUID(int=100 + number),
        "organisation_id": ALPHA,
        "backend": "gpu",
        "needs": GPU,
        "walltime_s": 600,
        "micro_nu": 1,
        "submitted_at": NOW + timedelta(seconds=number),
    }
    return Waiting(**{**usual, **changed})  # type: ignore[arg-type]  by their names


def decided(jobs: list[Waiting], *holding: Holding, quota: int = 100, **device: object) -> Plan:
    pools = {
        "gpu": Pool(name="gpu", total=Resources(gpus=2), free=Resources(gpus=2)),
        "qpu": Pool(name="qpu", total=QPU, free=QPU, **device),  # type: ignore[arg-type]  by their names
    }
    standings = {each: Standing(organisation_id=each, max_running_jobs=quota) for each in (ALPHA, BETA)}
    return plan(Snapshot(now=NOW, pools=pools, waiting=jobs, holding=holding, standings=standings))


def test_a_job_starts_only_when_the_device_that_it_calls_could_answer_to_its_end() -> None:
    caller = waiting(1, calls="qpu")
    window = OfflineWindow(NOW + timedelta(seconds=599), NOW + timedelta(seconds=700), DeviceState.CALIBRATING)
    late = OfflineWindow(NOW + timedelta(seconds=601), NOW + timedelta(seconds=700), DeviceState.CALIBRATING)
    assert [each.attempt_id for each in decided([caller]).starts] == [caller.attempt_id]
    assert decided([caller], windows=(late,)).starts
    (wait,) = decided([caller], windows=(window,)).waits
    assert (wait.why, wait.facts["backend"]) == (Why.DEVICE_WINDOW, "qpu")
    (wait,) = decided([caller], online=False, condition="maintenance").waits
    assert (wait.why, wait.facts) == (Why.BACKEND_OFFLINE, {"backend": "qpu", "condition": "maintenance"})
    (wait,) = decided([waiting(1, calls="elsewhere")]).waits
    assert (wait.why, wait.facts) == (Why.BACKEND_OFFLINE, {"backend": "elsewhere"})


def test_a_call_goes_before_what_else_its_organisation_has_waiting_and_counts_as_no_job() -> None:
    circuit = waiting(1, backend="qpu", needs=QPU)
    call = waiting(9, backend="qpu", needs=QPU, is_call=True)
    own = Holding(
        attempt_id=UUID(int=50), organisation_id=ALPHA, backend="gpu", needs=GPU, until=NOW + timedelta(hours=1)
    )
    found = decided([circuit, call], own, quota=1)
    assert [each.attempt_id for each in found.starts] == [call.attempt_id]
    assert [each.why for each in found.waits] == [Why.RUNNING_QUOTA]


def test_a_call_of_a_spot_job_does_not_wait_for_all_standard_circuits() -> None:
    call = waiting(1, backend="qpu", needs=QPU, is_call=True, service_class=ServiceClass.SPOT)
    mine = waiting(2, backend="qpu", needs=QPU)
    others = waiting(3, backend="qpu", needs=QPU, organisation_id=BETA)
    assert [each.attempt_id for each in decided([mine, others, call]).starts] == [call.attempt_id]
    job = waiting(1, backend="qpu", needs=QPU, service_class=ServiceClass.SPOT)
    assert [each.attempt_id for each in decided([others, job]).starts] == [others.attempt_id]


def test_a_call_waits_for_the_turn_of_its_organisation() -> None:
    call = waiting(9, backend="qpu", needs=QPU, is_call=True)
    other = waiting(1, backend="qpu", needs=QPU, organisation_id=BETA)
    caller = Holding(
        attempt_id=UUID(int=77),
        organisation_id=ALPHA,
        backend="gpu",
        needs=Resources(gpus=1),
        until=NOW + timedelta(hours=1),
    )
    found = decided([call, other], caller)
    assert [each.attempt_id for each in found.starts] == [other.attempt_id]
