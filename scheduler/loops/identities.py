"""As whom an attempt runs on its backend's site, and as whom its files are moved there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.errors import SiteUserMissing
from hpc_adapters.contract import Identity
from infra.db.ahead import Look
from infra.db.connection import Conn
from scheduler.loops.deps import Deps


async def identity_of(
    conn: Conn, deps: Deps, *, backend: str, organisation_id: UUID, person_id: UUID
) -> Identity | None:
    """As its member is known to the site now; None: the backend asks for nobody. SiteUserMissing."""
    if not deps.backends[backend].capabilities().needs_identity:
        return None
    user = await accounts.site_user(conn, backend=backend, organisation_id=organisation_id, person_id=person_id)
    return Identity(user.unix_user, user.account)


@dataclass(frozen=True, slots=True)
class Runner:
    """Whoever may start something now. identity None: the backend asks for nobody."""

    identity: Identity | None


def runner_looks(deps: Deps, *, backend: str, owner: tuple[UUID, UUID], now: datetime) -> Sequence[Look]:
    """What runner_of() asks of this organisation's member, where it asks at once."""
    if not deps.backends[backend].capabilities().needs_identity:
        return ()
    organisation_id, person_id = owner
    look = accounts.may_start_look(backend=backend, organisation_id=organisation_id, person_id=person_id, now=now)
    return (look,)


async def runner_of(
    conn: Conn, deps: Deps, *, backend: str, organisation_id: UUID, person_id: UUID, now: datetime
) -> Runner | None:
    """identity_of() at the moment of a start; None: its organisation may start nothing now. SiteUserMissing."""
    if not deps.backends[backend].capabilities().needs_identity:
        [outlook] = (await accounts.outlooks(conn, [organisation_id], now=now)).values()
        return None if outlook.refusal is not None else Runner(None)
    refusal, user = await accounts.may_start(
        conn, backend=backend, organisation_id=organisation_id, person_id=person_id, now=now
    )
    if refusal is not None:
        return None
    if user is None:
        raise SiteUserMissing(backend=backend)
    return Runner(Identity(user.unix_user, user.account))
