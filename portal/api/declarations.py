"""What organisations declare about themselves: the class by which they are priced, with its evidence and validity."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from accounts import service as accounts
from accounts.model import CustomerClass, Declaration
from portal.api.evidence import EvidenceIn, EvidenceOut, evidence_out
from portal.api.prices import Instant
from portal.api.wire import DryRun, In, Items, Out
from portal.auth.caller import AnyCaller, Operator

router = APIRouter(tags=["organisation"])


class NewDeclaration(In):
    """Of the declarations that cover an instant the one recorded last decides; jobs keep the prices that they have."""

    customer_class: CustomerClass
    valid_from: Instant
    valid_until: Instant
    evidence: EvidenceIn


class DeclarationOut(Out):
    id: UUID
    customer_class: CustomerClass
    valid_from: datetime
    valid_until: datetime
    evidence: EvidenceOut | None
    recorded_at: datetime


@router.get("/declarations")
async def list_declarations(caller: AnyCaller) -> Items[DeclarationOut]:
    """The organisation's own, the one recorded last first."""
    async with caller.transaction() as conn:
        return _out(await accounts.declarations(conn, caller.organisation_id))


@router.get("/organisations/{organisation_id}/declarations", tags=["operator"])
async def list_declarations_of(caller: Operator, organisation_id: UUID) -> Items[DeclarationOut]:
    """The same of any organisation."""
    async with caller.transaction() as conn:
        return _out(await accounts.declarations(conn, organisation_id))


@router.post("/organisations/{organisation_id}/declarations", status_code=HTTPStatus.CREATED, tags=["operator"])
async def declare(
    caller: Operator,
    organisation_id: UUID,
    new: NewDeclaration,
    dry_run: DryRun = False,  # noqa: FBT002
) -> Items[DeclarationOut]:
    """Records what an organisation has shown that it is. Answers with everything that it has declared."""
    async with caller.transaction(dry_run=dry_run) as conn:
        await accounts.declare(
            conn,
            actor=caller.principal,
            declaration_id=caller.new_id(),
            organisation_id=organisation_id,
            customer_class=new.customer_class,
            valid_from=new.valid_from,
            valid_until=new.valid_until,
            evidence=new.evidence.value(),
            now=caller.now,
        )
        return _out(await accounts.declarations(conn, organisation_id))


def _out(found: list[Declaration]) -> Items[DeclarationOut]:
    return Items(
        items=[
            DeclarationOut(
                id=each.id,
                customer_class=each.customer_class,
                valid_from=each.valid_from,
                valid_until=each.valid_until,
                evidence=evidence_out(each.evidence),
                recorded_at=each.recorded_at,
            )
            for each in found
        ]
    )
