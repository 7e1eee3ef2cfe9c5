"""API tokens: sign-in, issue, revoke."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from accounts import store
from accounts.errors import InvalidToken, ScopeNotHeld, TokenForAnother, TokenNotFound
from accounts.model import IssuedToken, Principal, Scope, Token
from accounts.names import LABEL_LENGTH, clean_name
from accounts.scopes import scopes_of
from accounts.tokens import check_lifetime, check_scopes, has_form, hash_token, plain_token
from accounts.trail import append_audit, person_of, require_for
from infra.db.connection import Conn


async def authenticate(conn: Conn, token: str, *, now: datetime) -> Principal:
    """Who holds this token. As kyoyo_portal itself, before it takes a role. InvalidToken."""
    principal = await store.authenticate(conn, hash_token(token), now=now) if has_form(token) else None
    if principal is None:
        raise InvalidToken
    return principal


async def recognise(conn: Conn, token_sha256: bytes, *, now: datetime) -> Principal:
    """Who holds the token of this SHA-256, for a session that was opened with it. As authenticate(). InvalidToken."""
    principal = await store.authenticate(conn, token_sha256, now=now)
    if principal is None:
        raise InvalidToken
    return principal


async def issue_token(
    conn: Conn,
    *,
    actor: Principal | None,
    token_id: UUID,
    secret: bytes,
    person_id: UUID,
    organisation_id: UUID | None,
    label: str,
    scopes: Iterable[str],
    expires_at: datetime,
    now: datetime,
) -> IssuedToken:
    """A token for a person in an organisation, or (None) in the person's staff roles. secret: 32 random bytes.

    UnknownScope; ScopeNotHeld, by the person's role or by the actor's own token; InvalidTokenLifetime; TokenForAnother.
    """
    require_for(actor, organisation_id, Scope.TOKENS_WRITE)
    token = Token(
        id=token_id,
        person_id=person_id,
        organisation_id=organisation_id,
        label=clean_name(label, field="label", max_length=LABEL_LENGTH),
        scopes=check_scopes(scopes),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    check_lifetime(now=now, expires_at=expires_at)
    _require_own(actor, token)
    held = scopes_of(await store.roles_of(conn, person_id=person_id, organisation_id=organisation_id))
    if token.scopes - held:
        raise ScopeNotHeld(scopes=token.scopes - held)
    plain = plain_token(secret)
    await store.insert_token(conn, token, token_sha256=hash_token(plain))
    await _trace(conn, actor, "token.issue", token, now)
    return IssuedToken(id=token_id, plain=plain)


def _require_own(actor: Principal | None, token: Token) -> None:
    """Nobody gains by a token: it is for oneself, and can do no more than the one with which it was made."""
    if actor is None or Scope.OPERATE in actor.scopes:
        return
    if actor.person_id != token.person_id:
        raise TokenForAnother
    if token.scopes - actor.scopes:
        raise ScopeNotHeld(scopes=token.scopes - actor.scopes)


async def revoke_token(conn: Conn, *, actor: Principal | None, token_id: UUID, now: datetime) -> None:
    """Ends a token, for good; again is no error. TokenNotFound, also for somebody else's."""
    token = await store.token(conn, token_id)
    if token is None or not _may_revoke(actor, token):
        raise TokenNotFound
    await store.revoke_token(conn, token_id, now=now)
    await _trace(conn, actor, "token.revoke", token, now)


def _may_revoke(actor: Principal | None, token: Token) -> bool:
    if actor is None or Scope.OPERATE in actor.scopes:
        return True
    manages = Scope.MEMBERS_WRITE in actor.scopes and actor.organisation_id == token.organisation_id
    return manages or (Scope.TOKENS_WRITE in actor.scopes and actor.person_id == token.person_id)


async def list_tokens(conn: Conn, *, organisation_id: UUID | None, person_id: UUID) -> list[Token]:
    """A person's tokens for an organisation (None: for the staff roles), the newest first, ended ones included."""
    return await store.tokens(conn, organisation_id=organisation_id, person_id=person_id)


async def _trace(conn: Conn, actor: Principal | None, action: str, token: Token, now: datetime) -> None:
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=token.organisation_id,
        action=action,
        subject=f"token:{token.id}",
        facts={"person": str(token.person_id), "scopes": sorted(token.scopes)},
        now=now,
    )
