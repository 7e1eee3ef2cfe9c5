"""Refunds: one, or a whole list as CSV with a result for each row. Large ones wait for a second operator."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Body
from pydantic import Field

from accounts import service as accounts
from accounts.errors import OrganisationNotFound
from infra.db.connection import Conn, savepoint
from infra.refusal import Refusal
from portal.api.jobref import ReadJob
from portal.api.proposals import ProposalOut, proposal_out
from portal.api.wire import DryRun, In, Items, Out, Word, Yen, YenIn
from portal.auth.caller import Caller, JobsReader, Operator
from portal.auth.idempotency import IdempotencyKey
from portal.refusals import say
from pricing import service as pricing
from pricing.errors import RefundListWrong, RefundWrong
from pricing.model import Cause
from pricing.service.job_refunds import Decided, Wanted, percent_bp
from pricing.units import micro, yen_text
from scheduler import service as scheduler

router = APIRouter(tags=["operator"])
_COLUMNS = ("organisation", "job", "amount_yen", "percent", "cause", "reason")
_MOST_ROWS = 1_000


class NewRefund(In):
    """What is given back of a job, without tax (the tax on it goes back too): an amount, or a share of its charge."""

    job: Annotated[Word, Field(description="Its id, its number, or N_k for task k of array N.")]
    amount_yen: YenIn | None = None
    percent: Annotated[Word | None, Field(examples=["50", "12.5"])] = None
    cause: Cause
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class RefundOut(Out):
    """What came of it. `proposal`: null where it is given back; else it waits for the second person."""

    id: UUID
    amount_yen: Yen
    charged_yen: Annotated[Yen, Field(description="What the job is charged then.")]
    proposal: ProposalOut | None


class GivenOut(Out):
    """A refund as its customer sees it."""

    amount_yen: Yen
    cause: Cause
    reason: str
    decided_at: str


class RowStatus(StrEnum):
    REFUNDED = "refunded"
    PROPOSED = "proposed"
    REFUSED = "refused"


class RowOut(Out):
    """What became of a row. row: 2 is the first under the header. code, message: of a refusal."""

    row: int
    status: RowStatus
    amount_yen: Yen | None
    charged_yen: Yen | None
    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class _Given:
    """A refund by hand or by a row."""

    id: UUID
    organisation_id: UUID
    job: str
    amount_yen: str | None
    percent: str | None
    cause: Cause
    reason: str


@router.post("/organisations/{organisation_id}/refunds", status_code=HTTPStatus.CREATED)
async def refund_job(
    caller: Operator,
    organisation_id: UUID,
    new: NewRefund,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> RefundOut:
    """Gives back a part of what a job is charged; above the limit of one person a second operator approves it first."""
    given = _Given(
        id=uuid5(organisation_id, f"refund:{key}"),
        organisation_id=organisation_id,
        job=new.job,
        amount_yen=new.amount_yen,
        percent=new.percent,
        cause=new.cause,
        reason=new.reason,
    )
    async with caller.transaction(dry_run=dry_run) as conn:
        await accounts.organisation(conn, organisation_id)
        decided = await _refund(conn, caller, given)
    proposal = None if decided.proposal is None else proposal_out(decided.proposal, caller.now, dry_run=dry_run)
    return RefundOut(
        id=given.id,
        amount_yen=yen_text(decided.amount_micro_yen),
        charged_yen=yen_text(decided.charged_micro_yen),
        proposal=proposal,
    )


@router.post("/refunds/list")
async def refund_list(
    caller: Operator,
    rows: Annotated[str, Body(media_type="text/csv", description=f"Columns: {', '.join(_COLUMNS)}.")],
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> Items[RowOut]:
    """Each row by itself: one that is refused stops no other. The same list under the same key gives nothing twice.

    organisation: its slug. Either amount_yen or percent. 1,000 rows at most. A dry run tries the rows one after the
    other as one whole, and holds the wallets that it touches until its end.
    """
    async with caller.transaction() as conn:
        slugs = {each.slug: each.id for each in await accounts.list_organisations(conn)}
    if not dry_run:
        return Items(items=[await _row(caller, slugs, each, key) for each in _rows(rows)])
    async with caller.transaction(dry_run=True) as conn:  # all in one: a row sees what the rows before it would give
        return Items(items=[await _row(caller, slugs, each, key, rehearsed_in=conn) for each in _rows(rows)])


@router.get("/jobs/{job_id}/refunds", tags=["money"])
async def list_refunds(caller: JobsReader, job_id: ReadJob) -> Items[GivenOut]:
    """What of a job's charge was given back, and why."""
    async with caller.transaction() as conn:
        await scheduler.job(conn, job_id)
        found = await pricing.refunds_of(conn, [job_id])
    return Items(
        items=[
            GivenOut(
                amount_yen=yen_text(each.amount_micro_yen),
                cause=each.cause,
                reason=each.reason,
                decided_at=each.decided_at.isoformat(),
            )
            for each in found
        ]
    )


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """RefundListWrong: no list of refunds."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        raise RefundListWrong(problem="not_csv") from None
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise RefundListWrong(problem="columns")
    if len(rows) > _MOST_ROWS:
        raise RefundListWrong(problem="too_many_rows")
    if any(None in row or None in row.values() for row in rows):
        raise RefundListWrong(problem="columns")
    return enumerate(rows, start=2)


async def _row(
    caller: Caller,
    slugs: Mapping[str, UUID],
    numbered: tuple[int, Mapping[str, str]],
    key: str,
    *,
    rehearsed_in: Conn | None = None,
) -> RowOut:
    number, row = numbered
    try:
        given = _given(slugs, number, row, key)
        async with caller.transaction() if rehearsed_in is None else _part_of(rehearsed_in) as conn:
            decided = await _refund(conn, caller, given)
    except Refusal as refusal:
        said = say(refusal, caller.language)
        return RowOut(
            row=number,
            status=RowStatus.REFUSED,
            amount_yen=None,
            charged_yen=None,
            code=said.code,
            message=said.message,
        )
    return RowOut(
        row=number,
        status=RowStatus.REFUNDED if decided.proposal is None else RowStatus.PROPOSED,
        amount_yen=yen_text(decided.amount_micro_yen),
        charged_yen=yen_text(decided.charged_micro_yen),
        code=None,
        message=None,
    )


@asynccontextmanager
async def _part_of(conn: Conn) -> AsyncIterator[Conn]:
    """A row that is refused takes back itself alone."""
    async with savepoint(conn):
        yield conn


def _given(slugs: Mapping[str, UUID], number: int, row: Mapping[str, str], key: str) -> _Given:
    """OrganisationNotFound, RefundWrong. A row is known by its key and its place: the same list gives nothing twice."""
    organisation_id = slugs.get(row["organisation"].strip())
    if organisation_id is None:
        raise OrganisationNotFound
    try:
        cause = Cause(row["cause"].strip())
    except ValueError:
        raise RefundWrong(field="cause") from None
    return _Given(
        id=uuid5(organisation_id, f"refund:{key}:{number}"),
        organisation_id=organisation_id,
        job=row["job"].strip(),
        amount_yen=row["amount_yen"].strip() or None,
        percent=row["percent"].strip() or None,
        cause=cause,
        reason=row["reason"].strip(),
    )


async def _refund(conn: Conn, caller: Caller, given: _Given) -> Decided:
    job_id = await scheduler.job_id_of(conn, organisation_id=given.organisation_id, name=given.job)
    try:
        amount = None if given.amount_yen is None else micro(given.amount_yen)
    except (ValueError, ArithmeticError):
        raise RefundWrong(field="amount_yen") from None
    wanted = Wanted(
        id=given.id,
        organisation_id=given.organisation_id,
        job_id=job_id,
        cause=given.cause,
        reason=given.reason,
        amount_micro_yen=amount,
        percent_bp=None if given.percent is None else percent_bp(given.percent),
    )
    return await pricing.refund(conn, wanted, actor=caller.principal.person_id, now=caller.now)
