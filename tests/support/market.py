"""A small market for tests: an organisation with a wallet, GPU and quantum offerings priced below the market's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts import service as accounts
from accounts.model import CustomerClass
from infra.db.connection import Conn, Role, transaction
from pricing import service
from pricing.model import (
    Component,
    Ending,
    JobSize,
    NewPrice,
    Offering,
    OfferingKind,
    Quote,
    Recorded,
    ServiceClass,
    UsageToRate,
)
from pricing.pricebook import NewVersion
from pricing.reference import MarketReference
from pricing.units import micro
from tests.support.database import Database
from tests.support.staff import add_two_operators, an_id, published

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)  # noon in Tokyo on the first day of a fiscal year
NEXT_YEAR = NOW + timedelta(days=365)
GPU, QPU = "gpu-demo", "qpu-demo"
OPERATOR = UUID(int=0x0FF)

GPU_OFFERING = Offering(
    id=GPU,
    backend="local",
    kind=OfferingKind.GPU,
    resource_type="gpu:demo",
    title_ja="実演用GPU",
    title_en="Demo GPU",
    max_gpus=8,
    cpus_per_gpu=2,
    memory_mb_per_gpu=4096,
    max_walltime_s=7 * 86_400,
    hardware={"gpu": "demo"},
)
QPU_OFFERING = Offering(
    id=QPU,
    backend="aer",
    kind=OfferingKind.QUANTUM,
    resource_type="qpu:demo",
    title_ja="実演用QPU",
    title_en="Demo QPU",
    max_walltime_s=3600,
    max_shots=100_000,
    qpu_base_us=2_000_000,
    qpu_per_kshot_us=250_000,
    hardware={"qubits": 7},
)


def gpu_price(yen_per_hour: str, list_yen: str = "400") -> NewPrice:
    return NewPrice(
        component=Component.GPU_S,
        per=Decimal(3600),
        price_micro_yen=micro(yen_per_hour),
        list_micro_yen=micro(list_yen),
        market_reference_id=an_id("market", Component.GPU_S),
    )


QPU_PRICES = [
    NewPrice(
        component=Component.QPU_S,
        per=Decimal(1),
        price_micro_yen=micro("150"),
        list_micro_yen=micro("220"),
        market_reference_id=an_id("market", Component.QPU_S),
    ),
    NewPrice(
        component=Component.SHOT,
        per=Decimal(1000),
        price_micro_yen=micro("12.5"),
        list_micro_yen=micro("20"),
        market_reference_id=an_id("market", Component.SHOT),
    ),
]
MARKET = tuple(
    MarketReference(
        id=an_id("market", component),
        resource_type=resource_type,
        component=component,
        source="a public price list, on demand, without tax",
        observed_on=date(2026, 3, 1),
        amount_micro_yen=micro(yen),
        per=Decimal(per),
    )
    for component, resource_type, yen, per in (
        (Component.GPU_S, "gpu:demo", "500", 3600),
        (Component.QPU_S, "qpu:demo", "240", 1),
        (Component.SHOT, "qpu:demo", "25", 1000),
        (Component.SESSION_S, "qpu:demo", "240", 1),
        (Component.SIM_S, "qpu:demo", "240", 3600),
    )
)


@dataclass(frozen=True, slots=True)
class Market:
    """What is for sale, and the first customer."""

    database: Database
    organisation: UUID
    project: UUID
    person: UUID

    async def add_organisation(self, slug: str) -> UUID:
        organisation = an_id("organisation", slug)
        async with self.as_operator() as conn:
            await _add_organisation(conn, organisation, slug)
        return organisation

    def as_operator(self):
        return transaction(self.database.portal, role=Role.OPERATOR)

    def as_tenant(self, organisation: UUID | None = None):
        return transaction(self.database.portal, role=Role.TENANT, organisation_id=organisation or self.organisation)

    def as_worker(self):
        return transaction(self.database.worker)

    async def grant(
        self, yen: str, *, key: object = "grant", organisation: UUID | None = None, expires_at: datetime = NEXT_YEAR
    ) -> UUID:
        async with self.as_operator() as conn:
            await service.issue_grant(
                conn,
                grant_id=an_id(key),
                organisation_id=organisation or self.organisation,
                amount_micro_yen=micro(yen),
                expires_at=expires_at,
                reason="programme",
                actor=None,
                now=NOW,
            )
        return an_id(key)

    async def pay_in(self, yen: str, *, key: object = "payment", now: datetime = NOW) -> None:
        async with self.as_operator() as conn:
            await service.receive_payment(
                conn,
                payment_id=an_id(key),
                organisation_id=self.organisation,
                amount_micro_yen=micro(yen),
                reason="transfer",
                actor=None,
                now=now,
            )

    async def give_credit(self, yen: str, *, key: object = "credit") -> None:
        async with self.as_operator() as conn:
            await service.open_credit_line(
                conn,
                credit_id=an_id(key),
                organisation_id=self.organisation,
                amount_micro_yen=micro(yen),
                reason="contract",
                actor=None,
                now=NOW,
            )

    async def submit(
        self,
        job: object,
        *,
        size: JobSize | None = None,
        offering_id: str = GPU,
        organisation: UUID | None = None,
        now: datetime = NOW,
    ) -> Quote:
        """Quote, hold and first attempt (its id: an_id("attempt", job, 1)) in one transaction as the tenant."""
        organisation = organisation or self.organisation
        async with self.as_tenant(organisation) as conn:
            sold = await service.priced(
                conn,
                offering_id,
                customer_class=CustomerClass.STARTUP,
                service_class=ServiceClass.STANDARD,
                now=now,
            )
            quoted = service.quote(
                sold,
                quote_id=an_id("quote", job),
                job_id=an_id("job", job),
                organisation_id=organisation,
                customer_class=CustomerClass.STARTUP,
                service_class=ServiceClass.STANDARD,
                size=size or JobSize(gpus=1, walltime_s=3600),
                now=now,
            )
            await service.place_hold(conn, quote=quoted, now=now)
            await self.open_attempt(conn, job, 1, organisation=organisation, offering_id=offering_id, now=now)
        return quoted

    async def open_attempt(
        self,
        conn: Conn,
        job: object,
        ordinal: int,
        *,
        organisation: UUID | None = None,
        offering_id: str = GPU,
        now: datetime = NOW,
    ) -> UUID:
        attempt_id = an_id("attempt", job, ordinal)
        await service.open_attempt(
            conn,
            attempt_id=attempt_id,
            job_id=an_id("job", job),
            organisation_id=organisation or self.organisation,
            project_id=self.project,
            person_id=self.person,
            offering_id=offering_id,
            now=now,
        )
        return attempt_id

    async def close(
        self,
        job: object,
        ending: Ending = Ending.SUCCEEDED,
        *,
        ordinal: int = 1,
        last: bool = True,
        at: datetime = NOW + timedelta(hours=1),
        now: datetime | None = None,
    ) -> None:
        async with self.as_worker() as conn:
            await service.close_attempt(
                conn,
                attempt_id=an_id("attempt", job, ordinal),
                ending=ending,
                ended_at=at,
                last=last,
                now=now or at,
            )

    async def use(
        self,
        job: object,
        *usages: UsageToRate,
        ordinal: int = 1,
        final: bool = True,
        now: datetime = NOW + timedelta(hours=2),
    ) -> Recorded:
        async with self.as_worker() as conn:
            return await service.record_usage(
                conn, usages, attempt_id=an_id("attempt", job, ordinal), final=final, now=now
            )


def gpu_usage(
    key: object,
    seconds: int | str,
    *,
    supersedes: object = None,
    component: str = "gpu_s",
    started_at: datetime = NOW,
    ended_at: datetime = NOW + timedelta(hours=1),
) -> UsageToRate:
    return UsageToRate(
        usage_record_id=an_id("usage", key),
        supersedes=None if supersedes is None else an_id("usage", supersedes),
        component=component,
        quantity=Decimal(seconds),
        started_at=started_at,
        ended_at=ended_at,
    )


async def open_market(database: Database) -> Market:
    """Two offerings with prices for startups, one organisation with an empty wallet."""
    market = Market(database, an_id("organisation", "alpha"), an_id("project", "alpha"), an_id("person"))
    async with market.as_operator() as conn:
        await accounts.create_person(
            conn, actor=None, person_id=market.person, display_name="彩", email="aya@example.jp", now=NOW
        )
        await _add_organisation(conn, market.organisation, "alpha")
        await add_two_operators(conn, now=NOW)
        for offering in (GPU_OFFERING, QPU_OFFERING):
            await service.create_offering(conn, offering, now=NOW)
        for reference in MARKET:
            await service.record_market_reference(conn, reference, now=NOW)
        await publish_first(conn)
    return market


async def publish_first(conn: Conn) -> None:
    """A GPU at 330 yen an hour, and QPU_PRICES."""
    first = a_new_version(GPU, [gpu_price("330")]), a_new_version(QPU, QPU_PRICES)
    await published(conn, *first, now=NOW)


async def publish(
    conn: Conn,
    offering_id: str,
    prices: list[NewPrice],
    *,
    valid_from: datetime = NOW,
    key: object = "first",
    service_class: ServiceClass = ServiceClass.STANDARD,
    now: datetime = NOW,
) -> UUID:
    """By two persons, who must be there: add_two_operators()."""
    new = a_new_version(offering_id, prices, valid_from=valid_from, key=key, service_class=service_class)
    await published(conn, new, now=now)
    return new.id


def a_new_version(
    offering_id: str,
    prices: list[NewPrice],
    *,
    valid_from: datetime | None = NOW,
    key: object = "first",
    service_class: ServiceClass = ServiceClass.STANDARD,
    **other: Any,
) -> NewVersion:
    """For startups. other: of NewVersion."""
    return NewVersion(
        id=an_id("version", offering_id, service_class, key),
        offering_id=offering_id,
        customer_class=CustomerClass.STARTUP,
        service_class=service_class,
        valid_from=valid_from,
        tax_rate_bp=1000,
        prices=tuple(prices),
        **other,
    )


async def _add_organisation(conn: Conn, organisation: UUID, slug: str) -> None:
    await accounts.create_organisation(
        conn,
        actor=None,
        organisation_id=organisation,
        project_id=an_id("project", slug),
        slug=slug,
        name=slug,
        now=NOW,
    )
    await service.open_wallet(conn, organisation_id=organisation, now=NOW)
