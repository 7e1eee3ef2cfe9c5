"""A small local backend, and requests to it, for tests that really run programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from hpc_adapters.contract import JobRequest, Observation, Ref, Resources, Script, Seen, Stream
from hpc_adapters.local.adapter import LocalBackend
from hpc_adapters.local.checks import Limits
from infra.clock import new_id, utc_now

TOTAL = Resources(gpus=4, cpus=8, memory_mb=4096)
PATIENCE_S = 90.0


def a_cluster(root: Path, **changes: object) -> LocalBackend:
    """Four GPU units, but for the given changes."""
    stated: dict[str, object] = {"total": TOTAL, "clock": utc_now, "limits": Limits(grace_s=1.0)}
    return LocalBackend("local", root, **{**stated, **changes})  # type: ignore[arg-type]  # a builder


def a_request(script: str | bytes, **changes: object) -> JobRequest:
    """A shell script (or a body of any kind) on one GPU unit, but for the given changes."""
    body = script if isinstance(script, bytes) else f"#!/bin/sh\n{script}\n".encode()
    stated: dict[str, object] = {
        "attempt_id": new_id(),
        "tenant": "tenant-a",
        "resources": Resources(gpus=1, cpus=1, memory_mb=256),
        "walltime_s": 30,
        "payload": Script(body=body),
    }
    return JobRequest(**{**stated, **changes})  # type: ignore[arg-type]  # a builder


async def seen(backend: LocalBackend, ref: Ref) -> Observation:
    [observation] = await backend.observe([ref])
    assert isinstance(observation, Observation)
    return observation


async def until(backend: LocalBackend, ref: Ref, wanted: Callable[[Observation], bool]) -> Observation:
    observation = None
    for _ in range(int(PATIENCE_S / 0.02)):
        observation = await seen(backend, ref)
        if wanted(observation):
            return observation
        await asyncio.sleep(0.02)
    raise AssertionError(f"never as wanted; last: {observation}")


async def until_ended(backend: LocalBackend, ref: Ref) -> Observation:
    return await until(backend, ref, lambda observation: observation.seen.is_end)


async def until_running(backend: LocalBackend, ref: Ref) -> Observation:
    return await until(backend, ref, lambda observation: observation.seen is Seen.RUNNING)


async def output(backend: LocalBackend, ref: Ref, stream: Stream = Stream.STDOUT) -> str:
    return (await backend.logs(ref, stream, 0, 2**20)).data.decode(errors="replace")


def work(root: Path, attempt_id: UUID) -> Path:
    """The job's working folder, seen from outside."""
    return root / str(attempt_id) / "work"
