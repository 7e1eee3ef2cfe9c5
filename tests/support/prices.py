"""Prices and facts of a job without a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from accounts.model import CustomerClass
from pricing import catalog, phases, quoting
from pricing.model import (
    BillableAttempt,
    Ending,
    JobSize,
    NewPrice,
    Offering,
    PriceVersion,
    Quote,
    ServiceClass,
)
from pricing.reference import MarketReference
from tests.support.market import GPU_OFFERING, MARKET, NOW, QPU_OFFERING, an_id, gpu_price

ORGANISATION = an_id("organisation", "alpha")
# Awkward on purpose: nothing divides evenly.
AWKWARD = gpu_price("329.999987")


def a_version(
    offering: Offering = GPU_OFFERING, prices: Sequence[NewPrice] = (AWKWARD,), *, tax_rate_bp: int = 1000
) -> PriceVersion:
    references: dict[UUID, MarketReference] = {each.id: each for each in MARKET}
    return PriceVersion(
        id=an_id("version", offering.id, ServiceClass.STANDARD, "first"),  # as tests.support.market publishes it
        offering_id=offering.id,
        customer_class=CustomerClass.STARTUP,
        service_class=ServiceClass.STANDARD,
        valid_from=NOW,
        tax_rate_bp=tax_rate_bp,
        components=catalog.priced_components(offering, prices, references),
        market_sources={each.id: each.source for each in MARKET},
    )


def a_quote(job: object, *, size: JobSize, version: PriceVersion | None = None, now: datetime = NOW) -> Quote:
    return quoting.price_job(
        offering=GPU_OFFERING,
        version=version or a_version(),
        size=size,
        quote_id=an_id("quote", job),
        job_id=an_id("job", job),
        organisation_id=ORGANISATION,
        now=now,
    )


def a_hybrid_quote(job: object, parts: Sequence[tuple[PriceVersion, JobSize]], *, now: datetime = NOW) -> Quote:
    """Of a job with phases `0`, `1`, …, each of the offering of its version."""
    offerings = {each.id: each for each in (GPU_OFFERING, QPU_OFFERING)}
    return phases.joined(
        [
            (
                str(place),
                quoting.price_job(
                    offering=offerings[version.offering_id],
                    version=version,
                    size=size,
                    quote_id=an_id("quote", job),
                    job_id=an_id("job", job),
                    organisation_id=ORGANISATION,
                    now=now,
                ),
            )
            for place, (version, size) in enumerate(parts)
        ]
    )


def an_attempt(
    ordinal: int = 1,
    ending: Ending | None = None,
    *,
    job: object = "a",
    last: bool = True,
    final: bool = False,
    settled: bool = False,
) -> BillableAttempt:
    ended = NOW + timedelta(hours=ordinal)
    return BillableAttempt(
        attempt_id=an_id("attempt", job, ordinal),
        job_id=an_id("job", job),
        organisation_id=ORGANISATION,
        project_id=an_id("project", "alpha"),
        person_id=an_id("person"),
        offering_id=GPU_OFFERING.id,
        opened_at=NOW + timedelta(minutes=ordinal),
        ending=ending,
        closed_at=ended if ending else None,
        last=last if ending else None,
        accounting_final_at=ended if final else None,
        settled_at=ended if settled else None,
    )
