"""Promotions, the volume discount and other settings of the price book: two persons set them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid5

from fastapi import APIRouter
from pydantic import Field

from accounts.model import CustomerClass
from portal.api.offerings import percent_text
from portal.api.prices import Instant, Percent, Reason
from portal.api.proposals import ProposalOut, proposal_out
from portal.api.wire import DryRun, In, Items, Out, Word, Yen, YenIn
from portal.auth.caller import AnyCaller, Operator
from portal.auth.idempotency import IdempotencyKey
from pricing import service as pricing
from pricing.discounts import Promotion
from pricing.units import micro, yen_text

router = APIRouter(tags=["prices"])


class NewPromotion(In):
    """A discount for jobs submitted from `starts_at` until `ends_at`: `percent` of what they are charged, or
    `month_yen` off each organisation's month. `offering`, `customer_class` left out: of all, for every class.
    """

    title_ja: Annotated[Word, Field(max_length=200)]
    title_en: Annotated[Word, Field(max_length=200)]
    offering: Word | None = None
    customer_class: CustomerClass | None = None
    percent: Percent | None = None
    month_yen: YenIn | None = None
    starts_at: Instant
    ends_at: Instant
    reason: Reason


class PromotionOut(Out):
    """Shown on invoices as a negative line of its own, off what grants do not cover."""

    id: UUID
    title: str
    offering: str | None
    customer_class: str | None
    percent: str | None
    month_yen: Yen | None
    starts_at: datetime
    ends_at: datetime


class NewPolicy(In):
    """A setting from `effective_at` on (left out: from the approval on).

    `market_reference_age`: `{"warn_after_days": 90, "block_after_days": 180}`.
    `volume_discount`: `{"tiers": [{"above_yen": "1000000", "percent_bp": 500}]}`, percentages in 1/100 of a percent:
    off what of a month's charge lies above that, by the setting at the month's beginning.
    """

    value: dict[str, Any]
    effective_at: Instant | None = None
    reason: Reason


class PolicyOut(Out):
    name: str
    value: dict[str, Any]
    effective_at: datetime


@router.get("/promotions")
async def list_promotions(caller: AnyCaller) -> Items[PromotionOut]:
    """Those that are on or announced."""
    async with caller.transaction() as conn:
        found = await pricing.promotions(conn, now=caller.now)
    return Items(
        items=[
            PromotionOut(
                id=each.id,
                title=each.title_ja if caller.language.value == "ja" else each.title_en,
                offering=each.offering_id,
                customer_class=each.customer_class.value if each.customer_class else None,
                percent=None if each.percent_bp is None else percent_text(each.percent_bp),
                month_yen=None if each.month_micro_yen is None else yen_text(each.month_micro_yen),
                starts_at=each.starts_at,
                ends_at=each.ends_at,
            )
            for each in found
        ]
    )


@router.post("/promotions/proposals", status_code=HTTPStatus.CREATED, tags=["operator"])
async def propose_promotion(
    caller: Operator,
    new: NewPromotion,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """A promotion that is on when another operator has approved it. It cannot begin in the past."""
    proposal_id = uuid5(caller.principal.person_id, f"promotion:{key}")
    promotion = Promotion(
        id=proposal_id,
        title_ja=new.title_ja,
        title_en=new.title_en,
        offering_id=new.offering,
        customer_class=new.customer_class,
        percent_bp=None if new.percent is None else int(Decimal(new.percent) * 100),
        month_micro_yen=None if new.month_yen is None else micro(new.month_yen),
        starts_at=new.starts_at,
        ends_at=new.ends_at,
    )
    async with caller.transaction(dry_run=dry_run) as conn:
        made = await pricing.propose_promotion(
            conn,
            promotion,
            proposal_id=proposal_id,
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return proposal_out(made, caller.now, dry_run=dry_run)


@router.get("/policies", tags=["operator"])
async def list_policies(caller: Operator) -> Items[PolicyOut]:
    """Every value ever set, by name and instant; what was never set has its default."""
    async with caller.transaction() as conn:
        found = await pricing.policy_history(conn)
    return Items(items=[PolicyOut(name=name, value=dict(value), effective_at=at) for name, at, value in found])


@router.post("/policies/{name}/proposals", status_code=HTTPStatus.CREATED, tags=["operator"])
async def propose_policy(
    caller: Operator,
    name: Word,
    new: NewPolicy,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """A setting that holds when another operator has approved it."""
    proposal_id = uuid5(caller.principal.person_id, f"policy:{key}")
    async with caller.transaction(dry_run=dry_run) as conn:
        made = await pricing.propose_policy(
            conn,
            name,
            new.value,
            effective_at=new.effective_at,
            proposal_id=proposal_id,
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return proposal_out(made, caller.now, dry_run=dry_run)
