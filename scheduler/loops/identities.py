"""As whom an attempt runs on its backend's site, and as whom its files are moved there."""

from __future__ import annotations

from uuid import UUID

from accounts import service as accounts
from hpc_adapters.contract import Identity
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
