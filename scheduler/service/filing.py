"""The files of jobs, for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.db.connection import Conn
from scheduler.store import files as store
from scheduler.views import InputView, OutputView


async def inputs(conn: Conn, job_id: UUID) -> Sequence[InputView]:
    """What a job reads."""
    return await store.inputs_told(conn, job_id)


async def outputs(conn: Conn, job_id: UUID) -> Sequence[OutputView]:
    """What its attempts left, kept or not."""
    return await store.outputs_told(conn, job_id)


async def inputs_in_use(conn: Conn, object_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these versions of objects a job that has not ended reads."""
    return await store.in_use(conn, object_ids)
