"""Puts the demo's cast into an empty database, through the services and as their operator, as an operator would."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import accounts.service as accounts
import pricing.service as pricing
import scheduler.service as scheduler
from accounts.model import CustomerClass
from accounts.scopes import scopes_of
from infra.db.connection import Conn, Pool, Role, transaction
from portal.demo import world
from pricing.days import day_of
from pricing.model import NewPrice, ServiceClass
from pricing.pricebook import NewVersion
from pricing.reference import MarketReference
from pricing.units import micro

TOKEN_LIFETIME = timedelta(days=30)
GRANT_LIFETIME = timedelta(days=180)
DECLARED_FOR = timedelta(days=365)
SECRET_BYTES = 32
REASON = "デモ / demo"


@dataclass(frozen=True, slots=True)
class Keys:
    """API tokens of the three roles, for this run only."""

    startup: str
    operator: str
    officer: str


async def seed(pool: Pool, *, now: datetime, new_id: Callable[[], UUID], gpu_backend: str = world.GPU_BACKEND) -> Keys:
    """Everything in one transaction: a demo is there whole or not at all."""
    async with transaction(pool, role=Role.OPERATOR) as conn:
        seeding = _Seeding(conn, now, new_id, gpu_backend)
        operator, operator_token = await seeding.staff(world.OPERATOR)
        approver, _ = await seeding.staff(world.APPROVER)
        _, officer_token = await seeding.staff(world.OFFICER)
        for organisation in world.ORGANISATIONS:
            tokens = await seeding.organisation(organisation)
            if organisation is world.STARTUP:
                startup_token = tokens[0]
        for offering in world.offerings(gpu_backend):
            await pricing.create_offering(conn, offering, now=now)
        await seeding.prices(operator, approver)
        for resource_type, nu_per_hour in world.NU_PER_HOUR.items():
            await scheduler.publish_exchange_rate(
                conn,
                actor=None,
                resource_type=resource_type,
                nu_per_hour=nu_per_hour,
                effective_at=now,
                now=now,
                reason="デモの初期設定 / first setting of the demo",
            )
        return Keys(startup=startup_token, operator=operator_token, officer=officer_token)


@dataclass(frozen=True, slots=True)
class _Seeding:
    conn: Conn
    now: datetime
    new_id: Callable[[], UUID]
    gpu_backend: str

    async def staff(self, person: world.Person) -> tuple[UUID, str]:
        """Who it is, and a token."""
        assert person.staff_role is not None
        person_id = await self._person(person, counts=False)
        await accounts.grant_staff_role(
            self.conn, actor=None, person_id=person_id, role=person.staff_role, now=self.now
        )
        return person_id, await self._token(person, person_id, None)

    async def organisation(self, new: world.Organisation) -> list[str]:
        organisation_id = self.new_id()
        await accounts.create_organisation(
            self.conn,
            actor=None,
            organisation_id=organisation_id,
            project_id=self.new_id(),
            slug=new.slug,
            name=new.name,
            now=self.now,
        )
        await accounts.declare(
            self.conn,
            actor=None,
            declaration_id=self.new_id(),
            organisation_id=organisation_id,
            customer_class=new.customer_class,
            valid_from=self.now,
            valid_until=self.now + DECLARED_FOR,
            now=self.now,
        )
        await self._wallet(new, organisation_id)
        if self.gpu_backend == world.SLURM_BACKEND:
            await self._site_user(new.slug, organisation_id)
        return [await self._member(person, organisation_id) for person in new.people]

    async def prices(self, operator: UUID, approver: UUID) -> None:
        """One price version of each offering for each class of customers: proposed by one, approved by another."""
        versions = [version for each in world.OFFERINGS for version in await self._versions(each.id)]
        proposal = await pricing.propose_prices(
            self.conn, versions, proposal_id=self.new_id(), reason=REASON, actor=operator, now=self.now
        )
        await pricing.approve(self.conn, proposal.id, reason=REASON, actor=approver, now=self.now)

    async def _versions(self, offering_id: str) -> list[NewVersion]:
        tariffs = [tariff for tariff in world.TARIFFS if tariff.offering_id == offering_id]
        references = [await self._market_reference(tariff) for tariff in tariffs]
        return [
            NewVersion(
                id=self.new_id(),
                offering_id=offering_id,
                customer_class=customer_class,
                service_class=ServiceClass.STANDARD,
                valid_from=self.now,
                tax_rate_bp=world.TAX_RATE_BP,
                prices=tuple(
                    NewPrice(
                        component=tariff.component,
                        per=tariff.per,
                        price_micro_yen=micro(tariff.price_yen[customer_class]),
                        list_micro_yen=micro(tariff.list_yen),
                        market_reference_id=reference,
                    )
                    for tariff, reference in zip(tariffs, references, strict=True)
                ),
            )
            for customer_class in (CustomerClass.STARTUP, CustomerClass.UNIVERSITY, CustomerClass.SME)
        ]

    async def _market_reference(self, tariff: world.Tariff) -> UUID:
        resource_type = next(each.resource_type for each in world.OFFERINGS if each.id == tariff.offering_id)
        reference = MarketReference(
            id=self.new_id(),
            resource_type=resource_type,
            component=tariff.component,
            source=tariff.market_source,
            observed_on=day_of(self.now),
            amount_micro_yen=micro(tariff.market_yen),
            per=tariff.per,
        )
        await pricing.record_market_reference(self.conn, reference, now=self.now)
        return reference.id

    async def _wallet(self, new: world.Organisation, organisation_id: UUID) -> None:
        await pricing.open_wallet(self.conn, organisation_id=organisation_id, now=self.now)
        if new.grant_yen:
            await pricing.issue_grant(
                self.conn,
                grant_id=self.new_id(),
                organisation_id=organisation_id,
                amount_micro_yen=micro(new.grant_yen),
                expires_at=self.now + GRANT_LIFETIME,
                reason=REASON,
                actor=None,
                now=self.now,
            )
        if new.prepaid_yen:
            await pricing.receive_payment(
                self.conn,
                payment_id=self.new_id(),
                organisation_id=organisation_id,
                amount_micro_yen=micro(new.prepaid_yen),
                reason=REASON,
                actor=None,
                now=self.now,
            )
        if new.credit_yen:
            await pricing.open_credit_line(
                self.conn,
                credit_id=self.new_id(),
                organisation_id=organisation_id,
                amount_micro_yen=micro(new.credit_yen),
                reason=REASON,
                actor=None,
                now=self.now,
            )

    async def _site_user(self, slug: str, organisation_id: UUID) -> None:
        """Every member runs as the organisation's user, under the organisation's account."""
        await accounts.map_site_user(
            self.conn,
            actor=None,
            backend=self.gpu_backend,
            organisation_id=organisation_id,
            person_id=None,
            unix_user=slug,
            account=slug,
            now=self.now,
        )

    async def _member(self, person: world.Person, organisation_id: UUID) -> str:
        assert person.role is not None
        person_id = await self._person(person, counts=True)
        await accounts.add_member(
            self.conn,
            actor=None,
            membership_id=self.new_id(),
            organisation_id=organisation_id,
            person_id=person_id,
            role=person.role,
            now=self.now,
        )
        return await self._token(person, person_id, organisation_id)

    async def _person(self, person: world.Person, *, counts: bool) -> UUID:
        return await accounts.create_person(
            self.conn,
            actor=None,
            person_id=self.new_id(),
            display_name=person.name,
            email=person.email,
            counts=counts,
            now=self.now,
        )

    async def _token(self, person: world.Person, person_id: UUID, organisation_id: UUID | None) -> str:
        role = person.role or person.staff_role
        assert role is not None
        issued = await accounts.issue_token(
            self.conn,
            actor=None,
            token_id=self.new_id(),
            secret=secrets.token_bytes(SECRET_BYTES),
            person_id=person_id,
            organisation_id=organisation_id,
            label="demo",
            scopes=scopes_of([role]),
            expires_at=self.now + TOKEN_LIFETIME,
            now=self.now,
        )
        return issued.plain
