"""The whole queue at once, as columns: what a leader begins with. A million rows, and not one object each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray

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


async def load(pool: Pool, beside: Callable[[Conn], Awaitable[object]] | None = None) -> tuple[Queued, Live]:
    """Everything that lives, at one instant. After feed.forget: what changes from then on is told by the feed.

    beside: reads more of that same instant.

    Live: what is held, and what waits for more than its turn (other jobs, files, a time, a reservation, its end …).
    """
    async with transaction(pool, snapshot=True) as conn:
        await conn.execute("; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _SETTINGS.items()))
        elsewhere = [row["seq"] for row in await conn.fetch(_ELSEWHERE)]
        if beside is not None:
            await beside(conn)
        held = [row["id"] for row in await conn.fetch(_HELD)]
        rows = await _copied(conn)
        more = rows["more"] | np.isin(rows["seq"], elsewhere)
        others = [UUID(bytes=each.tobytes()) for each in rows["id"][more]]
        return await _queued(conn, rows[~more] if others else rows), await planning.live(conn, others + held)


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


async def _copied(conn: Conn) -> NDArray[Any]:
    """The rows as PostgreSQL sends them."""
    sent = bytearray()

    async def keep(data: bytes) -> None:
        sent.extend(data)

    await conn.copy_from_query(_QUERY, output=keep, format="binary", timeout=_TIMEOUT_S)
    count, rest = divmod(len(sent) - _HEADER - _TRAILER, _ROW.itemsize)
    rows = np.frombuffer(sent, dtype=_ROW, count=count, offset=_HEADER)
    if rest or not (rows["fields"] == len(_FIELDS)).all():
        raise ValueError("a row of the queue is not what it should be")
    return rows


# -- what is made of it ------------------------------------------------------------------------------------------------


async def _queued(conn: Conn, rows: NDArray[Any]) -> Queued:
    seq = rows["seq"].astype(np.int64)
    order = np.argsort(seq, kind="stable")
    leaf, of_leaf = _interned(rows, order, "leaf")
    shape, of_shape = _interned(rows, order, "shape")
    array, of_array = _interned(rows, order, "array")
    index = rows["array_index"].astype(np.int32)[order]
    return Queued(
        seq=seq[order],
        attempt_id=np.ascontiguousarray(rows["id"])[order],
        leaf=leaf,
        shape=shape,
        array=np.where(index < 0, -1, array),
        array_index=index,
        walltime_s=rows["walltime_s"].astype(np.int32)[order],
        micro_nu=np.rint(rows["nu"].astype(np.float64)[order] * MICRO).astype(np.int64),
        submitted_us=rows["submitted_us"].astype(np.int64)[order],
        leaves=[
            (row["organisation_id"], row["project_id"], row["person_id"]) for row in await _examples(conn, of_leaf)
        ],
        shapes=[_shape(row) for row in await _examples(conn, of_shape)],
        arrays=[_array(row) for row in await _examples(conn, of_array)],
    )


def _interned(rows: NDArray[Any], order: NDArray[np.intp], name: str) -> tuple[NDArray[np.intp], list[UUID]]:
    """Which of the different ones each has, in this order; and of each of these an attempt that has it."""
    _, first, which = np.unique(rows[name].astype(np.int64)[order], return_index=True, return_inverse=True)
    return which, [UUID(bytes=each.tobytes()) for each in rows["id"][order[first]]]


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
