"""The register of devices: only what changed is kept, an outage is a fact, and everybody may read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.model import Principal
from hpc_adapters.contract import Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from infra.db.connection import Role, transaction
from pricing.model import ServiceTime
from pricing.units import micro
from scheduler import service
from scheduler.core.model import JobKind, State
from scheduler.core.reasons import Why
from scheduler.devices import NOT_CONFIGURED, UNAVAILABLE, Registered
from scheduler.errors import BadCursor, BadLimit, CalibrationNotFound, DeviceLimit, DeviceNotFound
from scheduler.loops import devices
from tests.support.database import Database
from tests.support.devices import DeviceBackend, a_calibration, a_device, as_backend, gone
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres


async def a_world(database: Database) -> tuple[World, DeviceBackend]:
    world = await open_world(database)
    device = DeviceBackend(world.backend)
    world.backends = {CLUSTER: as_backend(device)}
    return world, device


async def look(world: World) -> int:
    world.clock.advance(60)
    return await devices.tick(world.deps(), world.now)


async def registered(world: World) -> Registered:
    async with world.market.as_worker() as conn:
        return await service.device(conn, CLUSTER)


async def counts(world: World) -> tuple[int, int]:
    """States and calibrations in the history."""
    owner = world.market.database.owner
    return (
        await owner.fetchval("SELECT count(*) FROM scheduler.device_state"),
        await owner.fetchval("SELECT count(*) FROM scheduler.device_calibration"),
    )


async def test_a_device_is_registered_as_it_told_of_itself(database: Database) -> None:
    world, device = await a_world(database)
    assert await look(world) == 1
    found = await registered(world)
    assert found.device == replace(device.told, observed_at=world.now)
    assert (found.since, found.heard_at) == (world.now, world.now)


async def test_what_has_not_changed_leaves_no_history(database: Database) -> None:
    world, _ = await a_world(database)
    assert [await look(world) for _ in range(3)] == [1, 0, 0]
    assert await counts(world) == (1, 1)
    assert (await registered(world)).heard_at == world.now


async def test_each_change_is_appended_once(database: Database) -> None:
    world, device = await a_world(database)
    await look(world)
    window = OfflineWindow(world.now, world.now + timedelta(hours=1), DeviceState.CALIBRATING)
    device.told = a_device(queue=9, windows=(window,))
    await look(world)
    device.told = a_device(queue=9, windows=(window,), calibration=a_calibration("cal-2"))
    assert await look(world) == 1
    device.told = a_device(queue=9, windows=(window,))  # a calibration that was told before
    assert await look(world) == 0
    assert await counts(world) == (2, 2)
    async with world.market.as_worker() as conn:
        page = await service.calibrations(conn, CLUSTER, limit=1)
        rest = await service.calibrations(conn, CLUSTER, limit=1, cursor=page.next_cursor)
        history = await service.device_history(conn, CLUSTER)
    assert [each.calibration.id for each in (*page.items, *rest.items)] == ["cal-2", "cal-1"]
    assert rest.next_cursor is None
    assert [each.condition.queue for each in history] == [9, 3]
    assert history[0].condition.windows == (window,)


async def test_an_outage_is_a_change_of_state_and_ends_with_the_next_word(database: Database) -> None:
    world, device = await a_world(database)
    await look(world)
    heard = world.now
    device.problem = gone()
    assert [await look(world), await look(world)] == [1, 0]
    out = await registered(world)
    assert (out.device.state, out.device.detail, out.device.queue) == (DeviceState.OFFLINE, UNAVAILABLE, None)
    assert (out.heard_at, out.since) == (heard, heard + timedelta(seconds=60))
    device.problem = None
    assert await look(world) == 1
    assert (await registered(world)).device.state is DeviceState.ONLINE
    assert await counts(world) == (3, 1)


async def test_a_device_that_was_never_heard_of_and_one_with_a_fault_leave_nothing(database: Database) -> None:
    world, device = await a_world(database)
    device.problem = gone()
    assert await look(world) == 0
    device.problem = RuntimeError("a fault of the adapter")
    assert await look(world) == 0
    assert await counts(world) == (0, 0)


async def test_a_device_that_is_no_longer_configured_is_offline_for_that(database: Database) -> None:
    world, _ = await a_world(database)
    await look(world)
    world.backends = {}
    assert await look(world) == 1
    assert (await registered(world)).device.detail == NOT_CONFIGURED


async def test_figures_that_are_none_are_kept_as_not_told(database: Database) -> None:
    world, device = await a_world(database)
    broken = a_calibration(error=float("nan"))
    device.told = a_device(calibration=broken)
    await look(world)
    calibration = (await registered(world)).device.calibration
    assert calibration is not None
    assert calibration.two_qubit_error is None
    assert {gate.error for gate in calibration.gates if gate.name == "cz"} == {None}


async def test_tenants_read_the_register_and_change_nothing(database: Database) -> None:
    world, _ = await a_world(database)
    alpha, beta = await world.member("alpha"), await world.member("beta")
    await world.submit(alpha)
    await look(world)
    async with world.as_tenant(beta) as conn:
        assert [each.backend for each in await service.devices(conn)] == [CLUSTER]
        assert await service.waiting_at(conn) == {CLUSTER: 1}
        assert (await service.calibration(conn, CLUSTER, "cal-1")).calibration == a_calibration()
    for table in ("device", "device_state", "device_calibration"):
        with pytest.raises(Exception, match="permission denied"):
            async with transaction(database.portal, role=Role.TENANT, organisation_id=alpha.organisation_id) as conn:
                await conn.execute(f"DELETE FROM scheduler.{table}")


async def test_what_is_not_there_is_refused_by_name(database: Database) -> None:
    world, _ = await a_world(database)
    await look(world)
    async with world.market.as_worker() as conn:
        with pytest.raises(DeviceNotFound):
            await service.device(conn, "elsewhere")
        with pytest.raises(CalibrationNotFound):
            await service.calibration(conn, CLUSTER, "cal-9")
        with pytest.raises(BadCursor):
            await service.calibrations(conn, CLUSTER, cursor="nonsense")
        with pytest.raises(BadLimit):
            await service.calibrations(conn, CLUSTER, limit=0)


async def test_a_job_that_would_run_into_a_calibration_waits_for_its_end(database: Database) -> None:
    world, device = await a_world(database)
    who = await world.member("alpha")
    window = OfflineWindow(
        world.now + timedelta(minutes=10), world.now + timedelta(minutes=30), DeviceState.CALIBRATING
    )
    device.told = a_device(windows=(window,), queue=4)
    await look(world)
    long, short = await world.submit(who), await world.submit(who, a_submission(walltime_s=120))
    await world.dispatch()
    assert (await world.job(short)).state is State.DISPATCHING
    waiting = (await world.job(long)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts["kind"], waiting.facts["vendor_queue"]) == (
        Why.DEVICE_WINDOW,
        "calibrating",
        4,
    )
    world.clock.advance(30 * 60)
    await world.dispatch()
    assert (await world.job(long)).state is State.DISPATCHING


CIRCUIT = {"kind": JobKind.QUANTUM, "offering_id": "qpu-local", "body": b"OPENQASM 3.0;", "gpus": 0, "shots": 1000}


async def a_qpu(database: Database, **told: object) -> tuple[World, DeviceBackend, Principal]:
    world = await open_world(database, size=Resources(gpus=8, cpus=16, memory_mb=64_000, qpus=1))
    device = DeviceBackend(world.backend, a_device(**told))
    world.backends = {CLUSTER: as_backend(device)}
    await look(world)
    return world, device, await world.member("alpha")


async def test_a_circuit_is_handed_over_with_the_cap_that_was_quoted(database: Database) -> None:
    world, _, who = await a_qpu(database)
    plain = await world.submit(who, a_submission(**CIRCUIT))
    longer = ServiceTime(1_000_000, 6_000_000, "durations")
    limit = a_submission(**CIRCUIT, max_cost_micro_yen=micro("673.75"))
    generous = await world.submit(who, limit)
    capped = await world.submit(who, limit, foreseen=longer)
    owner = database.owner
    caps = {row["id"]: row["max_qpu_us"] for row in await owner.fetch("SELECT id, max_qpu_us FROM scheduler.job")}
    assert caps == {
        plain.id: 2_250_000,
        generous.id: 2_250_000,
        capped.id: 4_000_000,
    }  # 612.5 without tax: 12.5 for its shots leave 600 for 4 s
    held = await owner.fetchval("SELECT ceiling_micro_yen FROM pricing.hold WHERE job_id = $1", capped.id)
    assert held == micro("612.5")


async def test_what_is_more_than_the_device_takes_is_refused_at_submission(database: Database) -> None:
    world, _, who = await a_qpu(database, max_shots=999)
    with pytest.raises(DeviceLimit) as refused:
        await world.submit(who, a_submission(**CIRCUIT))
    assert refused.value.facts == {"unit": "shots", "requested": 1000, "limit": 999, "device": CLUSTER}
    body = b'{"format": "kyoyo.pubs/1", "primitive": "sampler", "circuits": [{"format": "openqasm3", "text": ""}], '
    body += b'"pubs": [{"circuit": 0, "shots": 999}, {"circuit": 0, "shots": 999}]}'
    whole = await world.submit(who, a_submission(**{**CIRCUIT, "body": body, "shots": 1998}))
    assert (await world.job(whole)).shots == 1998  # the device's limit is of each PUB, the offering's of all
    with pytest.raises(DeviceLimit):
        await world.submit(who, a_submission(**{**CIRCUIT, "body": body.replace(b"999}]", b"1000}]"), "shots": 1999}))


async def test_a_circuit_for_a_device_in_calibration_waits_and_is_not_refused(database: Database) -> None:
    world, device, who = await a_qpu(database, state=DeviceState.CALIBRATING)
    job = await world.submit(who, a_submission(**CIRCUIT))
    await world.dispatch()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts["condition"]) == (Why.BACKEND_OFFLINE, "calibrating")
    device.told = a_device()
    await look(world)
    await world.dispatch()
    assert (await world.job(job)).state is State.DISPATCHING
