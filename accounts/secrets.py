"""Members' own secrets, for their own jobs: set and removed by them, read back by nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from uuid import UUID

from accounts.errors import OrganisationNotFound, SecretNotFound, SecretUnknown, TooManySecrets
from accounts.model import Principal, Scope, Secret
from accounts.names import checked_secret_value, clean_secret_name
from accounts.sealing import Sealed, Sealer
from accounts.store import secrets as store
from accounts.trail import append_audit, person_of
from infra.db.connection import Conn

MAX_SECRETS = 100
_ROTATED_AT_ONCE = 100


async def set_secret(
    conn: Conn,
    *,
    actor: Principal,
    sealer: Sealer,
    secret_id: UUID,
    name: str,
    value: str,
    nonce: bytes,
    now: datetime,
) -> Secret:
    """Keeps a secret under a name, in place of the one that had it. nonce: random bytes, for the encryption.

    BadSecretName, BadSecretValue, SecretTooLarge, TooManySecrets.
    """
    organisation_id = _organisation_of(actor)
    clean = clean_secret_name(name)
    sealed = sealer.seal(
        checked_secret_value(value),
        organisation_id=organisation_id,
        person_id=actor.person_id,
        name=clean,
        nonce=nonce,
    )
    await _trace(conn, actor, "secret.set", secret_id, now)  # from here on one at a time: the trail has one head
    held = {each.name: each for each in await list_secrets(conn, actor=actor)}
    if clean in held:
        await store.remove(conn, held[clean].id, now=now)
    elif len(held) >= MAX_SECRETS:
        raise TooManySecrets(limit=MAX_SECRETS)
    await store.insert(conn, secret_id, sealed, now=now)
    return Secret(id=secret_id, name=clean, created_at=now)


async def list_secrets(conn: Conn, *, actor: Principal) -> list[Secret]:
    """The actor's own, by name; never their values."""
    return await store.names(conn, organisation_id=_organisation_of(actor), person_id=actor.person_id)


async def remove_secret(conn: Conn, *, actor: Principal, name: str, now: datetime) -> None:
    """Forgets a secret of the actor's. SecretNotFound."""
    found = next((each for each in await list_secrets(conn, actor=actor) if each.name == name), None)
    if found is None:
        raise SecretNotFound(name=name[:64])
    await store.remove(conn, found.id, now=now)
    await _trace(conn, actor, "secret.remove", found.id, now)


async def require_secrets(conn: Conn, *, organisation_id: UUID, person_id: UUID, names: Collection[str]) -> None:
    """A job may name only what its owner has set. SecretUnknown."""
    if not names:
        return
    held = {each.name for each in await store.names(conn, organisation_id=organisation_id, person_id=person_id)}
    if not held.issuperset(names):
        raise SecretUnknown(names=sorted(set(names) - held))


async def sealed_secrets(
    conn: Conn, *, organisation_id: UUID, person_id: UUID, names: Collection[str]
) -> Mapping[str, Sealed]:
    """What a job is handed, still encrypted, by name. As kyoyo_worker. SecretUnknown: one has gone meanwhile."""
    if not names:
        return {}
    found = await store.sealed(conn, organisation_id=organisation_id, person_id=person_id, names=names)
    held = {each.name: each for each in found}
    if not held.keys() >= set(names):
        raise SecretUnknown(names=sorted(set(names) - held.keys()))
    return held


async def renew_encryption(conn: Conn, sealer: Sealer, *, fresh: Callable[[], bytes]) -> int:
    """Encrypts some of what is under an older key with the newest; how many. As kyoyo_worker. CannotUnseal."""
    found = await store.under_other_keys(conn, sealer.key_id, limit=_ROTATED_AT_ONCE)
    for secret_id, sealed in found:
        renewed = sealer.seal(
            sealer.unseal(sealed),
            organisation_id=sealed.organisation_id,
            person_id=sealed.person_id,
            name=sealed.name,
            nonce=fresh(),
        )
        await store.renew(conn, secret_id, renewed)
    return len(found)


def _organisation_of(actor: Principal) -> UUID:
    """ScopeMissing; OrganisationNotFound for whoever acts for the house: it runs no jobs."""
    actor.require(Scope.JOBS_WRITE)
    if actor.organisation_id is None:
        raise OrganisationNotFound
    return actor.organisation_id


async def _trace(conn: Conn, actor: Principal, action: str, secret_id: UUID, now: datetime) -> None:
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=actor.organisation_id,
        action=action,
        subject=f"secret:{secret_id}",
        facts={},  # not even its name: people put a value there by mistake, and the trail cannot be erased
        now=now,
    )
