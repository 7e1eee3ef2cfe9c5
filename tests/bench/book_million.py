"""A dispatcher's book over a million queued jobs of 1,000 organisations in three levels, on 4 clusters and 3 QPUs.

Cold: read from PostgreSQL and opened. Warm: one event told, and what starts decided. Peer: NumPy's full sort of the
same queue. On 2,000 jobs the engine beneath decides as a brute-force oracle does.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  seeded
from time import perf_counter, process_time
from uuid import UUID

import numpy as np
import psutil

from hpc_adapters.contract import Resources
from infra.db.connection import Pool
from scheduler.core.book.book import Book
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.engine import Engine, Machine
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.pool import Pool as Units
from scheduler.core.snapshot import Holding, Plan, Policy, Standing, Waiting
from scheduler.core.snapshot import Pool as Backend
from scheduler.core.tree import Node, Tree
from scheduler.store import columns
from scheduler.store.columns import Queued
from tests.bench._load import sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database
from tests.support.slow_kyoyo import SlowKyoyo
from tests.support.small_workloads import TOTAL, invented

_ORGANISATIONS, _PROJECTS, _USERS = 1_000, 3_000, 9_000
_MACHINES, _CLUSTERS = 7, 4
_SIZES = (2_048, 1_024, 512, 256)
_ROUNDS = 3
_EVENTS = 200
_ORACLE_JOBS = 2_000
_COLD_LIMIT_S, _WARM_LIMIT_MS, _LIMIT_MB = 5.0, 50.0, 2_048
_FIRST = 1 << 40
"""Attempts are numbered from here."""
_BEGUN = datetime(2026, 4, 1, tzinfo=UTC)
_GPUS = (
    f"CASE WHEN n % {_MACHINES} < {_CLUSTERS} THEN (ARRAY[1, 1, 1, 2, 4, 8, 8, 16, 32, 64])[1 + n / 7 % 10] ELSE 0 END"
)


async def run() -> Result:
    jobs = sized(1_000_000)
    _require_oracle()
    async with fresh_database() as database:
        filled_s = await _fill(database, jobs)
        before = psutil.Process().memory_info().rss
        read_s, server_s, queue = await _loads(database.worker)
        _require_all(queue, jobs)
    book, opened_s, first_s, first = _opened(queue)
    warm_ms = [1_000 * each for each in _events(book, queue, first, Random(3))]
    resident = psutil.Process().memory_info().rss
    cold_s = min(read_s) + opened_s
    p50, p99 = (round(float(np.percentile(warm_ms, q)), 2) for q in (50, 99))
    return Result(
        name="book_million",
        figure=round(cold_s, 2),
        unit="s from PostgreSQL to a book that can be asked",
        limit=_COLD_LIMIT_S,
        ratio=round(cold_s / _COLD_LIMIT_S, 3),
        facts={
            "jobs": jobs,
            "read_s": [round(each, 2) for each in read_s],
            "server_processor_s": round(server_s, 2),
            "opened_s": round(opened_s, 2),
            "first_decision_s": round(first_s, 2),
            "warm_p50_ms": p50,
            "warm_p99_ms": p99,
            "warm_limit_ms": _WARM_LIMIT_MS,
            "numpy_sort_ms": round(1000 * _full_sort_s(queue), 1),
            "resident_limit_mb": _LIMIT_MB,
            "resident_mb": round(resident / 2**20),
            "of_the_book_mb": round((resident - before) / 2**20),
            "oracle_jobs": _ORACLE_JOBS,
            "filled_s": round(filled_s, 1),
        },
    )


def _opened(queue: Queued) -> tuple[Book, float, float, Plan]:
    """As at the start of a process: the collector would walk again and again what is only being built."""
    now = _now(len(queue))
    gc.disable()
    began = perf_counter()
    book = Book(
        now=now,
        pools={each.name: each for each in _backends()},
        terms=_terms(queue),
        calendar=Calendar(),
        policy=Policy(max_starts=1_000_000),
        columns=queue,
    )
    opened_s = perf_counter() - began
    gc.freeze()
    gc.enable()
    began = perf_counter()
    first = book.decide(now)
    return book, opened_s, perf_counter() - began, first


def _terms(queue: Queued) -> Terms:
    """Weights from 1 to 7, and a past: no two organisations have held the same."""
    organisations = sorted({leaf[0] for leaf in queue.leaves})
    return Terms(
        standings={
            each: Standing(organisation_id=each, weight=1 + index % 7, max_running_jobs=1_000)
            for index, each in enumerate(organisations)
        },
        lately_micro_nu={each: 1_000_000 * index for index, each in enumerate(organisations)},
    )


def _backends() -> Iterator[Backend]:
    for machine in range(_MACHINES):
        gpus = _SIZES[machine] if machine < _CLUSTERS else 0
        size = Resources(gpus=gpus, qpus=0 if gpus else 1, cpus=16 * max(1, gpus), memory_mb=128_000 * max(1, gpus))
        yield Backend(name=f"machine-{machine}", total=size, free=size)


def _events(book: Book, queue: Queued, first: Plan, random: Random) -> Iterator[float]:
    """An end and an arrival by turns; seconds of telling it and of the decision. What starts is confirmed at once."""
    now, waiting = _now(len(queue)), {}
    running = [_confirmed(book, queue, waiting, start.attempt_id, now) for start in first.starts]
    for index in range(_EVENTS):
        now += timedelta(seconds=random.randint(1, 5))
        arrival, ended = _arrival(index, now), running[random.randrange(len(running))]
        began = perf_counter()
        if index % 2:
            waiting[arrival.attempt_id] = arrival
            book.waits(arrival, now)
        else:
            running.remove(ended)
            book.gone(ended.attempt_id, now, seq=ended.seq)
        plan = book.decide(now)
        yield perf_counter() - began
        running += [_confirmed(book, queue, waiting, start.attempt_id, now) for start in plan.starts]


def _confirmed(book: Book, queue: Queued, told: dict[UUID, Waiting], attempt_id: UUID, now: datetime) -> Holding:
    """Its backend has it."""
    job = told.get(attempt_id) or queue.waiting(attempt_id.int - _FIRST - 1)
    held = Holding(
        attempt_id=attempt_id,
        organisation_id=job.organisation_id,
        project_id=job.project_id,
        person_id=job.person_id,
        backend=job.backend,
        needs=job.needs,
        until=now + timedelta(seconds=job.walltime_s),
        sent_at=now,
        micro_nu=job.micro_nu,
        seq=job.seq,
        service_class=job.service_class,
    )
    book.holds(held, now)
    return held


def _arrival(index: int, now: datetime) -> Waiting:
    return Waiting(
        attempt_id=UUID(int=10**30 + index),
        organisation_id=UUID(int=10**20 + index % 5),
        project_id=UUID(int=10**21),
        person_id=UUID(int=10**22),
        backend=f"machine-{index % _CLUSTERS}",
        needs=Resources(gpus=1, cpus=8, memory_mb=64_000),
        walltime_s=3_600,
        micro_nu=1_000_000,
        submitted_at=now,
        seq=10**9 + index,
    )


def _now(jobs: int) -> datetime:
    return _BEGUN + timedelta(seconds=jobs + 10)


def _require_oracle() -> None:
    """One decision over so many jobs of forty organisations."""
    small = invented(Random(7), jobs=_ORACLE_JOBS, organisations=40, horizon_s=600)
    slow = SlowKyoyo(TOTAL, small.weights)
    tree = Tree([Node(str(each), weight) for each, weight in enumerate(small.weights)], half_life_s=50)
    engine = Engine(Kyoyo(tree, [(TOTAL, 1_000)], floor_s=0), tree, [Machine(Units(TOTAL), 1_000)])
    for job in small.jobs:
        slow.arrived(job)
        engine.arrived(job)
    assert engine.decide(600) == slow.decide(600), "others start than those of the oracle"


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


async def _loads(pool: Pool) -> tuple[list[float], float, Queued]:
    """Seconds of each, processor seconds of the server at least, and the queue."""
    server = psutil.Process(await pool.fetchval("SELECT pg_backend_pid()")).parent()
    assert server is not None
    seconds, spent = [], []
    for _ in range(_ROUNDS):
        began, before = perf_counter(), _of_all(server)
        queue, live = await columns.load(pool)
        seconds.append(perf_counter() - began)
        spent.append(_of_all(server) - before)
        assert not live.waiting
    return seconds, min(spent), queue


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
