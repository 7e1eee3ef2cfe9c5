"""Offerings, prices and quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from accounts.model import CustomerClass
from accounts.service import append_audit
from infra.db.ahead import Look
from infra.db.connection import Conn
from pricing import catalog, quoting
from pricing.days import Month
from pricing.errors import (
    CostCapTooSmall,
    NoPrice,
    OfferingExists,
    OfferingRetired,
    UnknownOffering,
)
from pricing.model import (
    ConvertedPrice,
    JobSize,
    Offering,
    OfferingWithPrices,
    Priced,
    PriceVersion,
    Quote,
    ServiceClass,
)
from pricing.store import catalog as store
from pricing.units import yen_text


async def offerings(conn: Conn, *, customer_class: CustomerClass, now: datetime) -> list[OfferingWithPrices]:
    """What is sold, with the prices now in force for one class of customers."""
    versions = await store.prices_in_force(conn, customer_class=customer_class, now=now)
    return [
        OfferingWithPrices(offering=each, prices=tuple(price for price in versions if price.offering_id == each.id))
        for each in await store.offerings(conn, retired=True)
        if each.retired_at is None or now < each.retired_at
    ]


async def sold(conn: Conn) -> list[Offering]:
    """What is on sale, by id, whoever may buy it."""
    return await store.offerings(conn)


async def backends(conn: Conn) -> frozenset[str]:
    """On which machines something is or was sold."""
    return frozenset(each.backend for each in await store.offerings(conn, retired=True))


async def resource_types(conn: Conn) -> dict[str, str]:
    """What counts as a unit of each machine: that of the first of its offerings, by id, those that retire last."""
    found: dict[str, str] = {}
    for each in sorted(await store.offerings(conn, retired=True), key=lambda one: (one.retired_at is not None, one.id)):
        found.setdefault(each.backend, each.resource_type)
    return found


async def offering(conn: Conn, offering_id: str) -> Offering:
    """One offering, retired or not. UnknownOffering."""
    found = await store.offering(conn, offering_id)
    if found is None:
        raise UnknownOffering(offering=offering_id)
    return found


async def price_history(conn: Conn, offering_id: str) -> list[PriceVersion]:
    """Every price that was ever published for an offering, oldest first. UnknownOffering."""
    await offering(conn, offering_id)
    return await store.price_history(conn, offering_id)


async def price_version(conn: Conn, price_version_id: UUID) -> PriceVersion:
    """One that was published. LookupError."""
    found = await store.price_version(conn, price_version_id)
    if found is None:
        raise LookupError(f"no price version {price_version_id}")
    return found


async def converted_prices(conn: Conn, organisation_id: UUID, *, month: Month) -> Sequence[ConvertedPrice]:
    """The prices in other currencies by which what ran in a month was rated, with the exchange rates used."""
    return await store.converted_prices(conn, organisation_id, since=month.first, until=month.following.first)


async def priced(
    conn: Conn, offering_id: str, *, customer_class: CustomerClass, service_class: ServiceClass, now: datetime
) -> Priced:
    """An offering, retired or not, with the price now in force for a class of customers. UnknownOffering."""
    found = await store.priced(
        conn, offering_id=offering_id, customer_class=customer_class, service_class=service_class, now=now
    )
    if found is None:
        raise UnknownOffering(offering=offering_id)
    return found


def priced_look(offering_id: str, *, customer_class: CustomerClass, service_class: ServiceClass, now: datetime) -> Look:
    """What priced() is going to ask."""
    return store.priced_look(
        offering_id=offering_id, customer_class=customer_class, service_class=service_class, now=now
    )


def quote(
    sold: Priced,
    *,
    quote_id: UUID,
    job_id: UUID,
    organisation_id: UUID,
    customer_class: CustomerClass,
    service_class: ServiceClass,
    size: JobSize,
    now: datetime,
) -> Quote:
    """What a job would cost.

    OfferingRetired, NoPrice; TooManyGpus and the other limits of `catalog.require_size`.
    """
    offering = sold.offering
    if offering.retired_at is not None and offering.retired_at <= now:
        raise OfferingRetired(offering=offering.id)
    catalog.require_size(offering, size)
    if sold.version is None:
        raise NoPrice(offering=offering.id, customer_class=customer_class.value, service_class=service_class.value)
    return quoting.price_job(
        offering=offering,
        version=sold.version,
        size=size,
        quote_id=quote_id,
        job_id=job_id,
        organisation_id=organisation_id,
        now=now,
    )


def require_within(quote: Quote, max_cost_micro_yen: int | None) -> None:
    """CostCapTooSmall: its ceiling with tax is more than its owner will pay."""
    needed = quote.ceiling_with_tax_micro_yen
    if max_cost_micro_yen is not None and needed > max_cost_micro_yen:
        raise CostCapTooSmall(max_cost_yen=yen_text(max_cost_micro_yen), needed_yen=yen_text(needed))


async def create_offering(conn: Conn, new: Offering, *, now: datetime, actor: UUID | None = None) -> None:
    """Put an offering on sale. Nothing happens when the very same is there. OfferingExists."""
    if await store.add_offering(conn, new, now=now):
        facts = {"backend": new.backend, "resource_type": new.resource_type}
        await _trace(conn, "offering.create", f"offering:{new.id}", facts, actor=actor, now=now)
    elif await store.offering(conn, new.id) != new:
        raise OfferingExists(offering=new.id)


async def retire_offering(
    conn: Conn, offering_id: str, *, at: datetime, now: datetime, actor: UUID | None = None
) -> None:
    """Nothing of it is sold from an instant on; what was submitted before runs. UnknownOffering, OfferingRetired.

    An instant in the past counts as now.
    """
    end = max(at, now)
    if not await store.retire_offering(conn, offering_id, at=end):
        await offering(conn, offering_id)
        raise OfferingRetired(offering=offering_id)
    facts = {"retired_at": end.isoformat()}
    await _trace(conn, "offering.retire", f"offering:{offering_id}", facts, actor=actor, now=now)


async def _trace(
    conn: Conn, action: str, subject: str, facts: Mapping[str, object], *, actor: UUID | None, now: datetime
) -> None:
    await append_audit(conn, actor=actor, organisation_id=None, action=action, subject=subject, facts=facts, now=now)
