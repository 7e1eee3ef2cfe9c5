"""The outbox: what is due, what is needed to do it, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.model import Member, OrgRole
from infra.db.connection import Conn
from pricing.collectable import Collectable
from pricing.payments import CaseKind, Errand, Outcome, Task, next_try
from pricing.remote import Customer
from pricing.service.receiving import open_case
from pricing.store import collecting as store
from pricing.store.collecting import Link

_WRITTEN_TO = (OrgRole.BILLING, OrgRole.OWNER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An errand with all that it needs. invoice_id: Stripe's, of the document that it is about."""

    errand: Errand
    customer: Customer
    customer_id: str | None
    invoice_id: str | None = None
    of: Collectable | None = None


async def due_errands(conn: Conn, *, now: datetime, limit: int) -> list[Errand]:
    """What is to be tried now, the oldest first."""
    return await store.due(conn, now=now, limit=limit)


async def prepare(conn: Conn, errand: Errand) -> Ready | None:
    """What an errand needs. None: it is moot, because there is nothing left to be done."""
    known = await store.link(conn, "customer", errand.organisation_id)
    about = UUID(errand.content["document_id"]) if errand.task is Task.CREDIT else errand.subject_id
    asked = await store.receivable(conn, about)
    if errand.task in {Task.ISSUE, Task.REMIND}:
        assert asked is not None
        if asked.open_yen <= 0 or (errand.task is Task.REMIND and asked.stripe_id is None):
            return None
    if errand.task is Task.CREDIT and (asked is None or asked.stripe_id is None):
        return None  # it was never asked for through Stripe
    return Ready(
        errand=errand,
        customer=await _customer(conn, errand.organisation_id),
        customer_id=known.stripe_id if known else None,
        invoice_id=asked.stripe_id if asked else None,
        of=asked.collectable if asked else None,
    )


async def done(conn: Conn, errand: Errand, links: Sequence[Link], *, now: datetime) -> None:
    """It is done, and these objects are ours."""
    for link in links:
        await store.add_link(conn, link, now=now)
    await store.add_attempt(conn, errand, outcome=Outcome.DONE, detail="", next_at=None, now=now)


async def moot(conn: Conn, errand: Errand, *, now: datetime) -> None:
    """Nothing was to be done any more."""
    await store.add_attempt(conn, errand, outcome=Outcome.MOOT, detail="", next_at=None, now=now)


async def later(conn: Conn, errand: Errand, *, why: str, now: datetime) -> None:
    """Stripe was away: again after a while that grows."""
    at = next_try(errand.attempts + 1, now=now)
    await store.add_attempt(conn, errand, outcome=Outcome.LATER, detail=why, next_at=at, now=now)


async def refused(conn: Conn, errand: Errand, *, why: str, now: datetime) -> None:
    """Stripe will not do it: an operator must look."""
    await store.add_attempt(conn, errand, outcome=Outcome.REFUSED, detail=why, next_at=None, now=now)
    await open_case(
        conn,
        CaseKind.DIFFERS if errand.task is Task.ISSUE else CaseKind.FAILED,
        f"errand:{errand.id}",
        case_id=errand.id,
        organisation_id=errand.organisation_id,
        amount_yen=int(errand.content.get("amount_yen", 0)),
        now=now,
        task=errand.task.value,
        subject=str(errand.subject_id),
        why=why[:500],
    )


async def outbox_waiting(conn: Conn) -> int:
    """How many errands are neither done nor given up."""
    return await store.outbox_waiting(conn)


async def _customer(conn: Conn, organisation_id: UUID) -> Customer:
    who = await accounts.organisation(conn, organisation_id)
    members = await accounts.list_members(conn, organisation_id)
    numbers = (("jp_cn", who.corporate_number),) if who.corporate_number else ()
    return Customer(organisation_id=organisation_id, name=who.name, email=_address(members), tax_ids=numbers)


def _address(members: Sequence[Member]) -> str:
    """Of who deals with bills, else of the owner; empty: nobody is there yet."""
    return next((each.email for role in _WRITTEN_TO for each in members if each.role is role), "")
