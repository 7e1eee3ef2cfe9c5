"""Sessions on quantum devices: attempts like any other, in which circuits run first and with which they end."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from accounts.model import Principal
from hpc_adapters.contract import Circuit, Resources, SessionHold
from pricing import service as pricing
from pricing.errors import SessionsNotOffered
from pricing.model import Component
from pricing.units import micro
from scheduler.core.model import JobKind, State
from scheduler.core.reasons import Why
from scheduler.errors import BadSession, SessionNotFound, SessionOver, UnsupportedFeature
from scheduler.hybrid import Hybrid, PhaseWish, checked
from scheduler.submission import SessionWish, Submission
from scheduler.views import JobView
from tests.support.database import Database
from tests.support.devices import DeviceBackend, a_device, as_backend
from tests.support.market import NOW, QPU_OFFERING, QPU_PRICES, an_id, publish
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres
SOLD = replace(QPU_OFFERING, id="qpu-sessions", backend=CLUSTER, max_session_s=1800, max_session_idle_s=300)
PRICES = [
    *QPU_PRICES,
    replace(
        QPU_PRICES[0],
        component=Component.SESSION_S,
        price_micro_yen=micro("10"),
        market_reference_id=an_id("market", Component.SESSION_S),
    ),
]
HOLD: dict[str, Any] = {"kind": JobKind.QUANTUM, "offering_id": SOLD.id, "body": b"", "gpus": 0, "walltime_s": 900}
CIRCUIT: dict[str, Any] = {**HOLD, "body": b"OPENQASM 3.0;", "shots": 100, "walltime_s": 60}


async def a_world(database: Database, *, sessions: bool = True) -> tuple[World, DeviceBackend, Principal]:
    world = await open_world(database, size=Resources(gpus=8, cpus=16, memory_mb=64_000, qpus=1))
    device = DeviceBackend(world.backend, a_device(sessions=sessions))
    world.backends = {CLUSTER: as_backend(device)}
    async with world.market.as_operator() as conn:
        await pricing.create_offering(conn, SOLD, now=NOW)
        await publish(conn, SOLD.id, PRICES)
    return world, device, await world.member("alpha")


async def a_session(world: World, who: Principal, **changed: Any) -> JobView:
    return await world.submit(who, a_submission(**{**HOLD, "session": SessionWish(idle_s=60), **changed}))


async def inside(world: World, who: Principal, session: JobView) -> JobView:
    return await world.submit(who, a_submission(**CIRCUIT, session_job=str(session.number)))


async def test_a_session_is_held_for_its_time_and_handed_over_as_one(database: Database) -> None:
    world, device, who = await a_world(database)
    session = await a_session(world, who)
    held = await database.owner.fetchval("SELECT ceiling_micro_yen FROM pricing.hold WHERE job_id = $1", session.id)
    assert held == micro("9000")
    await world.dispatch()
    (request,) = device.submitted
    assert (request.payload, request.resources, request.session) == (SessionHold(idle_s=60), Resources(qpus=1), None)


async def test_a_circuit_waits_for_its_session_and_then_passes_everybody_who_waits_for_the_device(
    database: Database,
) -> None:
    world, device, who = await a_world(database)
    beta = await world.member("beta")
    session = await a_session(world, who)
    circuit = await inside(world, who, session)
    await world.dispatch()
    waiting = (await world.job(circuit)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts) == (Why.DEPENDENCY, {"jobs": [str(session.number)]})
    other = await world.submit(beta, a_submission(**CIRCUIT))
    await world.until(lambda seen: seen.state is State.RUNNING, session)
    await world.until(lambda seen: seen.state is not State.QUEUED, circuit)
    assert (await world.job(other)).state is State.QUEUED
    request = device.submitted[-1]
    assert isinstance(request.payload, Circuit)
    attempt = await database.owner.fetchval("SELECT id FROM scheduler.attempt WHERE job_id = $1", session.id)
    assert (request.session, request.resources) == (attempt, Resources())
    assert (await world.until_ended(circuit)).state is State.SUCCEEDED


async def test_what_still_waits_when_its_session_ends_never_starts_and_costs_nothing(database: Database) -> None:
    world, _, who = await a_world(database)
    session = await a_session(world, who)
    circuit = await inside(world, who, session)
    await world.cancel(who, session)
    await world.carry_out_cancels()
    ended = await world.until_ended(circuit)
    assert (ended.state, ended.reason) == (State.CANCELLED, "dependency_never_satisfied")
    with pytest.raises(SessionOver):
        await inside(world, who, session)


async def test_a_session_of_somebody_else_and_a_job_that_is_none_are_not_found(database: Database) -> None:
    world, _, who = await a_world(database)
    beta = await world.member("beta")
    session, plain = await a_session(world, who), await world.submit(who)
    with pytest.raises(SessionNotFound):
        await world.submit(beta, a_submission(**CIRCUIT, session_job=str(session.id)))
    with pytest.raises(SessionNotFound):
        await inside(world, who, plain)


async def test_where_no_sessions_are_there_are_none(database: Database) -> None:
    world, _, who = await a_world(database, sessions=False)
    with pytest.raises(UnsupportedFeature):
        await a_session(world, who)
    with pytest.raises(SessionsNotOffered):
        await a_session(world, who, offering_id="qpu-local")


def test_no_phase_of_a_hybrid_job_is_a_session_or_runs_in_one() -> None:
    for session in ({"session": SessionWish(idle_s=60), "body": b""}, {"session_job": "1"}):
        phase = a_submission(**{**CIRCUIT, "name": "measure", "shots": 0, **session})
        whole = Hybrid(**{**vars_of(a_submission()), "phases": (PhaseWish(request=phase),)})
        with pytest.raises(BadSession) as refused:
            checked(whole)
        assert refused.value.facts == {"problem": "session_phase", "phase": "measure"}


def vars_of(request: Submission) -> dict[str, Any]:
    """Its fields by name."""
    return {field.name: getattr(request, field.name) for field in fields(request)}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"kind": JobKind.BATCH}, "session_kind"),
        ({"session_job": "1"}, "session_both"),
        ({"body": b"OPENQASM 3.0;"}, "session_program"),
        ({"shots": 5}, "session_program"),
        ({"session": SessionWish(idle_s=0)}, "session_idle"),
        ({"session": None, "session_job": "../1"}, "session_name"),
    ],
)
async def test_a_session_that_is_none_is_refused_by_name(
    database: Database, changed: dict[str, Any], problem: str
) -> None:
    world, _, who = await a_world(database)
    with pytest.raises(BadSession) as refused:
        await a_session(world, who, **changed)
    assert refused.value.facts == {"problem": problem}
