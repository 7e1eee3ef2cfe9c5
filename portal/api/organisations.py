"""Organisations, their value and their first tokens: the operator's side."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid5

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from accounts import service as accounts
from accounts.model import CustomerClass, Organisation, OrgRole
from portal.api.tokens import IssuedTokenOut, NewToken, issue
from portal.api.wire import In, Items, Out, Word, Yen, YenIn
from portal.auth.caller import Operator
from portal.auth.idempotency import IdempotencyKey
from pricing import service as pricing
from pricing.units import micro, yen_text

router = APIRouter(tags=["operator"], prefix="/organisations")


class OrganisationOut(Out):
    id: UUID
    slug: str
    name: str
    corporate_number: str | None
    counts: bool
    suspended_at: datetime | None
    created_at: datetime


class FirstOwner(In):
    display_name: Annotated[str, Field(max_length=1000)]
    email: Annotated[str, Field(max_length=1000)]


class NewOrganisation(In):
    """An organisation with its declaration of eligibility, its wallet, and (optionally) its first owner."""

    slug: Annotated[Word, Field(examples=["hikari"])]
    name: Annotated[str, Field(max_length=1000, examples=["株式会社ひかり"])]
    corporate_number: Annotated[str | None, Field(max_length=100)] = None
    customer_class: CustomerClass
    declaration_valid_until: AwareDatetime
    counts: bool = True
    owner: FirstOwner | None = None


class CreatedOrganisation(OrganisationOut):
    owner_id: UUID | None


class Value(In):
    amount_yen: YenIn
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class BalanceAfter(Out):
    available_yen: Yen


class TokenForMember(NewToken):
    person_id: UUID


@router.get("")
async def list_organisations(caller: Operator) -> Items[OrganisationOut]:
    """Every organisation."""
    async with caller.transaction() as conn:
        found = await accounts.list_organisations(conn)
    return Items(items=[OrganisationOut(**_facts(each)) for each in found])


@router.post("", status_code=HTTPStatus.CREATED)
async def create_organisation(caller: Operator, new: NewOrganisation) -> CreatedOrganisation:
    """A new customer: organisation, project `default`, declaration, wallet and first owner in one transaction."""
    async with caller.transaction() as conn:
        made = await accounts.create_organisation(
            conn,
            actor=caller.principal,
            organisation_id=caller.new_id(),
            project_id=caller.new_id(),
            slug=new.slug,
            name=new.name,
            corporate_number=new.corporate_number,
            counts=new.counts,
            now=caller.now,
        )
        await accounts.declare(
            conn,
            actor=caller.principal,
            declaration_id=caller.new_id(),
            organisation_id=made.id,
            customer_class=new.customer_class,
            valid_from=caller.now,
            valid_until=new.declaration_valid_until,
            now=caller.now,
        )
        await pricing.open_wallet(conn, organisation_id=made.id, now=caller.now)
        owner_id = None
        if new.owner is not None:
            owner_id = await accounts.invite(
                conn,
                actor=caller.principal,
                membership_id=caller.new_id(),
                organisation_id=made.id,
                person_id=caller.new_id(),
                display_name=new.owner.display_name,
                email=new.owner.email,
                role=OrgRole.OWNER,
                now=caller.now,
            )
    return CreatedOrganisation(**_facts(made), owner_id=owner_id)


@router.post("/{organisation_id}/payments", status_code=HTTPStatus.CREATED)
async def receive_payment(caller: Operator, organisation_id: UUID, new: Value, key: IdempotencyKey) -> BalanceAfter:
    """Money that came in becomes prepaid value."""
    async with caller.transaction() as conn:
        await accounts.organisation(conn, organisation_id)
        await pricing.receive_payment(
            conn,
            payment_id=_id_of("payment", organisation_id, key),
            organisation_id=organisation_id,
            amount_micro_yen=micro(new.amount_yen),
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
        after = await pricing.balance(conn, organisation_id, now=caller.now)
    return BalanceAfter(available_yen=yen_text(after.available_micro_yen))


@router.post("/{organisation_id}/credit", status_code=HTTPStatus.CREATED)
async def open_credit(caller: Operator, organisation_id: UUID, new: Value, key: IdempotencyKey) -> BalanceAfter:
    """Opens a credit line, or raises it by this amount."""
    async with caller.transaction() as conn:
        await accounts.organisation(conn, organisation_id)
        await pricing.open_credit_line(
            conn,
            credit_id=_id_of("credit", organisation_id, key),
            organisation_id=organisation_id,
            amount_micro_yen=micro(new.amount_yen),
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
        after = await pricing.balance(conn, organisation_id, now=caller.now)
    return BalanceAfter(available_yen=yen_text(after.available_micro_yen))


@router.post("/{organisation_id}/tokens", status_code=HTTPStatus.CREATED)
async def issue_token_for_member(caller: Operator, organisation_id: UUID, new: TokenForMember) -> IssuedTokenOut:
    """A first token for a member, to be handed over personally."""
    return await issue(caller, new, person_id=new.person_id, organisation_id=organisation_id)


def _id_of(kind: str, organisation_id: UUID, key: str) -> UUID:
    """The same movement under the same key: a repeated request books nothing twice."""
    return uuid5(organisation_id, f"{kind}:{key}")


def _facts(organisation: Organisation) -> dict[str, Any]:
    return {
        "id": organisation.id,
        "slug": organisation.slug,
        "name": organisation.name,
        "corporate_number": organisation.corporate_number,
        "counts": organisation.counts,
        "suspended_at": organisation.suspended_at,
        "created_at": organisation.created_at,
    }
