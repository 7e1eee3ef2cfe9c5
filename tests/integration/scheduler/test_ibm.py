"""Circuits and sessions of a customer at IBM Quantum: portal, loops and ledger before the real library and its stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hpc_adapters.quantum.ibm_runtime.checks import tag_of
from tests.support import slurm_house
from tests.support.database import Database
from tests.support.ibm_house import BELL, IbmHarness
from tests.support.ibm_stub import ibm_stub
from tests.support.live_world import Clock, LiveWorld, house
from tests.support.quantum_house import QPU, YEN, sell_qpu
from tests.support.slurm_house import Tenant
from tests.support.under_fire import imbalance_and_open_holds

pytestmark = [
    pytest.mark.xdist_group("ibm-ledger"),
    pytest.mark.takes(4),
    pytest.mark.postgres,
    pytest.mark.ibm,
    pytest.mark.quantum,
    pytest.mark.sandbox,
    pytest.mark.timeout(180),
]
SHOTS = 50
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "LOST"}
CIRCUIT = {"kind": "quantum", "offering": QPU, "walltime_s": 60, "shots": SHOTS, "program": BELL.decode()}
SESSION = {"name": "session", "kind": "quantum", "offering": QPU, "walltime_s": 600, "session": {"idle_s": 120}}


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with ibm_stub() as url:
        yield url


@dataclass
class AtIbm:
    """A customer, and what the vendor knows of her."""

    world: LiveWorld
    ibm: IbmHarness

    @property
    def tenant(self) -> Tenant:
        return self.world.tenants[0]

    async def job(self, job_id: str) -> dict[str, Any]:
        return await self.world.job(self.tenant, job_id)

    async def until_running(self, job_id: str) -> None:
        await self.world.until_in("RUNNING", (self.tenant, job_id))

    async def ended(self, *jobs: str) -> Sequence[dict[str, Any]]:
        """The jobs once each is over and nothing is held."""

        async def are_over() -> bool:
            return all([(await self.job(each))["state"] in ENDED for each in jobs])

        await self.world.until(are_over)
        await self.world.until_settled()
        return [await self.job(each) for each in jobs]

    def at_vendor(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Every job of the vendor's that was sent for this one."""
        tags = {tag_of(UUID(each["id"])) for each in job["attempts"]}
        return [each for each in self.ibm.world.jobs() if tags & set(each["tags"])]

    async def metered(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """What counts of its only attempt: component, quantity, and the row's own name and facts."""
        [attempt] = job["attempts"]
        rows = await self.world.database.owner.fetch(
            "SELECT u.component, u.quantity, r.natural_key, r.facts FROM metering.usage_record u "
            "JOIN metering.accounting_row r ON r.id = u.accounting_row_id WHERE u.attempt_id = $1 "
            "AND NOT EXISTS (SELECT FROM metering.usage_record newer WHERE newer.supersedes = u.id) ORDER BY 1",
            UUID(attempt["id"]),
        )
        return [dict(row) for row in rows]

    async def charged_once(self, job: dict[str, Any], vendor_id: str) -> Decimal:
        """Yen that left the wallet for it, by the statement: in one settlement, with the vendor's id."""
        statement = await self.world.get(self.tenant, "/statement")
        assert statement["balanced"]
        [settled] = [e for e in statement["entries"] if e["job_id"] == job["id"] and e["kind"] == "settle"]
        assert settled["vendor_id"] == vendor_id
        assert await imbalance_and_open_holds(self.world.database) == (0, 0)
        return -Decimal(settled["held_yen"])


@pytest.fixture
async def at_ibm(database: Database, stub: str, tmp_path: Path) -> AsyncIterator[AtIbm]:
    ibm = IbmHarness(stub, tmp_path)
    tenants = await slurm_house.open_market(database, ["lab"])
    await sell_qpu(database, "ibm")
    clock = Clock()
    deps, app, scheduling = house(database, {"ibm": ibm.backend}, clock=clock)
    yield AtIbm(LiveWorld(database, tenants, clock, app, scheduling), ibm)
    deps.streams.stop()
    await ibm.close()


def price_of(usage: dict[str, Any]) -> Decimal:
    """Of these quantities by component."""
    return sum(
        (Decimal(usage[component]) * Decimal(yen) / per for component, (yen, per) in YEN.items() if component in usage),
        Decimal(0),
    )


async def test_a_circuit_runs_at_the_vendor_and_is_settled_by_what_the_vendor_charges(at_ibm: AtIbm) -> None:
    job_id = await at_ibm.world.taken(at_ibm.tenant, {"name": "bell", **CIRCUIT})
    [job] = await at_ibm.ended(job_id)
    assert job["state"] == "SUCCEEDED", job["story"][-1]
    result = await at_ibm.world.get(at_ibm.tenant, f"/jobs/{job_id}/result")
    assert sum(result["counts"].values()) == SHOTS
    [theirs] = at_ibm.at_vendor(job)
    assert theirs["session_id"] is None
    charge_s = str(theirs["usage"]["qpu_charge_time_seconds"])
    qpu_s, shot = await at_ibm.metered(job)
    assert (qpu_s["component"], qpu_s["quantity"]) == ("qpu_s", Decimal(charge_s))
    assert (shot["component"], shot["quantity"]) == ("shot", SHOTS)
    assert (qpu_s["natural_key"], qpu_s["facts"]["vendor_job"]) == (theirs["id"], theirs["id"])
    assert {name: Decimal(amount) for name, amount in job["usage"].items()} == {
        "qpu_s": Decimal(charge_s),
        "shot": SHOTS,
    }
    assert await at_ibm.charged_once(job, theirs["id"]) == Decimal(job["charge_yen"]) == price_of(job["usage"])


async def test_a_session_is_one_at_the_vendor_and_is_settled_once_when_it_is_closed(at_ibm: AtIbm) -> None:
    world, tenant = at_ibm.world, at_ibm.tenant
    session_id = await world.taken(tenant, SESSION)
    await at_ibm.until_running(session_id)
    [opened] = at_ibm.ibm.world.sessions()
    inside = await world.taken(tenant, {"name": "one", **CIRCUIT, "session_job": session_id})
    await world.until_in("SUCCEEDED", (tenant, inside))
    await world.cancel(tenant, session_id)
    session, circuit = await at_ibm.ended(session_id, inside)
    await _is_settled(at_ibm, session, opened)
    [job] = at_ibm.at_vendor(circuit)
    assert job["session_id"] == opened["id"]
    used = {each["component"]: each["quantity"] for each in await at_ibm.metered(circuit)}
    assert used == {"qpu_s": Decimal(str(job["usage"]["qpu_charge_time_seconds"])), "shot": SHOTS}
    assert await at_ibm.charged_once(circuit, job["id"]) == Decimal(circuit["charge_yen"]) == price_of(circuit["usage"])


async def test_a_session_that_idles_out_at_the_vendor_is_settled_once(at_ibm: AtIbm) -> None:
    world, tenant = at_ibm.world, at_ibm.tenant
    session_id = await world.taken(tenant, SESSION)
    await at_ibm.until_running(session_id)
    [opened] = at_ibm.ibm.world.sessions()
    await asyncio.to_thread(at_ibm.ibm.world.tell, "close-session", session=opened["id"])
    [session] = await at_ibm.ended(session_id)
    await _is_settled(at_ibm, session, opened)
    late = await world.send(tenant, {"name": "late", **CIRCUIT, "session_job": session_id})
    assert (late.status_code, late.json()["code"]) == (409, "session-over")


async def _is_settled(at_ibm: AtIbm, session: dict[str, Any], opened: dict[str, Any]) -> None:
    """By its time, once; and nothing of it is open at the vendor."""
    assert session["state"] == "SUCCEEDED", session["story"][-1]
    [theirs] = at_ibm.ibm.world.sessions()
    assert (theirs["id"], theirs["state"]) == (opened["id"], "closed")
    [wall] = await at_ibm.metered(session)
    [attempt] = session["attempts"]
    assert (wall["component"], wall["natural_key"]) == ("session_s", f"{attempt['id']}:session")
    assert wall["quantity"] > 0
    assert wall["facts"]["vendor_session"] == opened["id"]
    assert (
        await at_ibm.charged_once(session, opened["id"]) == Decimal(session["charge_yen"]) == price_of(session["usage"])
    )
