"""What a leader begins with: a million queued jobs of 1,000 organisations in three levels, read from PostgreSQL.

Peer: NumPy's full sort of the same queue.
"""

from __future__ import annotations

from time import perf_counter, process_time

import numpy as np
import psutil

from infra.db.connection import Pool
from scheduler.store import columns
from scheduler.store.columns import Queued
from tests.bench._load import sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database

_ORGANISATIONS, _PROJECTS, _USERS = 1_000, 3_000, 9_000
_MACHINES, _CLUSTERS = 7, 4
_ROUNDS = 3
_LIMIT_S = 5.0
_LIMIT_MB = 2_048
_GPUS = (
    f"CASE WHEN n % {_MACHINES} < {_CLUSTERS} THEN (ARRAY[1, 1, 1, 2, 4, 8, 8, 16, 32, 64])[1 + n / 7 % 10] ELSE 0 END"
)


async def run() -> Result:
    jobs = sized(1_000_000)
    async with fresh_database() as database:
        filled_s = await _fill(database, jobs)
        before = psutil.Process().memory_info().rss
        seconds, processor_s, queue = await _loads(database.worker)
        resident = psutil.Process().memory_info().rss
        _require_all(queue, jobs)
        sorted_s = _full_sort_s(queue)
    return Result(
        name="cold_load",
        figure=round(min(seconds), 2),
        unit="s to read the whole queue from PostgreSQL",
        limit=_LIMIT_S,
        ratio=round(min(seconds) / _LIMIT_S, 3),
        facts={
            "jobs": jobs,
            "all_s": [round(each, 2) for each in seconds],
            "processor_s": round(processor_s[0], 2),
            "server_processor_s": round(processor_s[1], 2),
            "numpy_sort_ms": round(1000 * sorted_s, 1),
            "resident_limit_mb": _LIMIT_MB,
            "resident_mb": round(resident / 2**20),
            "of_the_queue_mb": round((resident - before) / 2**20),
            "filled_s": round(filled_s, 1),
        },
    )


async def _fill(database: Database, jobs: int) -> float:
    """Past every trigger and foreign key: rows as submissions leave them, without their money."""
    began = perf_counter()
    async with database.owner.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = 0")
        for number, statement in enumerate((_FILL_JOBS, _FILL_ATTEMPTS)):
            await conn.execute(statement, *([jobs] if number == 0 else []), timeout=1_800)
    await database.owner.execute("VACUUM (ANALYZE) scheduler.job, scheduler.attempt", timeout=600)
    return perf_counter() - began


_FILL_JOBS = f"""
    INSERT INTO scheduler.job (id, organisation_id, project_id, person_id, name, kind, offering_id, backend,
        service_class, gpus, cpus, memory_mb, qpus, shots, walltime_s, max_attempts, nu, options, idempotency_key,
        request_sha256, submitted_at, number)
    SELECT lpad(to_hex(n), 32, '0')::uuid, md5('o' || n % {_ORGANISATIONS})::uuid, md5('p' || n % {_PROJECTS})::uuid,
        md5('u' || n % {_USERS})::uuid, 'job', 'batch', 'offering', 'machine-' || n % {_MACHINES},
        CASE WHEN n % 10 = 0 THEN 'spot' ELSE 'standard' END::pricing.service_class, {_GPUS}, 8, 64000,
        CASE WHEN n % {_MACHINES} < {_CLUSTERS} THEN 0 ELSE 1 END, 0, 3600 * (1 + n % 72), 1, 1.5 * (1 + n % 72),
        '{{}}', 'key ' || n, sha256('request'), '2026-04-01'::timestamptz + n * interval '1 second', n
    FROM generate_series(1, $1::integer) n"""
_FILL_ATTEMPTS = """
    INSERT INTO scheduler.attempt (id, job_id, organisation_id, ordinal, backend, state, queued_at, version, kind,
        offering_id, gpus, cpus, memory_mb, qpus, shots, walltime_s, nu, max_attempts, max_timeouts, skippable,
        wait_reason, wait_facts)
    SELECT lpad(to_hex(number + (1::bigint << 40)), 32, '0')::uuid, id, organisation_id, 1, backend, 'QUEUED',
        submitted_at, 1, kind, offering_id, gpus, cpus, memory_mb, qpus, shots, walltime_s, nu, max_attempts, 0, false,
        'NO_CAPACITY', '{"gpus": 8}' FROM scheduler.job"""


async def _loads(pool: Pool) -> tuple[list[float], list[float], Queued]:
    """Seconds of each, processor seconds of ours and of the server at least, and the queue."""
    server = psutil.Process(await pool.fetchval("SELECT pg_backend_pid()")).parent()
    assert server is not None
    seconds, spent = [], []
    for _ in range(_ROUNDS):
        began, before = perf_counter(), (process_time(), _of_all(server))
        queue, live = await columns.load(pool)
        seconds.append(perf_counter() - began)
        spent.append((process_time() - before[0], _of_all(server) - before[1]))
        assert not live.waiting
    return seconds, [min(each) for each in zip(*spent, strict=True)], queue


def _of_all(server: psutil.Process) -> float:
    """Processor seconds of everything that this server has ever done for anybody."""
    own = server.cpu_times()
    alive = [each.cpu_times() for each in server.children()]
    return own.children_user + own.children_system + sum(each.user + each.system for each in alive)


def _full_sort_s(queue: Queued) -> float:
    """The whole queue once: leaf, place, number."""
    place = queue.submitted_us + 5_000_000 * queue.walltime_s.astype(np.int64)
    began = process_time()
    np.lexsort((queue.seq, place, queue.leaf))
    return process_time() - began


def _require_all(queue: Queued, jobs: int) -> None:
    """Every job once, in the order in which they came, and each of its columns of its own job."""
    assert len(queue) == len(np.unique(queue.seq)) == jobs
    assert (np.diff(queue.submitted_us) == 1_000_000).all()
    assert len(queue.leaves) == min(jobs, _USERS)
    assert (queue.micro_nu * 3_600 == 1_500_000 * queue.walltime_s.astype(np.int64)).all()
    last = queue.waiting(jobs - 1)
    assert (last.seq, last.backend) == (jobs, f"machine-{jobs % _MACHINES}")
