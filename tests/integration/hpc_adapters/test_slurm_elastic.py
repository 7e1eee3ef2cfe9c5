"""Nodes of a real Slurm cluster leave service and come back, and no job is ended by it. Both releases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from hpc_adapters.contract import Seen
from hpc_adapters.elastic import Elastic, NodeState
from hpc_adapters.errors import Rejected
from hpc_adapters.slurm.elastic import ElasticSlurm
from infra.clock import utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm import StartCluster
from tests.support.slurm_site import job, settings_of, until_ended, until_printed

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.takes(18)]

POWER_SAVING = {
    "SuspendTime": "86400",  # by itself Slurm would not
    "SuspendProgram": "/bin/true",
    "ResumeProgram": "/bin/true",
    "SuspendTimeout": "1",
    "ResumeTimeout": "60",
    "SlurmctldParameters": "power_save_interval=1,power_save_min_interval=0",
}


async def until_all(backend: Elastic, *wanted: NodeState) -> None:
    last: Sequence[NodeState] = ()
    for _ in range(300):
        last = [node.state for node in await backend.nodes()]
        if tuple(last) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never {wanted}; last: {last}")


@asynccontextmanager
async def elastic(cluster: Cluster, *, admin: str = "bob") -> AsyncIterator[ElasticSlurm]:
    backend = ElasticSlurm(settings_of(cluster), admin_user=admin, clock=utc_now)
    try:
        yield backend
    finally:
        await backend.close()


def make_administrator(cluster: Cluster) -> None:
    cluster.exec("sacctmgr", "-i", "modify", "user", "bob", "set", "adminlevel=Administrator", check=True)


async def test_a_node_leaves_after_its_job_loses_its_power_and_serves_again(
    release: str, own_cluster: StartCluster
) -> None:
    """And what an operator took out stays out."""
    cluster = own_cluster(release, nodes=2, options=POWER_SAVING)
    make_administrator(cluster)
    cluster.exec("scontrol", "update", "nodename=gpu0", "state=drain", "reason=disk", check=True)
    async with elastic(cluster) as backend, elastic(cluster, admin=cluster.service_user) as powerless:
        await until_all(backend, NodeState.FOREIGN, NodeState.SERVING)
        await refuses_what_is_not_ours(backend)
        with pytest.raises(Rejected, match="not-allowed"):
            await powerless.withdraw("gpu1", "lend 3")
        await leaves_after_its_job(backend)
        await backend.power_down("gpu1", "power 1")
        await until_all(backend, NodeState.FOREIGN, NodeState.OFF)
        cluster.kill("slurmd", node="gpu1")
        await backend.restore("gpu1")
        await until_all(backend, NodeState.FOREIGN, NodeState.WAKING)
        await until_asked_to_boot(cluster)
        cluster.exec("slurmd", "-b", "-N", "gpu1", check=True)  # -b: the machine has just booted
        await until_all(backend, NodeState.FOREIGN, NodeState.SERVING)
        assert (await until_ended(backend, await backend.submit(job("true")))).seen is Seen.SUCCEEDED


async def until_asked_to_boot(cluster: Cluster) -> None:
    """What has booted before slurmctld asked for it does not count."""
    for _ in range(100):
        if "POWERING_UP" in cluster.exec("scontrol", "show", "node", "gpu1", check=True).stdout:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("never asked")


async def refuses_what_is_not_ours(backend: ElasticSlurm) -> None:
    for change, *words in ((backend.withdraw, "lend 1"), (backend.power_down, "lend 1"), (backend.restore,)):
        with pytest.raises(Rejected, match="node-not-ours"):
            await change("gpu0", *words)
    with pytest.raises(Rejected, match="unknown-node"):
        await backend.restore("gpu7")


async def leaves_after_its_job(backend: ElasticSlurm) -> None:
    ref = await backend.submit(job("echo on; sleep 2"))
    await until_printed(backend, ref, b"on")
    await backend.withdraw("gpu1", "power 1")
    await backend.withdraw("gpu1", "power 1")
    with pytest.raises(Rejected, match="node-not-idle"):
        await backend.power_down("gpu1", "power 1")
    assert (await until_ended(backend, ref)).seen is Seen.SUCCEEDED
    await until_all(backend, NodeState.FOREIGN, NodeState.OUT)
    node = (await backend.nodes())[1]
    assert (node.units, node.mark) == (8, "power 1")
    assert (await backend.capacity()).total.gpus == 0
