"""The whole queue at once, as columns: what a leader begins with. A million rows, and not one object each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpc_adapters.contract import Resources
from infra.db.connection import Conn, Pool, transaction
from pricing.model import ServiceClass
from scheduler.core.branches import Leaf
from scheduler.core.fairshare import MICRO
from scheduler.core.snapshot import Task, Waiting
from scheduler.store import planning
from scheduler.store.attempts import resources_of
from scheduler.store.planning import Live

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_TIMEOUT_S = 120
_LARGE = 100_000
Rows: TypeAlias = NDArray[Any]
"""As they are copied: see _ROW."""
_SETTINGS = {
    "statement_timeout": f"{_TIMEOUT_S}s",
    "work_mem": "256MB",  # a million jobs are joined without a detour over the disk,
    "parallel_tuple_cost": "0.001",  # and by as many processors as there are
}


class Shape(NamedTuple):
    """What many jobs ask for alike."""

    backend: str
    needs: Resources
    service_class: ServiceClass


class Array(NamedTuple):
    """As in Task."""

    array_id: UUID | None
    max_running: int | None


@dataclass(frozen=True, slots=True)
class Queued:
    """One entry an attempt in each column, by seq. Whatever else Waiting has is as it is by default."""

    seq: NDArray[np.int64]
    attempt_id: NDArray[np.void]
    leaf: NDArray[np.intp]
    """Into leaves."""
    shape: NDArray[np.intp]
    """Into shapes."""
    array: NDArray[np.intp]
    """Into arrays; -1: it is no task of one."""
    array_index: NDArray[np.int32]
    walltime_s: NDArray[np.int32]
    micro_nu: NDArray[np.int64]
    submitted_us: NDArray[np.int64]
    """Microseconds since the beginning of the year 2000, UTC."""
    leaves: Sequence[Leaf]
    shapes: Sequence[Shape]
    arrays: Sequence[Array]

    def __len__(self) -> int:
        return len(self.seq)

    def id_of(self, index: int) -> UUID:
        return UUID(bytes=self.attempt_id[index].tobytes())

    def waiting(self, index: int) -> Waiting:
        """One of them as an object, when it is needed."""
        organisation_id, project_id, person_id = self.leaves[self.leaf[index]]
        assert organisation_id is not None
        shape, array = self.shapes[self.shape[index]], int(self.array[index])
        return Waiting(
            attempt_id=self.id_of(index),
            organisation_id=organisation_id,
            project_id=project_id,
            person_id=person_id,
            backend=shape.backend,
            needs=shape.needs,
            service_class=shape.service_class,
            walltime_s=int(self.walltime_s[index]),
            micro_nu=int(self.micro_nu[index]),
            submitted_at=_EPOCH + timedelta(microseconds=int(self.submitted_us[index])),
            task=None if array < 0 else self._task(index, self.arrays[array]),
            seq=int(self.seq[index]),
        )

    def _task(self, index: int, array: Array) -> Task:
        assert array.array_id is not None
        return Task(array.array_id, int(self.array_index[index]), array.max_running)


async def load(
    pool: Pool, beside: Callable[[Conn], Awaitable[object]] | None = None, *, large: int = _LARGE
) -> tuple[Queued, Live]:
    """Everything that lives, at one instant. After feed.forget: what changes from then on is told by the feed.

    beside: reads more of that same instant. large: of a table of so many rows halves are read on two connections.

    Live: what is held, and what waits for more than its turn (other jobs, files, a time, a reservation, its end …).
    """
    async with transaction(pool, snapshot=True) as conn:
        await conn.execute(f"{_settings(_SETTINGS)}; SET LOCAL enable_seqscan = off")  # the few are found by an index
        elsewhere = [row["seq"] for row in await conn.fetch(_ELSEWHERE)]
        held = [row["id"] for row in await conn.fetch(_HELD)]
        await conn.execute("SET LOCAL enable_seqscan = on")
        if beside is not None:
            await beside(conn)
        others, parts = list[UUID](), list[Rows]()
        for rows in await _copied(pool, conn, large=large):
            more = rows["more"] | np.isin(rows["seq"], elsewhere)
            others += [UUID(bytes=each.tobytes()) for each in rows["id"][more]]
            parts.append(rows[~more] if more.any() else rows)
        return await _queued(conn, parts), await planning.live(conn, others + held)


def _settings(settings: Mapping[str, str]) -> str:
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())


# -- what is copied ----------------------------------------------------------------------------------------------------


def _mixed(function: str, *columns: str) -> str:
    """One hash of several columns; each has a seed of its own, so that their order counts."""
    return " # ".join(f"{function}extended({each}, {seed})" for seed, each in enumerate(columns))


_MORE = """a.not_before IS NOT NULL OR a.caller_id IS NOT NULL OR coalesce(a.phase_ordinal, 1) > 1
    OR j.begin_at IS NOT NULL OR j.session_job_id IS NOT NULL"""
"""Its own row says that these columns may not be all that there is to say of it."""
_ELSEWHERE = """
    SELECT a.seq FROM scheduler.attempt a WHERE a.state = 'QUEUED' AND a.job_id IN (
        SELECT job_id FROM scheduler.cancellation UNION ALL SELECT job_id FROM scheduler.job_qpu
        UNION ALL SELECT job_id FROM scheduler.reservation_job)
    UNION SELECT a.seq FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id
    WHERE a.state = 'QUEUED' AND coalesce(j.array_id, j.id) IN (SELECT job_id FROM scheduler.dependency)
    UNION SELECT a.seq FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id
    LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id AND f.staged_at IS NOT NULL
    WHERE a.state = 'QUEUED' AND coalesce(j.array_id, j.id) IN (SELECT job_id FROM scheduler.job_input)
        AND f.attempt_id IS NULL
"""
"""Other rows say so. Asked for apart, and first: joined to all the others they would cost as much as these."""
_SIZE = _mixed("hashint4", "a.gpus", "a.cpus", "a.memory_mb", "a.qpus")
_FIELDS: Sequence[tuple[str, str, str]] = (
    ("id", "V16", "a.id"),
    ("seq", ">i8", "a.seq"),
    ("leaf", ">i8", _mixed("uuid_hash_", "a.organisation_id", "j.project_id", "j.person_id")),
    ("shape", ">i8", f"{_SIZE} # hashtextextended(a.backend, 5) # hashenumextended(j.service_class, 6)"),
    ("array", ">i8", "CASE WHEN j.array_id IS NULL THEN 0 ELSE uuid_hash_extended(j.array_id, 0) END"),
    ("array_index", ">i4", "coalesce(j.array_index, -1)"),
    ("walltime_s", ">i4", "a.walltime_s"),
    ("nu", ">f8", "a.nu"),
    ("submitted_us", ">i8", "j.submitted_at"),
    ("more", "?", _MORE),
)
"""Name, type and source of each. None is ever NULL: each row is as long as every other.

What many have alike comes as a hash of 64 bits, and is then asked for by one attempt that has it. A hash that two share
among a hundred thousand different ones comes once in a thousand million loads.
"""
_ROW = np.dtype(
    [("fields", ">i2"), *((f, t) for name, kind, _ in _FIELDS for f, t in ((f"{name} is", ">i4"), (name, kind)))]
)
_HEADER, _TRAILER = 19, 2
_HELD = "SELECT id FROM scheduler.attempt WHERE state IN ('DISPATCHING', 'RUNNING', 'CANCELLING')"
_QUERY = f"""
    SELECT {", ".join(source for _, _, source in _FIELDS)}
    FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id WHERE a.state = 'QUEUED'
"""  # noqa: S608  our own words


_SAMPLE = 1_000
_ROWS = "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'scheduler.attempt'::regclass"
_MEDIAN = f"""
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY job_id)
    FROM scheduler.attempt TABLESAMPLE SYSTEM (least(100, {100 * _SAMPLE} / greatest($1::real, 1)))
"""  # noqa: S608  our own words


async def _copied(pool: Pool, conn: Conn, *, large: int) -> Sequence[Rows]:
    """A large table in two parts at once, by the ids of jobs: else one server process would send it all.

    Where it is cut matters to the time only: in the middle of a sample.
    """
    rows = await conn.fetchval(_ROWS)
    median = None if rows < large else await conn.fetchval(_MEDIAN, rows)
    if median is None:
        return [await _part(conn, "")]
    snapshot = str(await conn.fetchval("SELECT pg_export_snapshot()"))
    below, above = (f"AND a.job_id {side} '{median}' AND j.id {side} '{median}'" for side in ("<", ">="))
    both = _part(conn, below), _part_beside(pool, snapshot, above)
    found = await asyncio.gather(*both, return_exceptions=True)  # neither goes on when the other has failed
    for problem in found:
        if isinstance(problem, BaseException):
            raise problem
    return [each for each in found if not isinstance(each, BaseException)]


async def _part_beside(pool: Pool, snapshot: str, condition: str) -> Rows:
    """On a connection of its own, of the same instant."""
    async with transaction(pool, snapshot=True) as conn:
        await conn.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'; {_settings(_SETTINGS)}")
        return await _part(conn, condition)


async def _part(conn: Conn, condition: str) -> Rows:
    """The rows as PostgreSQL sends them."""
    sent = bytearray()

    async def keep(data: bytes) -> None:
        sent.extend(data)

    if condition:
        await conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    await conn.copy_from_query(f"{_QUERY} {condition}", output=keep, format="binary", timeout=_TIMEOUT_S)
    count, rest = divmod(len(sent) - _HEADER - _TRAILER, _ROW.itemsize)
    rows = np.frombuffer(sent, dtype=_ROW, count=count, offset=_HEADER)
    if rest or not (rows["fields"] == len(_FIELDS)).all():
        raise ValueError("a row of the queue is not what it should be")
    return rows


# -- what is made of it ------------------------------------------------------------------------------------------------


async def _queued(conn: Conn, parts: Sequence[Rows]) -> Queued:
    seq = _column(parts, "seq", np.int64)
    order = np.argsort(seq, kind="stable")
    ids = _column(parts, "id", np.dtype("V16"))[order]
    leaf, of_leaf = _interned(_column(parts, "leaf", np.int64)[order], ids)
    shape, of_shape = _interned(_column(parts, "shape", np.int64)[order], ids)
    array, of_array = _interned(_column(parts, "array", np.int64)[order], ids)
    index = _column(parts, "array_index", np.int32)[order]
    return Queued(
        seq=seq[order],
        attempt_id=ids,
        leaf=leaf,
        shape=shape,
        array=np.where(index < 0, -1, array),
        array_index=index,
        walltime_s=_column(parts, "walltime_s", np.int32)[order],
        micro_nu=np.rint(_column(parts, "nu", np.float64)[order] * MICRO).astype(np.int64),
        submitted_us=_column(parts, "submitted_us", np.int64)[order],
        leaves=[
            (row["organisation_id"], row["project_id"], row["person_id"]) for row in await _examples(conn, of_leaf)
        ],
        shapes=[_shape(row) for row in await _examples(conn, of_shape)],
        arrays=[_array(row) for row in await _examples(conn, of_array)],
    )


def _column(parts: Sequence[Rows], name: str, dtype: DTypeLike) -> NDArray[Any]:
    return np.concatenate([rows[name] for rows in parts], dtype=dtype)


def _interned(hashes: NDArray[np.int64], ids: NDArray[np.void]) -> tuple[NDArray[np.intp], list[UUID]]:
    """Which of the different ones each has; and of each of these an attempt that has it."""
    different = np.unique(hashes)
    which = np.searchsorted(different, hashes)  # with few different ones much cheaper than np.unique's own inverse
    first = np.empty(len(different), dtype=np.intp)
    first[which[::-1]] = np.arange(len(hashes) - 1, -1, -1)  # of many that are written to one place the last one stays
    return which, [UUID(bytes=each.tobytes()) for each in ids[first]]


async def _examples(conn: Conn, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    rows = await conn.fetch(
        "SELECT a.id, a.backend, a.gpus, a.cpus, a.memory_mb, a.qpus, a.organisation_id, j.project_id, j.person_id, "
        "j.service_class, j.array_id, r.max_running FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "LEFT JOIN scheduler.job_array r ON r.id = j.array_id WHERE a.id = ANY($1)",
        ids,
    )
    found = {row["id"]: row for row in rows}
    return [found[each] for each in ids]


def _shape(row: asyncpg.Record) -> Shape:
    return Shape(row["backend"], resources_of(row), ServiceClass(row["service_class"]))


def _array(row: asyncpg.Record) -> Array:
    return Array(row["array_id"], row["max_running"])
