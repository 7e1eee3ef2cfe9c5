"""Market references, and price versions that two persons publish by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.service import append_audit
from infra.db.connection import Conn
from pricing import catalog, policies, pricebook
from pricing.approvals import Content, Proposal
from pricing.days import day_of
from pricing.errors import AmountNotPositive, MarketReferenceExists, PriceVersionExists, UnknownOffering
from pricing.model import PriceComponent, PriceVersion
from pricing.pricebook import NewVersion, Published, Term
from pricing.reference import MarketReference, ReferenceAge, require_fresh, require_sound
from pricing.service.approvals import Order, executes, propose
from pricing.store import catalog as store
from pricing.store import pricebook as book_store
from pricing.store import references as reference_store
from pricing.units import yen_text

PUBLISH = "price.publish"
"""The kind of a proposal to publish price versions."""


async def record_market_reference(
    conn: Conn, new: MarketReference, *, now: datetime, actor: UUID | None = None
) -> None:
    """Record the market's price of a comparable machine (P2). The same again is nothing.

    AmountNotPositive, MarketReferenceWrong, MarketReferenceExists.
    """
    if new.amount_micro_yen <= 0:
        raise AmountNotPositive(amount_yen=yen_text(new.amount_micro_yen))
    require_sound(new, today=day_of(now))
    if await reference_store.add_market_reference(conn, new, actor=actor, now=now):
        await append_audit(
            conn,
            actor=actor,
            organisation_id=None,
            action="market_reference.record",
            subject=f"market_reference:{new.id}",
            facts={
                "source": new.source,
                "amount_yen": yen_text(new.amount_micro_yen),
                "per": str(new.per),
                "evidence_sha256": new.evidence.sha256.hex() if new.evidence else None,
            },
            now=now,
        )
    elif (await reference_store.market_references(conn, [new.id])).get(new.id) != new:
        raise MarketReferenceExists(reference=str(new.id))


async def market_references(conn: Conn, *, limit: int = 200) -> list[MarketReference]:
    """The latest looks at the market, the newest first."""
    return await reference_store.latest_references(conn, limit=limit)


async def reference_age(conn: Conn, *, now: datetime) -> ReferenceAge:
    """How old a reference may be now."""
    return policies.reference_age(await book_store.policy(conn, policies.MARKET_REFERENCE_AGE, now=now))


async def published_prices(conn: Conn, *, offering_id: str | None = None) -> list[Published]:
    """Every price that was ever published, of one offering or of all, with its reference and until when it holds.

    UnknownOffering.
    """
    sold = {each.id: each.retired_at for each in await store.offerings(conn, retired=True)}
    if offering_id is not None and offering_id not in sold:
        raise UnknownOffering(offering=offering_id)
    versions = await store.price_history(conn, offering_id)
    needed = {component.market_reference_id for each in versions for component in each.components}
    references = await reference_store.market_references(conn, sorted(needed))
    return pricebook.history(versions, references, sold)


async def propose_prices(
    conn: Conn, versions: Sequence[NewVersion], *, proposal_id: UUID, reason: str, actor: UUID, now: datetime
) -> Proposal:
    """Price versions that are published when a second person approves. The refusals of `propose` and of publication:

    UnknownOffering, PriceBackdated, PriceVersionExists, PriceVersionsOverlap, PriceGap, PriceComponentsWrong,
    CoefficientWrong, PriceRuleBroken, MarketReferenceUnknown, MarketReferenceTooOld, PriceAboveList,
    PriceNotBelowMarket, ExchangeRateWrong.
    """
    content = pricebook.content_of(versions)
    return await propose(
        conn, proposal_id=proposal_id, kind=PUBLISH, content=content, reason=reason, actor=actor, now=now
    )


@executes(PUBLISH)
async def _publish(conn: Conn, order: Order) -> Content:
    limits = await reference_age(conn, now=order.now)
    published: list[Mapping[str, Any]] = []
    warnings: list[Mapping[str, object]] = []
    for new in pricebook.versions_of(order.content):
        version, used = await _publish_one(conn, new, order)
        published.append(_effect(version))
        told = (require_fresh(each, today=day_of(order.now), limits=limits) for each in used)
        warnings += [each for each in told if each is not None and each not in warnings]
    return {"versions": published, "warnings": warnings}


async def _publish_one(conn: Conn, new: NewVersion, order: Order) -> tuple[PriceVersion, Sequence[MarketReference]]:
    """It is never edited: another price is another version, from now or later on."""
    sold = await store.offering(conn, new.offering_id)
    if sold is None:
        raise UnknownOffering(offering=new.offering_id)
    pricebook.require_coefficients(new)
    await store.lock_prices(conn, new.offering_id)
    term = Term(new.valid_from or order.now, new.valid_until)
    others = await store.terms(
        conn,
        offering_id=new.offering_id,
        customer_class=new.customer_class,
        service_class=new.service_class,
    )
    pricebook.require_term(term, others, offering_id=new.offering_id, retires_at=sold.retired_at, now=order.now)
    references = await reference_store.market_references(conn, [each.market_reference_id for each in new.prices])
    version = PriceVersion(
        id=new.id,
        offering_id=new.offering_id,
        customer_class=new.customer_class,
        service_class=new.service_class,
        valid_from=term.valid_from,
        tax_rate_bp=new.tax_rate_bp,
        components=catalog.priced_components(sold, new.prices, references, slice_premium_bp=new.slice_premium_bp),
        market_sources={each.id: each.source for each in references.values()},
        valid_until=new.valid_until,
        rule=pricebook.rule_told(new.rule),
        slice_below_gpus=new.slice_below_gpus,
        slice_premium_bp=new.slice_premium_bp,
        minimum_s=new.minimum_s,
    )
    if not await store.add_price_version(
        conn, version, proposal_id=order.proposal_id, published_by=order.approved_by, now=order.now
    ):
        raise PriceVersionExists(offering=new.offering_id, valid_from=term.valid_from.isoformat())
    await append_audit(
        conn,
        actor=order.approved_by,
        organisation_id=None,
        action="price.publish",
        subject=f"price_version:{version.id}",
        facts={**_effect(version), "proposal": str(order.proposal_id)},
        now=order.now,
    )
    return version, list(references.values())


def _effect(version: PriceVersion) -> Mapping[str, Any]:
    return {
        "id": str(version.id),
        "offering": version.offering_id,
        "customer_class": version.customer_class.value,
        "service_class": version.service_class.value,
        "valid_from": version.valid_from.isoformat(),
        "valid_until": None if version.valid_until is None else version.valid_until.isoformat(),
        "prices": [_price(each) for each in version.components],
    }


def _price(each: PriceComponent) -> Mapping[str, str]:
    told = {
        "component": each.component.value,
        "per": str(each.per),
        "price_yen": yen_text(each.price_micro_yen),
        "list_yen": yen_text(each.list_micro_yen),
        "market_yen": yen_text(each.market_micro_yen),
    }
    if each.foreign is not None:
        told["converted"] = f"{each.foreign.currency} {each.foreign.amount} at {each.foreign.exchange_rate}"
    return told
