"""QPU time in the market of `slurm_house`: of one machine, with sessions, at whole prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from accounts.model import CustomerClass
from infra.clock import new_id, utc_now
from infra.db.connection import Conn, Role, transaction
from pricing import service as pricing
from pricing.model import Component, NewPrice, Offering, OfferingKind, ServiceClass
from pricing.pricebook import NewVersion
from pricing.reference import MarketReference
from pricing.units import micro
from tests.support.database import Database
from tests.support.staff import add_two_operators, published

QPU = "qpu"
QPU_OFFERING = Offering(
    id=QPU,
    backend="",
    kind=OfferingKind.QUANTUM,
    resource_type="qpu:test",
    title_ja="QPU",
    title_en="QPU",
    max_walltime_s=3600,
    max_shots=100_000,
    qpu_base_us=4_000_000,
    qpu_per_kshot_us=250_000,
    max_session_s=1800,
    max_session_idle_s=300,
    hardware={"qubits": 5},
)
YEN = {Component.QPU_S: ("150", 1), Component.SHOT: ("12", 1000), Component.SESSION_S: ("3", 1)}
"""Price in yen for so many of a component."""


async def sell_qpu(database: Database, backend: str) -> None:
    """The offering QPU of this backend, with its prices."""
    now = utc_now()
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        await pricing.create_offering(conn, replace(QPU_OFFERING, backend=backend), now=now)
        new = NewVersion(
            id=new_id(),
            offering_id=QPU,
            customer_class=CustomerClass.STARTUP,
            service_class=ServiceClass.STANDARD,
            valid_from=now,
            tax_rate_bp=1_000,
            prices=tuple([await _price(conn, component, now) for component in YEN]),
        )
        await add_two_operators(conn, now=now)
        await published(conn, new, now=now)


async def _price(conn: Conn, component: Component, now: datetime) -> NewPrice:
    yen, per = YEN[component]
    twice = 2 * micro(yen)
    reference = MarketReference(
        id=new_id(),
        resource_type=QPU_OFFERING.resource_type,
        component=component,
        source="a public price list, on demand, without tax",
        observed_on=now.date(),
        amount_micro_yen=twice,
        per=Decimal(per),
    )
    await pricing.record_market_reference(conn, reference, now=now)
    return NewPrice(
        component=component,
        per=Decimal(per),
        price_micro_yen=micro(yen),
        list_micro_yen=twice,
        market_reference_id=reference.id,
    )
