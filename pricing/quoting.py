"""What a job may cost at most, what it is expected to cost, and on what that rests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pricing.catalog import require_size
from pricing.errors import CostCapTooSmall, NoPrice
from pricing.model import Component, JobSize, Offering, OfferingKind, PriceVersion, Quote, QuoteLine, ServiceTime
from pricing.tariff import counted_s, for_job
from pricing.units import amount_up, ceil_div, decimal, micro, with_tax, without_tax, yen_text

OFFERING_MODEL = "offering"
"""Source of a service time that follows from the offering's own model."""
Use = Mapping[Component, Decimal]


@dataclass(frozen=True, slots=True)
class _Range:
    """How much of each component is used: at least, probably, and never more than."""

    low: Use
    expected: Use
    cap: Use
    basis: Mapping[str, object] = field(default_factory=dict)


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
    """The quote of a job. Its ceiling is the price of the cap: what it may use by its time limit or, of a circuit, the
    QPU time at which it is stopped. On GPUs nothing is known before it ran, so expected = ceiling there. What the owner
    will pay at most only ever lowers a cap.

    The refusals of `require_size`; NoPrice when the version lacks a component that the job may use; CostCapTooSmall.
    """
    require_size(offering, size)
    version = for_job(version, gpus=size.gpus)
    use = _use(offering, version, size)
    lines = tuple(_line(version, component, quantity) for component, quantity in use.cap.items())
    ceiling = _sum(lines)
    return Quote(
        id=quote_id,
        job_id=job_id,
        organisation_id=organisation_id,
        offering_id=offering.id,
        price_version_id=version.id,
        ceiling_micro_yen=ceiling,
        expected_micro_yen=min(ceiling, _cost(version, use.expected)),
        tax_rate_bp=version.tax_rate_bp,
        lines=lines,
        quoted_at=now,
        low_micro_yen=min(ceiling, _cost(version, use.low)) if use.basis else None,
        basis=use.basis,
    )


def largest_use(offering: Offering, version: PriceVersion, size: JobSize) -> dict[Component, Decimal]:
    """The most of each component that a job of this size can use by the rules of the offering, without a cap."""
    if size.session_idle_s is not None:
        return {Component.SESSION_S: Decimal(size.walltime_s)}
    if offering.kind is OfferingKind.GPU:
        return {Component.GPU_S: Decimal(size.gpus * counted_s(version, size.walltime_s) * size.runs)}
    return _circuit_use(offering, size, qpu_time_us(offering, size))


def qpu_time_us(offering: Offering, size: JobSize) -> int:
    """Service time of a QPU in microseconds: base per job plus time per 1,000 shots of each circuit, rounded up."""
    return offering.qpu_base_us + ceil_div(offering.qpu_per_kshot_us * size.shots * size.circuits, 1000)


def cap_of(quote: Quote) -> int | None:
    """The QPU time in microseconds at which a circuit is stopped; None: it is no circuit's quote."""
    found = next((line.quantity for line in quote.lines if line.component is Component.QPU_S), None)
    return None if found is None else micro(found)


# -- how much ----------------------------------------------------------------------------------------------------------


def _use(offering: Offering, version: PriceVersion, size: JobSize) -> _Range:
    if offering.kind is OfferingKind.GPU or size.session_idle_s is not None:
        most = largest_use(offering, version, size)
        _require_affordable(_cost(version, most), version, size)
        return _Range(most, most, most)
    return _circuit(offering, version, size)


def _circuit(offering: Offering, version: PriceVersion, size: JobSize) -> _Range:
    model_us = qpu_time_us(offering, size)
    service = size.service or ServiceTime(model_us, model_us, OFFERING_MODEL)
    high_us = max(service.low_us, service.high_us)
    cap_us = max(model_us, high_us)
    limit = _limit(version, size)
    if limit is not None:
        # what holds a simulator's units is only known at its end, so all of it must be paid for
        needed = _cost(version, _circuit_use(offering, size, service.low_us))
        _require_affordable(needed, version, size)
        cap_us = min(cap_us, _affordable_us(offering, version, size, limit, otherwise_us=cap_us))
    expected_us = min(cap_us, ceil_div(service.low_us + high_us, 2))
    told = {"low_us": service.low_us, "expected_us": expected_us, "high_us": min(high_us, cap_us), "cap_us": cap_us}
    known: dict[str, object] = {} if service.calibration_id is None else {"calibration_id": service.calibration_id}
    return _Range(
        low=_circuit_use(offering, size, service.low_us, sim_s=0),
        expected=_circuit_use(offering, size, expected_us),
        cap=_circuit_use(offering, size, cap_us),
        basis={"source": service.source, **told, **known},
    )


def _circuit_use(
    offering: Offering, size: JobSize, qpu_us: int, *, sim_s: int | None = None
) -> dict[Component, Decimal]:
    used = {Component.QPU_S: decimal(qpu_us), Component.SHOT: Decimal(size.shots * size.circuits)}
    if offering.sim_units:
        most_s = offering.sim_units * size.walltime_s * size.runs
        used[Component.SIM_S] = Decimal(most_s if sim_s is None else sim_s)
    return used


def _affordable_us(offering: Offering, version: PriceVersion, size: JobSize, limit: int, *, otherwise_us: int) -> int:
    """The most QPU time that so much pays for, after all else; otherwise_us where it costs nothing."""
    price = version.component(Component.QPU_S)
    if price is None or not price.price_micro_yen:
        return otherwise_us
    left = limit - _cost(version, _circuit_use(offering, size, 0))
    return left * micro(price.per) // price.price_micro_yen


def _limit(version: PriceVersion, size: JobSize) -> int | None:
    """What its owner will pay for one such job, without tax: what a quote's amounts are compared with."""
    if size.max_cost_micro_yen is None:
        return None
    return without_tax(size.max_cost_micro_yen // size.jobs, version.tax_rate_bp)


def _require_affordable(needed_micro_yen: int, version: PriceVersion, size: JobSize) -> None:
    limit = _limit(version, size)
    if limit is not None and needed_micro_yen > limit:
        needed = size.jobs * with_tax(needed_micro_yen, version.tax_rate_bp)
        raise CostCapTooSmall(max_cost_yen=yen_text(size.max_cost_micro_yen or 0), needed_yen=yen_text(needed))


# -- and what it costs -------------------------------------------------------------------------------------------------


def _cost(version: PriceVersion, use: Use) -> int:
    return _sum(_line(version, component, quantity) for component, quantity in use.items())


def _sum(lines: Iterable[QuoteLine]) -> int:
    return sum(line.amount_micro_yen for line in lines)


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
