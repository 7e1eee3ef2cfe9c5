"""One job on two machines: its GPU phases on a real Slurm cluster, its QPU phase on a simulated device.

While the circuit waits for the device, Slurm holds nothing for the job: neither a GPU nor a place in its queue.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hpc_adapters.contract import Identity
from hpc_adapters.quantum.aer.adapter import AerBackend
from hpc_adapters.quantum.aer.device import DeviceSettings
from hpc_adapters.slurm.adapter import SlurmBackend
from infra.clock import utc_now
from infra.slurm.cluster import Cluster
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.files import data_store
from tests.support.live_world import Clock, LiveWorld, house
from tests.support.portal_world import GHZ
from tests.support.quantum_house import QPU, sell_qpu
from tests.support.slurm_house import BACKEND, OFFERING, Tenant
from tests.support.slurm_site import settings_of
from tests.support.slurm_world import MICRO_YEN_PER_GPU_S
from tests.support.under_fire import imbalance_and_open_holds

pytestmark = [
    pytest.mark.takes(12),
    pytest.mark.postgres,
    pytest.mark.slurm,
    pytest.mark.root,
    pytest.mark.quantum,
    pytest.mark.sandbox,
    pytest.mark.timeout(180),
]
SHOTS = 200
MEASURE_S = 2
"""So long a circuit holds the device, whatever Aer needs."""
PREPARE = f"""\
set -e
cat > "$KYOYO_OUTPUT_DIR/circuit.qasm" <<'QASM'
{GHZ}QASM
echo 7 > "$KYOYO_OUTPUT_DIR/state"
sleep 1.1
"""
TELL = 'set -e\nsleep 1.1\ncat "$KYOYO_INPUT_DIR/prepare/state" "$KYOYO_INPUT_DIR/measure/result.json"\n'


@dataclass
class TwoMachines:
    """A member of lab-a before both of them."""

    world: LiveWorld
    cluster: Cluster

    @property
    def tenant(self) -> Tenant:
        return self.world.tenants[0]

    async def told(self, job_id: str) -> dict[str, Any]:
        return await self.world.job(self.tenant, job_id)

    async def in_slurm(self, attempts: list[str]) -> set[str]:
        """Which of them Slurm's own queue knows as not over."""
        printed = await asyncio.to_thread(self.cluster.exec, "squeue", "-h", "-t", "PD,R,S,CG,CF", "-o", "%j")
        return {attempt for attempt in attempts if f"ky-{UUID(attempt).hex}" in printed.stdout.split()}


@pytest.fixture
async def machines(database: Database, slurm_2411: Cluster, tmp_path: Path) -> AsyncIterator[TwoMachines]:
    tenants = await slurm_house.open_market(database, ["lab"], users={"lab": Identity("alice", "lab-a")})
    await sell_qpu(database, "aer")
    clock = Clock()
    device = DeviceSettings(name="aer", qubits=5, max_shots=1000, base_us=MEASURE_S * 1_000_000, per_kshot_us=0)
    backends = {
        BACKEND: SlurmBackend(settings_of(slurm_2411, accounting_lag_s=1.0), clock=clock),
        "aer": AerBackend(name="aer", root=tmp_path / "aer", device=device, clock=utc_now),
    }
    store = data_store(tmp_path / "store", clock, quota_bytes=2**26)
    deps, app, scheduling = house(database, backends, clock=clock, data=store)
    yield TwoMachines(LiveWorld(database, tenants, clock, app, scheduling), slurm_2411)
    deps.streams.stop()
    for each in backends.values():
        await each.close()


def gpu(name: str, script: str, **more: Any) -> dict[str, Any]:
    body = {"name": name, "kind": "batch", "offering": OFFERING, "gpus": 1, "walltime_s": 120}
    return {**body, "script": f"#!/bin/bash\n{script}", **more}


BODY = {
    "name": "loop",
    "kind": "hybrid",
    "phases": [
        gpu("prepare", PREPARE),
        {
            "name": "measure",
            "kind": "quantum",
            "offering": QPU,
            "walltime_s": 60,
            "shots": SHOTS,
            "program_from": "circuit.qasm",
        },
        gpu("tell", TELL, takes=["measure", "prepare"]),
    ],
}


async def test_a_job_goes_from_slurm_to_a_qpu_and_back_and_is_billed_once(machines: TwoMachines) -> None:
    world, tenant = machines.world, machines.tenant
    job_id = await world.taken(tenant, BODY)
    seen = await _watched(machines, job_id)
    assert seen["measure"] > 1, (await machines.told(job_id))["story"]
    assert seen["in slurm meanwhile"] == 0, seen

    await world.until_settled()
    told = await machines.told(job_id)
    assert (told["state"], told["attempt_count"]) == ("SUCCEEDED", 3), told["story"][-1]
    state, result = (await world.output(tenant, job_id)).split("\n", 1)
    assert state == "7"
    assert sum(json.loads(result)["counts"].values()) == SHOTS
    assert {each["key"] for each in told["outputs"]} == {
        f"jobs/{told['number']}/{name}" for name in ("prepare/circuit.qasm", "prepare/state", "measure/result.json")
    }
    await _is_billed_once(machines, told)


async def _watched(machines: TwoMachines, job_id: str) -> dict[str, int]:
    """The worker works until the job has ended; how often it was met in its second phase, and in Slurm meanwhile."""
    seen = {"measure": 0, "in slurm meanwhile": 0}

    async def ended() -> bool:
        told = await machines.told(job_id)
        if told["phase"] == "measure" and told["state"] not in {"SUCCEEDED", "FAILED"}:
            held = await machines.in_slurm([each["id"] for each in told["attempts"]])
            seen["measure"] += 1
            seen["in slurm meanwhile"] += len(held)
        return told["state"] in {"SUCCEEDED", "FAILED", "LOST", "CANCELLED"}

    await machines.world.until(ended)
    return seen


async def _is_billed_once(machines: TwoMachines, told: dict[str, Any]) -> None:
    """Each phase's lines are what its machine measured, their sum is what the statement says, nothing stays held."""
    world, phases = machines.world, {each["name"]: each for each in told["phases"]}
    records = {slurm_truth.attempt_of(row): row for row in slurm_truth.ours(machines.cluster)}
    for each in told["attempts"]:
        phase, row = phases[each["phase"]], records.get(UUID(each["id"]))
        assert Decimal(phase["charge_yen"]) > 0
        if each["phase"] == "measure":
            assert row is None
            assert (phase["usage"]["shot"], Decimal(phase["usage"]["qpu_s"])) == (str(SHOTS), Decimal(MEASURE_S))
            continue
        assert row is not None
        assert Decimal(phase["usage"]["gpu_s"]) == row.gpu_s
        assert Decimal(phase["charge_yen"]) == Decimal(row.gpu_s * MICRO_YEN_PER_GPU_S) / 10**6
    total = sum(Decimal(each["charge_yen"]) for each in phases.values())
    assert Decimal(told["charge_yen"]) == total <= Decimal(told["quote_yen"])
    assert Decimal(told["quote_yen"]) == sum(Decimal(each["quote_yen"]) for each in phases.values())

    statement = await world.get(machines.tenant, "/statement")
    entries = [each for each in statement["entries"] if each["job_id"] == told["id"]]
    settled = [(each["phase"], -Decimal(each["held_yen"])) for each in entries if each["kind"] == "settle"]
    assert [each["phase"] for each in entries if each["vendor_id"]] == ["measure"]  # Slurm's are no vendor's
    assert [each["kind"] for each in entries] == ["hold", *["settle"] * 3, "release"]
    assert settled == [(name, Decimal(each["charge_yen"])) for name, each in phases.items()]
    assert statement["balanced"]
    assert await imbalance_and_open_holds(world.database) == (0, 0)
    assert await world.held_yen(machines.tenant) == "0"
