"""Whether an organisation may start anything now. Pure."""

from __future__ import annotations

from accounts.errors import DeclarationExpired, DeclarationMissing, OrganisationSuspended
from accounts.model import Standing
from infra.refusal import Refusal


def refusal_of(standing: Standing) -> Refusal | None:
    """What require_eligible() would say; None: it may."""
    if standing.suspended_at is not None:
        return OrganisationSuspended(since=standing.suspended_at)
    if standing.is_declared:
        return None
    return DeclarationExpired(valid_until=standing.expired_at) if standing.expired_at else DeclarationMissing()
