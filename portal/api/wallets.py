"""What becomes of wallets: an organisation's outlook, notices and limits; grants and the law for operators."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from accounts import service as accounts
from accounts.errors import PersonNotFound
from accounts.model import Scope
from infra.db.connection import Conn
from portal.api.proposals import ProposalOut, proposal_out
from portal.api.wire import Count, DryRun, In, Items, Out, Word, Yen, YenIn
from portal.auth.caller import Caller, MoneyReader, Operator, needs
from portal.auth.idempotency import IdempotencyKey
from pricing import prepaid
from pricing import service as pricing
from pricing.budgets import Budget, BudgetPeriod, Spent
from pricing.days import day_of
from pricing.issuance import Issuance
from pricing.model import Component, GrantPurpose
from pricing.units import micro, yen_text

router = APIRouter(tags=["money"])
Spender = Annotated[Caller, needs(Scope.MONEY_READ, Scope.MEMBERS_WRITE)]
"""Who may see and set limits: owners, administrators and billing."""


class OutlookOut(Out):
    """What becomes of the wallet if use goes on as in the days looked at."""

    available_yen: Yen
    days: int
    per_day_yen: Yen
    exhausted_on: Annotated[date | None, Field(description="The first day that it cannot pay for; null: not in sight.")]
    lapsing_yen: Annotated[Yen, Field(description="What will lapse unused.")]


class NoticeOut(Out):
    """Something that was told once: `wallet_used`, `budget_used`, `value_lapses`."""

    id: UUID
    kind: str
    facts: dict[str, str]
    noticed_at: datetime


class BudgetOut(Out):
    """A limit in force, and what of it is gone; without tax, before grants. project, person null: all of them."""

    id: UUID
    project: str | None
    person_id: UUID | None
    period: BudgetPeriod
    since: date | None
    limit_yen: Yen
    charged_yen: Yen
    held_yen: Yen
    left_yen: Yen
    reason: str


class NewBudget(In):
    """A limit on what is spent. `limit_yen` null lifts the one of the same project, member and period."""

    project: Annotated[Word | None, Field(description="Its slug; null: all projects.")] = None
    person_id: Annotated[UUID | None, Field(description="null: all members.")] = None
    period: BudgetPeriod
    limit_yen: Annotated[int | None, Field(ge=0, le=10**12, examples=[100_000])]
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class NewGrant(In):
    """Free value that lapses at `expires_at`, once a second person approves."""

    amount_yen: YenIn
    expires_at: AwareDatetime
    purpose: GrantPurpose = GrantPurpose.SUBSIDY
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class PrepaidOut(Out):
    """Unused prepaid value at the end of a day, in all wallets (資金決済法). `counted`: what does not lapse in time."""

    on: date
    is_base_date: bool
    exempt_yen: Yen
    counted_yen: Yen
    notify_above_yen: Yen
    must_notify: bool
    deposit_yen: Annotated[Yen, Field(description="What would have to be deposited, at least.")]
    warns: bool


class IssuanceOut(Out):
    """Value in all wallets, and what the machines can deliver for it; null: nobody has said what there is."""

    until: datetime
    outstanding_yen: Yen
    deliverable_yen: Yen | None
    left_yen: Yen | None


class NewDeliverable(In):
    """What the machines of a resource type can give in an hour: less what is down, reserved for others, or unsold."""

    resource_type: Word
    component: Component
    per_hour: Annotated[Count, Field(ge=0, description="Units: 576 GPUs give 2,073,600 gpu_s.")]
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


@router.get("/outlook")
async def get_outlook(caller: MoneyReader) -> OutlookOut:
    """How fast the wallet empties, when it will be empty, what will lapse unused."""
    async with caller.transaction() as conn:
        seen = await pricing.outlook_of(conn, caller.organisation_id, now=caller.now)
        balance = await pricing.balance(conn, caller.organisation_id, now=caller.now)
    return OutlookOut(
        available_yen=yen_text(balance.available_micro_yen),
        days=seen.days,
        per_day_yen=yen_text(seen.per_day_micro_yen),
        exhausted_on=seen.exhausted_on,
        lapsing_yen=yen_text(seen.lapsing_micro_yen),
    )


@router.get("/notices")
async def list_notices(caller: Spender) -> Items[NoticeOut]:
    """The latest 50, the newest first."""
    async with caller.transaction() as conn:
        found = await pricing.notices(conn, caller.organisation_id)
    return Items(
        items=[NoticeOut(id=each.id, kind=each.kind.value, facts=dict(each.facts), noticed_at=at) for each, at in found]
    )


@router.get("/budgets")
async def list_budgets(caller: Spender) -> Items[BudgetOut]:
    """The limits in force, and what of each is gone."""
    async with caller.transaction() as conn:
        return await _budgets(conn, caller)


@router.post("/budgets", status_code=HTTPStatus.CREATED)
async def set_budget(
    caller: Spender,
    new: NewBudget,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> Items[BudgetOut]:
    """Puts a limit in force, or lifts it. What waits or runs goes on; what is new is refused beyond it."""
    organisation_id = caller.organisation_id
    async with caller.transaction(dry_run=dry_run) as conn:
        project_id = None
        if new.project is not None:
            project_id = (await accounts.project_by_slug(conn, organisation_id, new.project)).id
        if new.person_id is not None:
            members = await accounts.list_members(conn, organisation_id)
            if new.person_id not in {each.person_id for each in members}:
                raise PersonNotFound
        budget = Budget(
            id=uuid5(organisation_id, f"budget:{key}"),
            organisation_id=organisation_id,
            project_id=project_id,
            person_id=new.person_id,
            period=new.period,
            limit_yen=new.limit_yen or 0,
            reason=new.reason,
            decided_by=caller.principal.person_id,
            decided_at=caller.now,
        )
        await pricing.set_budget(conn, budget, lifted=new.limit_yen is None)
        return await _budgets(conn, caller)


@router.post("/organisations/{organisation_id}/grants/proposals", status_code=HTTPStatus.CREATED, tags=["operator"])
async def propose_grant(
    caller: Operator,
    organisation_id: UUID,
    new: NewGrant,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """Free value from the subsidy, or of a promotion. A second operator approves it; then it is there."""
    async with caller.transaction(dry_run=dry_run) as conn:
        await accounts.organisation(conn, organisation_id)
        made = await pricing.propose_grant(
            conn,
            grant_id=uuid5(organisation_id, f"grant:{key}"),
            organisation_id=organisation_id,
            amount_micro_yen=micro(new.amount_yen),
            expires_at=new.expires_at,
            purpose=new.purpose,
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return proposal_out(made, caller.now, dry_run=dry_run)


@router.get("/prepaid-balance", tags=["operator"])
async def get_prepaid_balance(
    caller: Operator,
    on: Annotated[date | None, Query(description="A day in Japan; default: the last base date.")] = None,
) -> PrepaidOut:
    """Unused prepaid value at the end of a day, as the law asks for it on 31 March and 30 September."""
    day = on or prepaid.base_date(day_of(caller.now))
    async with caller.transaction(snapshot=True) as conn:
        found = await pricing.prepaid_balance(conn, on=day)
    return PrepaidOut(
        on=found.on,
        is_base_date=found.is_base_date,
        exempt_yen=yen_text(found.exempt_micro_yen),
        counted_yen=yen_text(found.counted_micro_yen),
        notify_above_yen=str(prepaid.NOTIFY_ABOVE_YEN),
        must_notify=found.must_notify,
        deposit_yen=str(found.deposit_yen),
        warns=found.warns,
    )


@router.get("/issuance", tags=["operator"])
async def get_issuance(caller: Operator) -> IssuanceOut:
    """Whether what is given out and sold can be delivered by the end of the fiscal year."""
    async with caller.transaction() as conn:
        found = await pricing.may_issue(conn, now=caller.now)
    return _issuance_out(found)


@router.post("/issuance/deliverable", status_code=HTTPStatus.CREATED, tags=["operator"])
async def set_deliverable(
    caller: Operator,
    new: NewDeliverable,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> IssuanceOut:
    """Says what the machines of a resource type can give in an hour. From now on nothing is granted beyond it."""
    async with caller.transaction(dry_run=dry_run) as conn:
        found = await pricing.set_deliverable(
            conn,
            deliverable_id=uuid5(caller.principal.person_id, f"deliverable:{key}"),
            resource_type=new.resource_type,
            component=new.component.value,
            per_hour=str(new.per_hour),
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return _issuance_out(found)


async def _budgets(conn: Conn, caller: Caller) -> Items[BudgetOut]:
    slugs = {each.id: each.slug for each in await accounts.list_projects(conn, caller.organisation_id)}
    found = await pricing.budgets_of(conn, caller.organisation_id, now=caller.now)
    return Items(items=[_budget_out(each, slugs) for each in found])


def _budget_out(spent: Spent, slugs: dict[UUID, str]) -> BudgetOut:
    budget = spent.budget
    return BudgetOut(
        id=budget.id,
        project=None if budget.project_id is None else slugs[budget.project_id],
        person_id=budget.person_id,
        period=budget.period,
        since=None if budget.period is BudgetPeriod.FOREVER else spent.since,
        limit_yen=str(budget.limit_yen),
        charged_yen=yen_text(spent.charged_micro_yen),
        held_yen=yen_text(spent.held_micro_yen),
        left_yen=yen_text(spent.left_micro_yen),
        reason=budget.reason,
    )


def _issuance_out(found: Issuance) -> IssuanceOut:
    left = found.left_micro_yen
    can = found.deliverable_micro_yen
    return IssuanceOut(
        until=found.until,
        outstanding_yen=yen_text(found.outstanding_micro_yen),
        deliverable_yen=None if can is None else yen_text(can),
        left_yen=None if left is None else yen_text(left),
    )
