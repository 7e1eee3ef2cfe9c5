"""What a job may cost at most, and what it is expected to cost. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from pricing.catalog import require_size
from pricing.errors import NoPrice
from pricing.model import Component, JobSize, Offering, OfferingKind, PriceVersion, Quote, QuoteLine
from pricing.units import amount_up, ceil_div, decimal, micro


def price_job(
    *,
    offering: Offering,
    version: PriceVersion,
    size: JobSize,
    quote_id: UUID,
    job_id: UUID,
    organisation_id: UUID,
    now: datetime,
) -> Quote:
    """The quote of a job. Expected = ceiling: on GPUs nothing is known before it ran (no history is used yet), and a
    quantum job's service time follows exactly from its shots.

    The refusals of `require_size`; NoPrice when the version lacks a component that the job may use.
    """
    require_size(offering, size)
    lines = tuple(_line(version, component, quantity) for component, quantity in largest_use(offering, size).items())
    ceiling = sum(line.amount_micro_yen for line in lines)
    return Quote(
        id=quote_id,
        job_id=job_id,
        organisation_id=organisation_id,
        offering_id=offering.id,
        price_version_id=version.id,
        ceiling_micro_yen=ceiling,
        expected_micro_yen=ceiling,
        tax_rate_bp=version.tax_rate_bp,
        lines=lines,
        quoted_at=now,
    )


def largest_use(offering: Offering, size: JobSize) -> dict[Component, Decimal]:
    """The most of each component that a job of this size can use by the rules of the offering."""
    match offering.kind:
        case OfferingKind.GPU:
            return {Component.GPU_S: Decimal(size.gpus * size.walltime_s * size.runs)}
        case OfferingKind.QUANTUM:
            return {
                Component.QPU_S: decimal(qpu_time_us(offering, size)),
                Component.SHOT: Decimal(size.shots * size.circuits),
            }
        case _:
            assert_never(offering.kind)


def qpu_time_us(offering: Offering, size: JobSize) -> int:
    """Service time of a QPU in microseconds: base per job plus time per 1,000 shots of each circuit, rounded up."""
    return offering.qpu_base_us + ceil_div(offering.qpu_per_kshot_us * size.shots * size.circuits, 1000)


def _line(version: PriceVersion, component: Component, quantity: Decimal) -> QuoteLine:
    price = version.component(component)
    if price is None:
        raise NoPrice(
            offering=version.offering_id,
            customer_class=version.customer_class.value,
            service_class=version.service_class.value,
        )
    amount = amount_up(micro(quantity), price_micro_yen=price.price_micro_yen, per_micro=micro(price.per))
    return QuoteLine(component=component, quantity=quantity, amount_micro_yen=amount)
