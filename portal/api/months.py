"""The close of months, for operators: how far each has come, what closing would issue, and the decision."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field

from portal.api.wire import DryRun, In, Items, Out, Word
from portal.auth.caller import Operator
from pricing import service as pricing
from pricing.closing import MonthState, Step, grace_ends
from pricing.days import Month
from pricing.document import DocumentKind

router = APIRouter(tags=["operator"], prefix="/months")

MonthPath = Annotated[str, Path(description="YYYY-MM in Japan.", max_length=50)]


class MonthOut(Out):
    """A month. `facts`: what its last step rests on; of a closed one what it came to."""

    month: str
    step: Step
    decided_by: UUID | None
    recorded_at: datetime | None
    facts: dict[str, Any] | None


class WouldIssueOut(Out):
    """What a close would issue to an organisation, in whole yen."""

    organisation_id: UUID
    organisation: str
    kind: DocumentKind
    total_yen: int
    prepaid_applied_yen: int
    carried_in_yen: int
    carried_out_yen: int
    amount_due_yen: int


class PreviewOut(Items[WouldIssueOut]):
    """What closing the month now would issue. `earlier_open`: to be closed first; `unsettled`: attempts in the way."""

    month: str
    closable_from: datetime
    earlier_open: str | None
    unsettled: int
    total_yen: int
    amount_due_yen: int


class Closing(In):
    leave_unsettled: Annotated[
        Word | None,
        Field(description="Why it is closed although use is unsettled, which then comes into a later month."),
    ] = None


class ClosingOut(MonthOut):
    """`dry_run`: nothing was kept; this is how it would be."""

    dry_run: bool
    issue_date: date | None


@router.get("")
async def list_months(caller: Operator) -> Items[MonthOut]:
    """From the first one, 24 at most, in order."""
    async with caller.transaction() as conn:
        found = await pricing.months(conn, now=caller.now)
    return Items(items=[MonthOut(**_told(each)) for each in found])


@router.get("/{month}/preview")
async def preview_month(caller: Operator, month: MonthPath) -> PreviewOut:
    """The dry run: every document that closing the month now would issue. Issues nothing."""
    wanted, rules = Month.parse(month), caller.deps.close_rules
    async with caller.transaction(snapshot=True) as conn:
        known = await pricing.findings(conn, wanted, unexplained=None, now=caller.now)
        shown = [
            WouldIssueOut(
                organisation_id=each.customer.organisation_id,
                organisation=each.customer.name,
                kind=each.kind,
                total_yen=each.total_yen,
                prepaid_applied_yen=each.prepaid_applied_yen,
                carried_in_yen=each.carried_in_yen,
                carried_out_yen=each.carried_out_yen,
                amount_due_yen=each.amount_due_yen,
            )
            async for each in pricing.preview(conn, wanted, rules, now=caller.now)
        ]
    return PreviewOut(
        month=str(wanted),
        closable_from=grace_ends(wanted, rules),
        earlier_open=str(known.earlier_open) if known.earlier_open else None,
        unsettled=known.unsettled,
        total_yen=sum(each.total_yen for each in shown),
        amount_due_yen=sum(each.amount_due_yen for each in shown),
        items=shown,
    )


@router.post("/{month}/close")
async def close_month(
    caller: Operator,
    month: MonthPath,
    given: Closing,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ClosingOut:
    """Decides that a month is closed; the worker then issues its documents. Again: nothing happens.

    First the books are compared with what the machines say, which may take a while.
    """
    wanted, rules = Month.parse(month), caller.deps.close_rules
    compare = caller.deps.unexplained
    unexplained = None if compare is None else await compare(wanted.since, caller.now)
    async with caller.transaction(dry_run=dry_run) as conn:
        found = await pricing.begin_close(
            conn,
            wanted,
            unexplained=unexplained,
            rules=rules,
            leave_unsettled=given.leave_unsettled,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return ClosingOut(**_told(found), dry_run=dry_run, issue_date=(found.facts or {}).get("issue_date"))


def _told(found: MonthState) -> dict[str, Any]:
    return {
        "month": str(found.month),
        "step": found.step,
        "decided_by": found.decided_by,
        "recorded_at": found.recorded_at,
        "facts": None if found.facts is None else dict(found.facts),
    }
