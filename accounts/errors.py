"""Every "no" of accounts, by name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from infra.refusal import Refusal

# --- who asks ---------------------------------------------------------------------------------------------------------


class InvalidToken(Refusal):
    """Unknown, expired, revoked, or of somebody who has left: deliberately not told apart."""

    code = "invalid-token"


class ScopeMissing(Refusal):
    code = "scope-missing"

    def __init__(self, *, scope: str) -> None:
        super().__init__(scope=scope)


# --- may the organisation submit -------------------------------------------------------------------------------------


class OrganisationSuspended(Refusal):
    code = "organisation-suspended"

    def __init__(self, *, since: datetime) -> None:
        super().__init__(since=since.isoformat())


class DeclarationMissing(Refusal):
    code = "declaration-missing"


class DeclarationExpired(Refusal):
    code = "declaration-expired"

    def __init__(self, *, valid_until: datetime) -> None:
        super().__init__(valid_until=valid_until.isoformat())


# --- what was written -------------------------------------------------------------------------------------------------


class InvalidName(Refusal):
    """problem: 'empty', 'too_long' or 'control_character'."""

    code = "invalid-name"

    def __init__(self, *, field: str, problem: str, max_length: int) -> None:
        super().__init__(field=field, problem=problem, max_length=max_length)


class InvalidSlug(Refusal):
    code = "invalid-slug"

    def __init__(self, *, slug: str) -> None:
        super().__init__(slug=slug)


class InvalidEmail(Refusal):
    code = "invalid-email"

    def __init__(self, *, email: str) -> None:
        super().__init__(email=email)


class InvalidCorporateNumber(Refusal):
    """Not thirteen digits, or the check digit is wrong."""

    code = "invalid-corporate-number"

    def __init__(self, *, corporate_number: str) -> None:
        super().__init__(corporate_number=corporate_number)


class InvalidPeriod(Refusal):
    code = "invalid-period"

    def __init__(self, *, valid_from: datetime, valid_until: datetime) -> None:
        super().__init__(valid_from=valid_from.isoformat(), valid_until=valid_until.isoformat())


# --- what is there already, or is not ---------------------------------------------------------------------------------


class OrganisationNotFound(Refusal):
    code = "organisation-not-found"


class OrganisationExists(Refusal):
    code = "organisation-exists"

    def __init__(self, *, slug: str) -> None:
        super().__init__(slug=slug)


class PersonNotFound(Refusal):
    code = "person-not-found"


class PersonExists(Refusal):
    code = "person-exists"

    def __init__(self, *, email: str) -> None:
        super().__init__(email=email)


class ProjectNotFound(Refusal):
    code = "project-not-found"

    def __init__(self, *, slug: str) -> None:
        super().__init__(slug=slug)


class ProjectExists(Refusal):
    code = "project-exists"

    def __init__(self, *, slug: str) -> None:
        super().__init__(slug=slug)


class AlreadyMember(Refusal):
    code = "already-member"


class NotAMember(Refusal):
    code = "not-a-member"


class OwnerRequired(Refusal):
    """Only an owner makes or removes an owner."""

    code = "owner-required"


class LastOwner(Refusal):
    """An organisation keeps at least one owner."""

    code = "last-owner"


# --- tokens -----------------------------------------------------------------------------------------------------------


class UnknownScope(Refusal):
    code = "unknown-scope"

    def __init__(self, *, scopes: Iterable[str]) -> None:
        super().__init__(scopes=sorted(scopes))


class ScopeNotHeld(Refusal):
    """A token cannot do more than the person's role, nor than the token with which it was made."""

    code = "scope-not-held"

    def __init__(self, *, scopes: Iterable[str]) -> None:
        super().__init__(scopes=sorted(scopes))


class InvalidTokenLifetime(Refusal):
    code = "invalid-token-lifetime"

    def __init__(self, *, max_days: int) -> None:
        super().__init__(max_days=max_days)


class TokenForAnother(Refusal):
    """Only an operator makes a token for somebody else."""

    code = "token-for-another"


class TokenNotFound(Refusal):
    code = "token-not-found"


# --- who runs as whom on a site ---------------------------------------------------------------------------------------


class SiteUserMissing(Refusal):
    """Nobody has said as whom this member runs on that backend."""

    code = "no-site-user"

    def __init__(self, *, backend: str) -> None:
        super().__init__(backend=backend)


class SiteUserNotFound(Refusal):
    code = "site-user-not-found"

    def __init__(self, *, unix_user: str, backend: str) -> None:
        super().__init__(unix_user=unix_user, backend=backend)


class SiteUserTaken(Refusal):
    """A name is given once, also after it was taken back: what it left on the site stays its own."""

    code = "site-user-taken"

    def __init__(self, *, unix_user: str, backend: str) -> None:
        super().__init__(unix_user=unix_user, backend=backend)


class SiteUserExists(Refusal):
    """The member, or the organisation, has one there already."""

    code = "site-user-exists"

    def __init__(self, *, unix_user: str, backend: str) -> None:
        super().__init__(unix_user=unix_user, backend=backend)


class SiteAccountTaken(Refusal):
    """An account is one organisation's: its limits and its use are that organisation's."""

    code = "site-account-taken"

    def __init__(self, *, account: str, backend: str) -> None:
        super().__init__(account=account, backend=backend)


class BadSiteUser(Refusal):
    """problem: 'name' or 'reserved'."""

    code = "bad-site-user"

    def __init__(self, *, unix_user: str, problem: str) -> None:
        super().__init__(unix_user=unix_user, problem=problem)


class BadSiteAccount(Refusal):
    code = "bad-site-account"

    def __init__(self, *, account: str) -> None:
        super().__init__(account=account)


# --- members' secrets -------------------------------------------------------------------------------------------------


class BadSecretName(Refusal):
    """problem: 'name' or 'reserved'."""

    code = "bad-secret-name"

    def __init__(self, *, name: str, problem: str) -> None:
        super().__init__(name=name, problem=problem)


class BadSecretValue(Refusal):
    """problem: 'empty', 'nul' or 'not_utf8'."""

    code = "bad-secret-value"

    def __init__(self, *, problem: str) -> None:
        super().__init__(problem=problem)


class SecretTooLarge(Refusal):
    code = "secret-too-large"

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes=size_bytes, limit_bytes=limit_bytes)


class TooManySecrets(Refusal):
    code = "too-many-secrets"

    def __init__(self, *, limit: int) -> None:
        super().__init__(limit=limit)


class SecretNotFound(Refusal):
    code = "secret-not-found"

    def __init__(self, *, name: str) -> None:
        super().__init__(name=name)


class SecretUnknown(Refusal):
    """A job names what is not among its owner's own: another's is not told apart."""

    code = "unknown-secret"

    def __init__(self, *, names: Iterable[str]) -> None:
        super().__init__(names=list(names))
