"""A member's secret reaches the job, and stands in nothing else that a real cluster keeps of it."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from hpc_adapters.contract import JobRequest, Observation, Resources, Script, Seen, Stream
from hpc_adapters.slurm.adapter import SlurmBackend
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm import StartCluster
from tests.support.slurm_site import USERS, settings_of

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.timeout(180)]
CANARY = "canary-4f2e-\n-秘密-second line"
SCRIPT = b'#!/bin/sh\nprintf %s "$HF_TOKEN" | sha256sum\nls -a\n'


async def test_a_canary_is_found_in_no_record_log_or_file(own_cluster: StartCluster, release: str) -> None:
    cluster = own_cluster(release, nodes=1)
    backend = SlurmBackend(settings_of(cluster), clock=utc_now)
    try:
        ref = await backend.submit(request())
        async with asyncio.timeout(90):
            while not ended(seen := (await backend.observe([ref]))[0]):  # noqa: ASYNC110  Slurm has no event for a test
                await asyncio.sleep(0.2)
        told = (await backend.logs(ref, Stream.STDOUT)).data.decode()
        rows = repr(seen)
    finally:
        await backend.close()
    assert sha256(CANARY.encode()).hexdigest() in told, "the job has it"
    assert ".secrets" not in told, "and its file is gone before the program starts"
    assert "canary" not in told + rows + records(cluster)
    assert [str(path) for path in files(cluster.folder) if b"canary" in path.read_bytes()] == []


def request() -> JobRequest:
    return JobRequest(
        attempt_id=new_id(),
        tenant="tenant-a",
        identity=USERS["tenant-a"],
        resources=Resources(gpus=1, cpus=1, memory_mb=100),
        walltime_s=120,
        payload=Script(body=SCRIPT, secrets={"HF_TOKEN": CANARY}),
    )


def ended(seen: object) -> bool:
    if not (isinstance(seen, Observation) and seen.seen.is_end):
        return False
    assert seen.seen is Seen.SUCCEEDED
    return True


def records(cluster: Cluster) -> str:
    """All that Slurm tells of its jobs, to its administrator."""
    commands = (
        ("scontrol", "show", "job", "--details"),
        ("sacct", "--allusers", "--json", "--starttime=now-1hour"),
        ("sacct", "--allusers", "--starttime=now-1hour", "--env-vars", "--jobs=1"),
        ("sacct", "--allusers", "--starttime=now-1hour", "--batch-script", "--jobs=1"),
    )
    told = "".join(cluster.exec(*command, check=True).stdout for command in commands)
    assert "KYOYO_ATTEMPT_ID" in told or "ky-" in told, "it tells something"
    return told


def files(folder: Path) -> list[Path]:
    """Everything that the cluster has written: state, spool, logs, database, shared folder."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
