"""The header Idempotency-Key: what makes repeating a request harmless."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header

from scheduler.submission import checked_key


async def _key(
    idempotency_key: Annotated[
        str | None,
        Header(description="Required. Unique for each new thing, the same when the request is sent again."),
    ] = None,
) -> str:
    """IdempotencyKeyMissing, IdempotencyKeyInvalid."""
    return checked_key(idempotency_key)


IdempotencyKey = Annotated[str, Depends(_key)]
