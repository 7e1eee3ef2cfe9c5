"""Where the data of an organisation must stay: rules that hold for all jobs, of it or of a project."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from portal.api.wire import In, Out, Word
from portal.auth.caller import Caller, JobsReader, MembersWriter
from scheduler import service as scheduler

router = APIRouter(tags=["organisation"])
_LOCATION = "'jp': nothing of a job leaves Japan; null: jobs may run anywhere."


class DataRuleOut(Out):
    """`project`: null for the organisation's own, which holds in all of its projects."""

    project: str | None
    location: Annotated[str | None, Field(description=_LOCATION)]


class DataRulesOut(Out):
    """Those that were ever set."""

    items: list[DataRuleOut]


class DataRuleIn(In):
    """Holds for jobs that are submitted from now on. A project's rule adds to the organisation's and lifts nothing."""

    project: Word | None = None
    location: Annotated[Word | None, Field(description=_LOCATION, examples=["jp"])]


@router.get("/data-rules")
async def data_rules(caller: JobsReader) -> DataRulesOut:
    """Where the data of the organisation's jobs must stay."""
    return await _rules(caller)


@router.put("/data-rules")
async def set_data_rule(caller: MembersWriter, rule: DataRuleIn) -> DataRulesOut:
    """Sets the rule of the organisation, or of one of its projects; who manages members may."""
    async with caller.transaction() as conn:
        await scheduler.set_data_rule(
            conn, principal=caller.principal, project=rule.project, location=rule.location, now=caller.now
        )
    return await _rules(caller)


async def _rules(caller: Caller) -> DataRulesOut:
    async with caller.transaction() as conn:
        found = await scheduler.data_rules(conn, organisation_id=caller.organisation_id)
    items = sorted(found.items(), key=lambda each: each[0] or "")
    return DataRulesOut(items=[DataRuleOut(project=name, location=location) for name, location in items])
