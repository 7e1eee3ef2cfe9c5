"""The books agree with what was observed, to the microsecond."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hpc_adapters.contract import Resources, Seen, UsageRow, Window
from hpc_adapters.local.adapter import LocalBackend
from infra.clock import utc_now
from tests.support.local_cluster import a_cluster, a_request, seen, until_ended, until_running
from tests.support.machine import Machine, a_run

pytestmark = pytest.mark.sandbox

HOUR = timedelta(hours=1)
SIZE = Resources(gpus=2, cpus=3, memory_mb=128)


@pytest.fixture
def cluster(tmp_path: Path) -> LocalBackend:
    return a_cluster(tmp_path)


async def rows(cluster: LocalBackend) -> list[UsageRow]:
    now = utc_now()
    return list(await cluster.accounting(Window(now - HOUR, now + HOUR)))


async def test_a_record_is_units_times_seconds_exactly(cluster: LocalBackend) -> None:
    request = a_request("head -c 30000000 /dev/zero | md5sum", resources=SIZE)
    end = await until_ended(cluster, await cluster.submit(request))
    [row] = await rows(cluster)
    assert end.started_at is not None
    assert end.ended_at is not None
    elapsed_us = (end.ended_at - end.started_at) // timedelta(microseconds=1)
    assert (row.natural_key, row.attempt_id, row.final) == (f"{request.attempt_id}:1", request.attempt_id, True)
    assert (row.started_at, row.ended_at, row.ending) == (end.started_at, end.ended_at, Seen.SUCCEEDED)
    assert row.components == {"gpu_s": Decimal(2 * elapsed_us) / 10**6, "cpu_s": Decimal(3 * elapsed_us) / 10**6}
    assert (row.facts["gpus"], row.facts["cpus"], row.facts["memory_mb"]) == (2, 3, 128)
    assert 0 < float(row.facts["cpu_used_s"]) < 10
    assert 0 < float(row.facts["peak_memory_mb"]) <= 129
    assert row.facts["measured_by"] in {"cgroup", "process"}


async def test_a_running_job_has_an_open_record_that_grows_under_the_same_key(
    cluster: LocalBackend, tmp_path: Path
) -> None:
    ref = await cluster.submit(a_request("sleep 60", resources=SIZE))
    await until_running(cluster, ref)
    [first] = await rows(cluster)
    await asyncio.sleep(0.05)
    [second] = await rows(cluster)
    assert (first.final, first.ended_at, first.ending) == (False, None, Seen.RUNNING)
    assert second.natural_key == first.natural_key
    assert second.components["gpu_s"] > first.components["gpu_s"] >= 0
    await cluster.cancel(ref)
    await until_ended(cluster, ref)
    [last] = await rows(cluster)
    assert (last.final, last.natural_key, last.ending) == (True, first.natural_key, Seen.CANCELLED)
    assert last == (await rows(a_cluster(tmp_path)))[0], "a restart changes nothing"


async def test_what_never_started_is_not_in_the_books(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    spec = a_run("exit 0", facts={"gpus": 1, "cpus": 1, "memory_mb": 64, "gpu_units": [0]})
    await asyncio.to_thread(machine.runs.accept_now, spec)
    await machine.runs.cancel(spec.attempt_id)
    await machine.until_over(spec.attempt_id)
    cluster = a_cluster(tmp_path)
    ref = await cluster.find(spec.attempt_id)
    assert ref is not None
    end = await seen(cluster, ref)
    assert (end.seen, end.started_at) == (Seen.CANCELLED, None)
    assert await rows(cluster) == []


async def test_a_vanished_job_is_in_the_books_up_to_its_last_heartbeat(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    spec = a_run("echo up; sleep 60", facts={"gpus": 1, "cpus": 1, "memory_mb": 64, "gpu_units": [0]})
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "up")
    [supervisor] = machine.supervisors(spec.attempt_id)
    os.kill(supervisor, signal.SIGKILL)
    await machine.until_over(spec.attempt_id)
    [row] = await rows(a_cluster(tmp_path))
    assert (row.final, row.ending) == (True, Seen.NODE_FAILED)
    assert row.ended_at is not None
    assert row.started_at <= row.ended_at <= utc_now()
    assert row.components["gpu_s"] == Decimal((row.ended_at - row.started_at) // timedelta(microseconds=1)) / 10**6
