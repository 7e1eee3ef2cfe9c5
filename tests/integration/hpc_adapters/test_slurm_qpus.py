"""A QPU as a resource of a real Slurm site, in both releases: asked for, counted, metered as it was allocated."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hpc_adapters.contract import Ref, Resources, Seen, UsageRow, Window
from hpc_adapters.errors import Rejected
from hpc_adapters.jobhead.places import job_name, native
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.site_check import check_site
from hpc_adapters.slurm.tokens import Minter
from infra.clock import utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm_site import job, settings_of, site, until, until_ended, until_printed

pytestmark = [pytest.mark.slurm, pytest.mark.root]
ONE_QPU = Resources(gpus=1, cpus=1, memory_mb=100, qpus=1)
TRES = {"gres/qpu": 1, "gres/qpu:kyo": 1}


async def final_row(backend: SlurmBackend, ref: Ref) -> UsageRow:
    for _ in range(300):
        around = Window(utc_now() - timedelta(hours=1), utc_now() + timedelta(hours=1))
        rows = [row for row in await backend.accounting(around) if row.attempt_id == ref.attempt_id and row.final]
        if rows:
            [row] = rows
            return row
        await asyncio.sleep(0.1)
    raise AssertionError("no final row")


async def test_a_job_holds_the_qpu_and_is_metered_by_what_was_allocated(slurm: Cluster) -> None:
    async with site(slurm, qpu_gres="qpu:kyo", look_ahead=1) as backend:
        assert "qpu_s" in backend.capabilities().components
        empty = await backend.capacity()
        assert (empty.total.qpus, empty.free.qpus) == (1, 1)
        first = await backend.submit(job("echo on; exec sleep 600", resources=ONE_QPU))
        await until_printed(backend, first, b"on")
        assert (await backend.capacity()).free.qpus == 0
        second = await backend.submit(job("sleep 1.1", resources=ONE_QPU))
        waits = await until(backend, second, lambda seen: getattr(seen, "seen", None) is Seen.WAITING)
        assert waits.started_at is None
        await backend.cancel(first)
        await until_ended(backend, first)
        assert (await until_ended(backend, second)).seen is Seen.SUCCEEDED
        for ref in (first, second):
            row = await final_row(backend, ref)
            [record] = [each for each in slurm.sacct() if each.name == job_name(ref.attempt_id)]
            assert {name: record.tres[name] for name in TRES} == TRES
            assert row.components["qpu_s"] == record.elapsed_s
            assert (row.facts["qpus"], row.facts["qpu_from"]) == (1, "allocated")
        told = native(second.native_id)
        assert told is not None
        assert (row.facts["slurm_job_id"], row.components["qpu_s"] > 0) == (told.job_id, True)
        assert (await backend.capacity()).free.qpus == 1


@pytest.mark.parametrize(
    ("gres", "qpus", "code"),
    [
        (None, 1, "no-qpu"),
        ("qpu", 2, "no-node-fits"),
        ("qpu:kyo", 2, "no-node-fits"),
        ("qpu:to", 1, "unknown-qpu-type"),
    ],
)
async def test_a_qpu_that_is_not_there_is_refused_by_name(
    slurm_2411: Cluster, gres: str | None, qpus: int, code: str
) -> None:
    async with site(slurm_2411, qpu_gres=gres) as backend:
        request = job("true", resources=Resources(cpus=1, qpus=qpus))
        with pytest.raises(Rejected) as refused:
            await backend.submit(request)
        assert refused.value.code == code
        assert await backend.find(request.attempt_id) is None
        assert (await backend.capacity()).total.qpus == (0 if gres in {None, "qpu:to"} else 1)


@pytest.mark.parametrize(("gres", "is_counted"), [("qpu:kyo", True), ("qpu", True), ("qpu:to", False)])
async def test_an_operator_is_told_of_a_qpu_that_slurm_does_not_count(
    slurm_2411: Cluster, gres: str, *, is_counted: bool
) -> None:
    told = settings_of(slurm_2411, qpu_gres=gres)
    rest = Rest(told.url, minter=Minter(told.jwt_key, clock=utc_now), clock=utc_now, service_user=told.service_user)
    try:
        lacks = {lack.code for lack in await check_site(told, rest=rest, spool=Spool(told.folder, uids=told.uids))}
    finally:
        await rest.close()
    assert ("qpus-not-counted" in lacks) is not is_counted
