"""A test's Slurm cluster as a site that the adapter is told of, and small jobs for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from hpc_adapters.contract import Backend, Identity, JobRequest, Observation, Ref, Resources, Script, Stream
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.settings import SlurmSettings
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster

USERS = {"tenant-a": Identity("alice", "lab-a"), "tenant-b": Identity("carol", "lab-b")}


def settings_of(cluster: Cluster, **more: object) -> SlurmSettings:
    told: dict[str, object] = {
        "name": "slurm",
        "cluster": cluster.name,
        "url": cluster.url,
        "jwt_key": cluster.jwt_key,
        "folder": cluster.shared,
        "service_user": cluster.service_user,
        "gpu_type": "h200",
        "qos": "",
        "uids": cluster.uids,
        "look_ahead": 2,
        "accounting_lag_s": 5.0,
        "save_interval_s": 5.0,
        "call_timeout_s": 5.0,
    }
    return SlurmSettings(**{**told, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def site(cluster: Cluster, **more: object) -> AsyncIterator[SlurmBackend]:
    backend = SlurmBackend(settings_of(cluster, **more), clock=utc_now)
    try:
        yield backend
    finally:
        await backend.close()


def job(lines: str, *, tenant: str = "tenant-a", walltime_s: int = 300, **more: Any) -> JobRequest:
    script = {name: more.pop(name) for name in ("arguments", "environment", "secrets", "launch") if name in more}
    return JobRequest(
        attempt_id=new_id(),
        tenant=tenant,
        identity=USERS[tenant],
        resources=more.pop("resources", Resources(gpus=1, cpus=1, memory_mb=100)),
        walltime_s=walltime_s,
        payload=Script(body=f"#!/bin/bash\n{lines}\n".encode(), **script),
        **more,
    )


async def until(backend: Backend, ref: Ref, wanted: Callable[[Observation | Forgotten], bool]) -> Observation:
    """The first answer that is as wanted; a backend that is away for a moment is asked again."""
    last: object = None
    for _ in range(1200):
        try:
            [last] = await backend.observe([ref])
        except Unavailable as away:
            last = away
        if isinstance(last, Observation | Forgotten) and wanted(last):
            return last  # type: ignore[return-value]
        await asyncio.sleep(0.1)
    raise AssertionError(f"never seen as wanted; last: {last!r}")


async def until_ended(backend: Backend, ref: Ref) -> Observation:
    return await until(backend, ref, lambda seen: isinstance(seen, Observation) and seen.seen.is_end)


async def printed(backend: Backend, ref: Ref, stream: Stream = Stream.STDOUT) -> bytes:
    return (await backend.logs(ref, stream)).data


async def until_printed(backend: Backend, ref: Ref, text: bytes) -> None:
    for _ in range(600):
        if text in await printed(backend, ref):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never printed {text!r}")
