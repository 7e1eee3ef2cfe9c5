"""Which job an address means: by its id, its number, or N_k for task k of array N."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from portal.auth.caller import Caller, JobsReader, JobsWriter
from scheduler import service as scheduler

JobName = Annotated[
    str,
    Path(max_length=50, description="Its id, its number, or N_k for task k of array N.", examples=["12", "12_3"]),
]


async def job_meant(caller: Caller, name: str) -> UUID:
    """JobNotFound. An id is looked up by whoever reads the job."""
    organisation_id = caller.principal.organisation_id
    async with caller.transaction() as conn:
        return await scheduler.job_id_of(conn, organisation_id=organisation_id, name=name)


async def _read(caller: JobsReader, job_id: JobName) -> UUID:
    return await job_meant(caller, job_id)


async def _written(caller: JobsWriter, job_id: JobName) -> UUID:
    return await job_meant(caller, job_id)


ReadJob = Annotated[UUID, Depends(_read)]
WrittenJob = Annotated[UUID, Depends(_written)]
