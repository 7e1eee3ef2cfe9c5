"""What can be bought, and for how much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from accounts import service as accounts
from accounts.model import CustomerClass
from infra.db.connection import Conn
from portal.api.terms import ForeignPriceOut, foreign_out
from portal.api.wire import Items, Out, Yen, number_text
from portal.auth.caller import AnyCaller, Caller
from portal.language import Language
from pricing import service as pricing
from pricing.model import Offering, OfferingWithPrices, PriceVersion
from pricing.units import yen_text

router = APIRouter(tags=["offerings"])
_PERCENT_BP = 100


class OfferingLimits(Out):
    max_gpus: int
    cpus_per_gpu: int
    memory_mb_per_gpu: int
    max_walltime_s: int
    max_shots: int
    max_session_s: int
    max_session_idle_s: int


class PriceOut(Out):
    """Price of `per` units of a component, without tax, beside the list price and the market's."""

    service_class: str
    component: str
    per: str
    price_yen: Yen
    list_yen: Yen
    market_yen: Yen
    market_source: str
    tax_rate_percent: str
    price_version_id: UUID
    valid_from: datetime
    foreign: ForeignPriceOut | None


class OfferingOut(Out):
    """`provider` empty: the house's own machine. `retires_at`: from then on nothing of it is sold."""

    id: str
    kind: str
    title: str
    backend: str
    provider: str
    site: str
    hardware: dict[str, Any]
    software: list[str]
    retires_at: datetime | None
    limits: OfferingLimits
    prices: list[PriceOut]


@router.get("/offerings")
async def list_offerings(
    caller: AnyCaller,
    customer_class: Annotated[
        CustomerClass | None, Query(description="Staff: whose prices to show. Customers always see their own.")
    ] = None,
) -> Items[OfferingOut]:
    """What can be bought now, with the prices for this organisation."""
    async with caller.transaction() as conn:
        found = await pricing.offerings(
            conn, customer_class=await _class_of(conn, caller, customer_class), now=caller.now
        )
    sold = [each for each in found if is_sold(each.offering, caller.now)]
    return Items(items=[offering_out(each, caller.language) for each in sold])


def is_sold(offering: Offering, now: datetime) -> bool:
    """Whether it can still be bought."""
    return offering.retired_at is None or now < offering.retired_at


async def _class_of(conn: Conn, caller: Caller, asked: CustomerClass | None) -> CustomerClass:
    if caller.principal.organisation_id is None:
        return asked or CustomerClass.STARTUP
    return (await accounts.require_eligible(conn, caller.organisation_id, now=caller.now)).customer_class


def offering_out(found: OfferingWithPrices, language: Language) -> OfferingOut:
    """An offering in the reader's language."""
    each = found.offering
    return OfferingOut(
        id=each.id,
        kind=each.kind.value,
        title=each.title_ja if language is Language.JA else each.title_en,
        backend=each.backend,
        provider=each.provider,
        site=each.site,
        hardware=dict(each.hardware),
        software=list(each.software),
        retires_at=each.retired_at,
        limits=OfferingLimits(
            max_gpus=each.max_gpus,
            cpus_per_gpu=each.cpus_per_gpu,
            memory_mb_per_gpu=each.memory_mb_per_gpu,
            max_walltime_s=each.max_walltime_s,
            max_shots=each.max_shots,
            max_session_s=each.max_session_s,
            max_session_idle_s=each.max_session_idle_s,
        ),
        prices=[price for version in found.prices for price in prices_out(version)],
    )


def prices_out(version: PriceVersion) -> Sequence[PriceOut]:
    """Every component of a price version."""
    return [
        PriceOut(
            service_class=version.service_class.value,
            component=each.component.value,
            per=number_text(each.per),
            price_yen=yen_text(each.price_micro_yen),
            list_yen=yen_text(each.list_micro_yen),
            market_yen=yen_text(each.market_micro_yen),
            market_source=version.market_sources.get(each.market_reference_id, ""),
            tax_rate_percent=percent_text(version.tax_rate_bp),
            price_version_id=version.id,
            valid_from=version.valid_from,
            foreign=foreign_out(each.foreign),
        )
        for each in version.components
    ]


def percent_text(basis_points: int) -> str:
    """1000 → '10', 825 → '8.25'."""
    whole, part = divmod(basis_points, _PERCENT_BP)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".")
