"""Values of accounts: who somebody is, for whom they act, what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from accounts.errors import ScopeMissing
from accounts.scopes import OrgRole, Scope, StaffRole

__all__ = [
    "CustomerClass",
    "Declaration",
    "Eligibility",
    "Evidence",
    "IssuedToken",
    "Member",
    "OrgRole",
    "Organisation",
    "Principal",
    "Project",
    "Scope",
    "Secret",
    "SiteUser",
    "StaffRole",
    "Token",
]


class CustomerClass(StrEnum):
    """The class of a customer, by which prices differ. Meanings: accounts.customer_class in schema.sql."""

    STARTUP = "startup"
    SME = "sme"
    UNIVERSITY = "university"
    LARGE = "large"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: one person, either for one organisation (role) or for the house (staff_roles), never for both."""

    person_id: UUID
    display_name: str
    organisation_id: UUID | None
    role: OrgRole | None
    staff_roles: frozenset[StaffRole]
    scopes: frozenset[str]
    token_id: UUID

    def require(self, scope: Scope) -> None:
        """ScopeMissing: this token may not do that."""
        if scope.value not in self.scopes:
            raise ScopeMissing(scope=scope.value)


@dataclass(frozen=True, slots=True)
class Organisation:
    id: UUID
    slug: str
    name: str
    corporate_number: str | None
    counts: bool  # false: test or house, never in a count of organisations
    suspended_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A file that proves something, kept by the house: its name, SHA-256 and size."""

    name: str
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an organisation says it is, from when to when, and the paper that shows it."""

    id: UUID
    customer_class: CustomerClass
    valid_from: datetime
    valid_until: datetime
    evidence: Evidence | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Eligibility:
    """That an organisation may submit, and as which class it is priced."""

    organisation_id: UUID
    customer_class: CustomerClass
    valid_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides whether an organisation may start anything now. expired_at: of its last declaration that ran out."""

    organisation_id: UUID
    suspended_at: datetime | None
    is_declared: bool
    expired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    membership_id: UUID
    person_id: UUID
    display_name: str
    email: str
    role: OrgRole
    since: datetime


@dataclass(frozen=True, slots=True)
class Project:
    id: UUID
    organisation_id: UUID
    slug: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token: everything but the token."""

    id: UUID
    person_id: UUID
    organisation_id: UUID | None
    label: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. `plain` is shown once and stored nowhere."""

    id: UUID
    plain: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteUser:
    """As whom somebody runs on a backend. person_id None: every member who has no row of their own."""

    backend: str
    unix_user: str
    organisation_id: UUID
    person_id: UUID | None
    account: str
    created_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What may be shown of a secret: everything but the secret."""

    id: UUID
    name: str
    created_at: datetime
