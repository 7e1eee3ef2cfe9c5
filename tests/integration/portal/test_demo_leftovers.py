from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.contract import Backend, JobRequest, Resources, Script, Seen, Window
from infra.clock import utc_now
from portal.bootstrap import build_backends
from portal.demo.ground import LOCAL, furnish
from portal.demo.leftovers import BACKENDS_FILE, end_all
from portal.settings import Settings

SLEEPER = JobRequest(
    attempt_id=UUID(int=1),
    tenant="a",
    resources=Resources(gpus=1, cpus=1, memory_mb=64),
    walltime_s=300,
    payload=Script(body=b"#!/bin/sh\nsleep 300\n"),
)


async def seen(backend: Backend) -> Seen:
    ref = await backend.find(SLEEPER.attempt_id)
    assert ref is not None
    [observation] = await backend.observe([ref])
    assert not isinstance(observation, Exception)
    return observation.seen


@pytest.mark.sandbox
async def test_a_demo_that_broke_off_leaves_no_job_behind(tmp_path: Path) -> None:
    furnish(tmp_path, LOCAL)
    backend = build_backends(Settings(data_dir=tmp_path, backends_file=tmp_path / BACKENDS_FILE))["local"]
    await backend.submit(SLEEPER)
    began = time.monotonic()
    while await seen(backend) is not Seen.RUNNING:
        assert time.monotonic() - began < 30
    await end_all(tmp_path)
    assert await seen(backend) is Seen.CANCELLED
    now = utc_now()
    [row] = await backend.accounting(Window(now - timedelta(hours=1), now + timedelta(hours=1)))
    assert row.ended_at is not None
    await backend.close()


async def test_a_folder_where_nothing_ran_is_fine(tmp_path: Path) -> None:
    await end_all(tmp_path)
