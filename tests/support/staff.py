"""Two persons of the house, for what needs two, and both of their hands at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from accounts import service as accounts
from accounts.errors import PersonExists
from accounts.model import StaffRole
from infra.db.connection import Conn
from pricing import pricebook
from pricing import service as pricing
from pricing.approvals import Proposal
from pricing.pricebook import NewVersion
from pricing.service.publishing import PUBLISH

_SEED = UUID(int=0x5EED)


def an_id(*key: object) -> UUID:
    """The same key gives the same id."""
    return uuid5(_SEED, ":".join(map(str, key)))


FIRST, SECOND = an_id("staff", 1), an_id("staff", 2)


async def add_two_operators(conn: Conn, *, now: datetime) -> None:
    """FIRST proposes, SECOND approves. Where they are already, nothing happens."""
    for number, person in enumerate((FIRST, SECOND), start=1):
        try:
            await accounts.create_person(
                conn,
                actor=None,
                person_id=person,
                display_name=f"staff {number}",
                email=f"staff-{number}@example.jp",
                counts=False,
                now=now,
            )
        except PersonExists:
            continue
        await accounts.grant_staff_role(conn, actor=None, person_id=person, role=StaffRole.OPERATOR, now=now)


async def agreed(conn: Conn, kind: str, content: dict[str, Any], *, proposal_id: UUID, now: datetime) -> Proposal:
    """One proposes and the other approves, in one transaction."""
    await pricing.propose(
        conn, proposal_id=proposal_id, kind=kind, content=content, reason="a test", actor=FIRST, now=now
    )
    return await pricing.approve(conn, proposal_id, actor=SECOND, now=now)


async def published(conn: Conn, *versions: NewVersion, now: datetime) -> Proposal:
    """Price versions that both want."""
    content = pricebook.content_of(versions)
    return await agreed(conn, PUBLISH, content, proposal_id=uuid5(versions[0].id, "proposal"), now=now)
