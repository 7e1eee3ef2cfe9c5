"""Secrets of the person who asks, for their own jobs. Values come in and never go out."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from accounts import service as accounts
from portal.api.wire import In, Items, Out
from portal.auth.caller import JobsWriter
from portal.errors import SecretsOff

router = APIRouter(tags=["secrets"])
_LONGEST = 100_000


class SecretOut(Out):
    name: str
    created_at: datetime


class NewSecret(In):
    value: Annotated[str, Field(max_length=_LONGEST, json_schema_extra={"format": "password", "writeOnly": True})]


@router.get("/secrets")
async def list_secrets(caller: JobsWriter) -> Items[SecretOut]:
    """The caller's own secrets by name. Nobody can read a value back."""
    async with caller.transaction() as conn:
        found = await accounts.list_secrets(conn, actor=caller.principal)
    return Items(items=[SecretOut(name=each.name, created_at=each.created_at) for each in found])


@router.put("/secrets/{name}")
async def set_secret(caller: JobsWriter, name: str, new: NewSecret) -> SecretOut:
    """Keeps a secret, encrypted, in place of the one with this name. A job that names it gets it as a variable."""
    sealer = caller.deps.sealer
    if sealer is None:
        raise SecretsOff
    async with caller.transaction() as conn:
        kept = await accounts.set_secret(
            conn,
            actor=caller.principal,
            sealer=sealer,
            secret_id=caller.new_id(),
            name=name,
            value=new.value,
            nonce=caller.deps.new_secret(),
            now=caller.now,
        )
    return SecretOut(name=kept.name, created_at=kept.created_at)


@router.delete("/secrets/{name}", status_code=HTTPStatus.NO_CONTENT)
async def remove_secret(caller: JobsWriter, name: str) -> None:
    """Forgets a secret for good. A job that waits with its name will not start with it."""
    async with caller.transaction() as conn:
        await accounts.remove_secret(conn, actor=caller.principal, name=name, now=caller.now)
