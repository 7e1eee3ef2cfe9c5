"""Promotions, and settings of the price book: two persons set them, and months are lowered by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.model import CustomerClass
from infra.db.connection import Conn
from pricing import discounts, policies
from pricing.approvals import Content, Proposal
from pricing.days import Month
from pricing.discounts import Promoted, Promotion, RateMonth, Reduction, TakenBack, Tier
from pricing.errors import PolicyExists, PolicyWrong, PromotionExists, PromotionWrong, UnknownOffering
from pricing.invoicing import Cover, Extra, UsageSum
from pricing.service.approvals import Order, executes, propose
from pricing.store import catalog as catalog_store
from pricing.store import pricebook as store
from pricing.units import micro, yen_text

START_PROMOTION = "promotion.start"
SET_POLICY = "policy.set"
_LONGEST_TITLE = 200
_WHOLE_BP = 10_000
_MOST_MICRO_YEN = 10**18


async def propose_promotion(
    conn: Conn, new: Promotion, *, proposal_id: UUID, reason: str, actor: UUID, now: datetime
) -> Proposal:
    """A promotion that begins when a second person has approved, and not before. The refusals of `propose`;

    PromotionWrong, PromotionExists, UnknownOffering.
    """
    content = {
        "id": str(new.id),
        "title_ja": new.title_ja,
        "title_en": new.title_en,
        "offering": new.offering_id,
        "customer_class": None if new.customer_class is None else new.customer_class.value,
        "percent_bp": new.percent_bp,
        "month_yen": None if new.month_micro_yen is None else yen_text(new.month_micro_yen),
        "starts_at": new.starts_at.isoformat(),
        "ends_at": new.ends_at.isoformat(),
    }
    return await propose(
        conn, proposal_id=proposal_id, kind=START_PROMOTION, content=content, reason=reason, actor=actor, now=now
    )


@executes(START_PROMOTION)
async def _start(conn: Conn, order: Order) -> Content:
    told = order.content
    new = Promotion(
        id=UUID(told["id"]),
        title_ja=told["title_ja"],
        title_en=told["title_en"],
        offering_id=told["offering"],
        customer_class=None if told["customer_class"] is None else CustomerClass(told["customer_class"]),
        percent_bp=told["percent_bp"],
        month_micro_yen=None if told["month_yen"] is None else micro(told["month_yen"]),
        starts_at=datetime.fromisoformat(told["starts_at"]),
        ends_at=datetime.fromisoformat(told["ends_at"]),
    )
    _require_promotion(new, now=order.now)
    if new.offering_id is not None and await catalog_store.offering(conn, new.offering_id) is None:
        raise UnknownOffering(offering=new.offering_id)
    if not await store.add_promotion(conn, new, proposal_id=order.proposal_id, now=order.now):
        raise PromotionExists(promotion=str(new.id))
    return {"promotion": str(new.id), "starts_at": told["starts_at"], "ends_at": told["ends_at"]}


def _require_promotion(new: Promotion, *, now: datetime) -> None:
    amount, percent = new.month_micro_yen, new.percent_bp
    sound = {
        "title_ja": len(new.title_ja.strip()) >= 1 and len(new.title_ja) <= _LONGEST_TITLE,
        "title_en": len(new.title_en.strip()) >= 1 and len(new.title_en) <= _LONGEST_TITLE,
        "percent": (amount is None) != (percent is None) and (percent is None or 1 <= percent <= _WHOLE_BP),
        "month_yen": amount is None or 0 < amount <= _MOST_MICRO_YEN,
        "starts_at": new.starts_at >= now,  # what was promised to jobs before does not change behind them
        "ends_at": new.starts_at < new.ends_at,
    }
    for name, holds in sound.items():
        if not holds:
            raise PromotionWrong(field=name)


async def promotions(conn: Conn, *, now: datetime) -> list[Promotion]:
    """Those that are on, or will be, by their start."""
    return await store.promotions(conn, since=now)


async def propose_policy(
    conn: Conn,
    name: str,
    value: Mapping[str, Any],
    *,
    effective_at: datetime | None,
    proposal_id: UUID,
    reason: str,
    actor: UUID,
    now: datetime,
) -> Proposal:
    """A setting that holds from an instant (None: the approval) on. The refusals of `propose`;

    PolicyWrong, PolicyExists. A month's invoice is ruled by what held at its beginning: nothing is set for the past.
    """
    content = {
        "name": name,
        "value": dict(value),
        "effective_at": None if effective_at is None else effective_at.isoformat(),
    }
    policies.require_policy(name, value)
    return await propose(
        conn, proposal_id=proposal_id, kind=SET_POLICY, content=content, reason=reason, actor=actor, now=now
    )


@executes(SET_POLICY)
async def _set(conn: Conn, order: Order) -> Content:
    name, value, told = order.content["name"], order.content["value"], order.content["effective_at"]
    policies.require_policy(name, value)
    effective_at = order.now if told is None else datetime.fromisoformat(told)
    if effective_at < order.now:
        raise PolicyWrong(policy=name)
    if not await store.set_policy(
        conn, name, value, effective_at=effective_at, proposal_id=order.proposal_id, now=order.now
    ):
        raise PolicyExists(policy=name, effective_at=effective_at.isoformat())
    return {"policy": name, "effective_at": effective_at.isoformat(), "value": value}


async def policy_history(conn: Conn) -> list[tuple[str, datetime, Mapping[str, Any]]]:
    """Every value ever set, with the instant from which it holds, by name."""
    return await store.policies(conn)


async def extras(
    conn: Conn, month: Month, usage: Mapping[UUID, Sequence[UsageSum]], covers: Mapping[UUID, Sequence[Cover]]
) -> dict[UUID, list[Extra]]:
    """What promotions and the volume discount (as it was at the month's beginning) take off organisations' months, and
    what of that is taken back with use of closed months.

    usage, covers: by organisation, as their documents have them.
    """
    tiers = policies.volume_discount(await store.policy(conn, policies.VOLUME_DISCOUNT, now=month.since))
    corrected = [organisation for organisation, of_one in usage.items() if any(each.corrects for each in of_one)]
    back = await store.taken_back(conn, corrected, month) if corrected else {}
    jobs = [each.job_id for of_one in back.values() for each in of_one]
    promoted = await store.promoted(conn, list(usage), month, but=jobs)
    return {
        organisation: [
            Extra(code=each.code, tax_rate_bp=each.tax_rate_bp, micro_yen=each.micro_yen)
            for each in _lines(
                _rates(of_one, covers.get(organisation, ())),
                promoted.get(organisation, ()),
                tiers,
                back.get(organisation, ()),
            )
        ]
        for organisation, of_one in usage.items()
    }


def _lines(
    months: Sequence[RateMonth], promoted: Sequence[Promoted], tiers: Sequence[Tier], back: Sequence[TakenBack]
) -> list[Reduction]:
    rest = [discounts.without(each, back) for each in months]
    return discounts.reductions(rest, promoted, tiers) + discounts.returned(back)


def _rates(usage: Sequence[UsageSum], covers: Sequence[Cover]) -> list[RateMonth]:
    return [
        RateMonth(
            tax_rate_bp=rate,
            charged_micro_yen=sum(each.charged_micro_yen for each in usage if each.tax_rate_bp == rate),
            granted_micro_yen=sum(each.granted_micro_yen for each in covers if each.tax_rate_bp == rate),
        )
        for rate in sorted({each.tax_rate_bp for each in usage})
    ]
