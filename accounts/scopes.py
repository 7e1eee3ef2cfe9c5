"""What a role may do. A token acts with those of its scopes that the person's role still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Scope(StrEnum):
    JOBS_READ = "jobs:read"  # see the organisation's jobs, logs and results
    JOBS_WRITE = "jobs:write"  # estimate, submit and cancel
    MONEY_READ = "money:read"  # balance, statement, usage in yen, draft invoice
    MEMBERS_WRITE = "members:write"  # members and projects
    TOKENS_WRITE = "tokens:write"  # one's own API tokens; staff tokens are made by operators
    OPERATE = "operate"  # organisations, prices, grants, queue, backends
    REPORT_READ = "report:read"  # KPIs and reports over all organisations


class OrgRole(StrEnum):
    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    MEMBER = "member"
    BILLING = "billing"


class StaffRole(StrEnum):
    OPERATOR = "operator"
    OFFICER = "officer"
    AUDITOR = "auditor"


_SUBMITS = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.TOKENS_WRITE})

SCOPES: Mapping[OrgRole | StaffRole, frozenset[Scope]] = {
    OrgRole.OWNER: _SUBMITS | {Scope.MONEY_READ, Scope.MEMBERS_WRITE},
    OrgRole.ADMINISTRATOR: _SUBMITS | {Scope.MEMBERS_WRITE},
    OrgRole.MEMBER: _SUBMITS,
    OrgRole.BILLING: frozenset({Scope.MONEY_READ, Scope.TOKENS_WRITE}),
    StaffRole.OPERATOR: frozenset({Scope.OPERATE, Scope.TOKENS_WRITE}),
    StaffRole.OFFICER: frozenset({Scope.REPORT_READ}),
    StaffRole.AUDITOR: frozenset({Scope.REPORT_READ}),
}


def scopes_of(roles: Iterable[OrgRole | StaffRole]) -> frozenset[str]:
    """All that these roles may do together."""
    return frozenset(scope.value for role in roles for scope in SCOPES[role])
