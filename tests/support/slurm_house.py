"""Kyoyo as real processes in front of a real Slurm cluster, with several organisations in it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from accounts import service as accounts
from accounts.model import CustomerClass, OrgRole
from accounts.scopes import scopes_of
from hpc_adapters.contract import Identity
from infra.clock import new_id, utc_now
from infra.db.connection import Conn, Role, transaction
from infra.slurm.cluster import Cluster
from pricing import service as pricing
from pricing.model import Component, NewPrice, Offering, OfferingKind, ServiceClass
from pricing.pricebook import NewVersion
from pricing.reference import MarketReference
from pricing.units import micro
from tests.support.database import Database
from tests.support.staff import add_two_operators, published
from tests.support.under_fire import settings_of

BACKEND = "slurm"
OFFERING = "gpu-h200"
GRANT_YEN = "1000000"
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One organisation with one member, who runs as one Unix user under one account of the cluster."""

    slug: str
    organisation_id: UUID
    person_id: UUID
    token: str
    unix_user: str


def names(count: int) -> list[str]:
    """Slugs of that many organisations; their Unix users and accounts are called the same."""
    return [f"tenant{number}" for number in range(1, count + 1)]


def site(slugs: Sequence[str]) -> dict[str, object]:
    """What infra.slurm must be told of them."""
    return {"users": tuple(slugs), "accounts": {slug: (slug,) for slug in slugs}}


async def open_market(
    database: Database, slugs: Sequence[str], *, users: Mapping[str, Identity] | None = None
) -> list[Tenant]:
    """The offering with its price, and every organisation with a wallet, a token and its user on the cluster.

    users: who runs there for an organisation, unless user and account are called like it.
    """
    now = utc_now()
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        await _offer(conn, now)
        return [await _tenant(conn, slug, (users or {}).get(slug, Identity(slug, slug)), now) for slug in slugs]


async def _offer(conn: Conn, now: datetime) -> None:
    offering = Offering(
        id=OFFERING,
        backend=BACKEND,
        kind=OfferingKind.GPU,
        resource_type="gpu:h200",
        title_ja="H200",
        title_en="H200",
        max_gpus=16,
        cpus_per_gpu=4,
        memory_mb_per_gpu=4_096,
        max_walltime_s=86_400,
        hardware={"gpu": "H200"},
    )
    await pricing.create_offering(conn, offering, now=now)
    reference = MarketReference(
        id=new_id(),
        resource_type="gpu:h200",
        component=Component.GPU_S,
        source="a public price list, on demand, without tax",
        observed_on=now.date(),
        amount_micro_yen=micro("1000"),
        per=Decimal(3600),
    )
    await pricing.record_market_reference(conn, reference, now=now)
    await add_two_operators(conn, now=now)
    price = NewPrice(
        component=Component.GPU_S,
        per=Decimal(3600),
        price_micro_yen=micro("360"),
        list_micro_yen=micro("800"),
        market_reference_id=reference.id,
    )
    await published(conn, a_version(price, ServiceClass.STANDARD, now), now=now)


def a_version(price: NewPrice, service_class: ServiceClass, now: datetime) -> NewVersion:
    """For startups, from now on."""
    return NewVersion(
        id=new_id(),
        offering_id=OFFERING,
        customer_class=CustomerClass.STARTUP,
        service_class=service_class,
        valid_from=now,
        tax_rate_bp=1_000,
        prices=(price,),
    )


async def _tenant(conn: Conn, slug: str, user: Identity, now: datetime) -> Tenant:
    organisation_id, person_id = new_id(), new_id()
    await accounts.create_organisation(
        conn, actor=None, organisation_id=organisation_id, project_id=new_id(), slug=slug, name=slug, now=now
    )
    await accounts.declare(
        conn,
        actor=None,
        declaration_id=new_id(),
        organisation_id=organisation_id,
        customer_class=CustomerClass.STARTUP,
        valid_from=now,
        valid_until=now + YEAR,
        now=now,
    )
    await pricing.open_wallet(conn, organisation_id=organisation_id, now=now)
    await pricing.issue_grant(
        conn,
        grant_id=new_id(),
        organisation_id=organisation_id,
        amount_micro_yen=micro(GRANT_YEN),
        expires_at=now + YEAR,
        reason="programme",
        actor=None,
        now=now,
    )
    token = await _member(conn, slug, organisation_id, person_id, now)
    await accounts.map_site_user(
        conn,
        actor=None,
        backend=BACKEND,
        organisation_id=organisation_id,
        person_id=None,
        unix_user=user.user,
        account=user.account,
        now=now,
    )
    return Tenant(slug, organisation_id, person_id, token, user.user)


async def _member(conn: Conn, slug: str, organisation_id: UUID, person_id: UUID, now: datetime) -> str:
    await accounts.create_person(
        conn,
        actor=None,
        person_id=person_id,
        display_name=slug,
        email=f"{slug}@{slug}.example",
        counts=True,
        now=now,
    )
    await accounts.add_member(
        conn,
        actor=None,
        membership_id=new_id(),
        organisation_id=organisation_id,
        person_id=person_id,
        role=OrgRole.OWNER,
        now=now,
    )
    issued = await accounts.issue_token(
        conn,
        actor=None,
        token_id=new_id(),
        secret=secrets.token_bytes(32),
        person_id=person_id,
        organisation_id=organisation_id,
        label="test",
        scopes=scopes_of([OrgRole.OWNER]),
        expires_at=now + timedelta(days=30),
        now=now,
    )
    return issued.plain


def backends_toml(cluster: Cluster, *, url: str | None = None, **more: object) -> str:
    """The settings of one cluster; url: where its REST API is met, when not directly. more: numbers of the table."""
    lines = [
        f"[backends.{BACKEND}]",
        'kind = "slurm"',
        f'url = "{url or cluster.url}"',
        f'cluster = "{cluster.name}"',
        f'jwt_key_file = "{cluster.jwt_key_file}"',
        f'service_user = "{cluster.service_user}"',
        'partition = "main"',
        f'folder = "{cluster.shared}"',
        'qos = ""',
        *(f"{name} = {value}" for name, value in more.items()),
        f"[backends.{BACKEND}.uids]",
        *(f"{user} = {uid}" for user, uid in cluster.uids.items()),
    ]
    return "\n".join(lines) + "\n"


def environment(database: Database, folder: Path, backends: str) -> Mapping[str, str]:
    """Settings of portal and worker. The accounts of these clusters were made with them, and have no limits of ours."""
    more = {"KYOYO_ACCOUNTING_CATCH_UP_S": "10", "KYOYO_SITE_SYNC_S": "0"}
    return {**settings_of(database, folder, backends), **more}
