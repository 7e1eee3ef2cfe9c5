"""API tokens of the person who asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from accounts import service as accounts
from accounts.errors import ScopeMissing
from accounts.model import Scope, Token
from portal.api.wire import In, Items, Out, Word
from portal.auth.caller import Caller, TokensWriter

router = APIRouter(tags=["tokens"])
DEFAULT_DAYS = 90


class TokenOut(Out):
    id: UUID
    label: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class NewToken(In):
    label: Annotated[str, Field(max_length=1000, examples=["laptop"])]
    scopes: Annotated[list[Word], Field(max_length=20, examples=[["jobs:read", "jobs:write"]])]
    expires_in_days: Annotated[int, Field(ge=1, le=100_000)] = DEFAULT_DAYS


class IssuedTokenOut(Out):
    """`token` is shown this once and stored nowhere."""

    id: UUID
    token: str
    expires_at: datetime


@router.get("/tokens")
async def list_tokens(caller: TokensWriter) -> Items[TokenOut]:
    """The caller's own tokens, the newest first, ended ones included."""
    async with _may(caller).transaction() as conn:
        found = await accounts.list_tokens(
            conn, organisation_id=caller.principal.organisation_id, person_id=caller.principal.person_id
        )
    return Items(items=[token_out(each) for each in found])


@router.post("/tokens", status_code=HTTPStatus.CREATED)
async def issue_token(caller: TokensWriter, new: NewToken) -> IssuedTokenOut:
    """A new token for the caller, with at most the caller's own permissions."""
    return await issue(
        _may(caller), new, person_id=caller.principal.person_id, organisation_id=caller.principal.organisation_id
    )


@router.delete("/tokens/{token_id}", status_code=HTTPStatus.NO_CONTENT)
async def revoke_token(caller: TokensWriter, token_id: UUID) -> None:
    """Ends a token for good, and every session that was opened with it."""
    async with _may(caller).transaction() as conn:
        await accounts.revoke_token(conn, actor=caller.principal, token_id=token_id, now=caller.now)


async def issue(caller: Caller, new: NewToken, *, person_id: UUID, organisation_id: UUID | None) -> IssuedTokenOut:
    """Issues a token in the caller's name. Refusals of accounts.issue_token."""
    expires_at = caller.now + timedelta(days=new.expires_in_days)
    async with caller.transaction() as conn:
        issued = await accounts.issue_token(
            conn,
            actor=caller.principal,
            token_id=caller.new_id(),
            secret=caller.deps.new_secret(),
            person_id=person_id,
            organisation_id=organisation_id,
            label=new.label,
            scopes=new.scopes,
            expires_at=expires_at,
            now=caller.now,
        )
    return IssuedTokenOut(id=issued.id, token=issued.plain, expires_at=expires_at)


def token_out(token: Token) -> TokenOut:
    """All that may be shown of a token."""
    return TokenOut(
        id=token.id,
        label=token.label,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


def _may(caller: Caller) -> Caller:
    """Tokens of an organisation are its members' matter, tokens of the house an operator's."""
    if caller.principal.organisation_id is None and Scope.OPERATE not in caller.principal.scopes:
        raise ScopeMissing(scope=Scope.OPERATE.value)
    return caller
