"""What others may ask of accounts: the one door.

Each function works inside the caller's transaction, and what it changes leaves an entry in the audit trail. `actor` is
who asks; None is the system itself (first set-up, tests), which nobody can be over the network.
"""

from __future__ import annotations

from accounts.access import authenticate, issue_token, list_tokens, recognise, revoke_token
from accounts.ends import outlooks
from accounts.organisations import (
    DEFAULT_PROJECT,
    create_organisation,
    create_project,
    declarations,
    declare,
    list_organisations,
    list_projects,
    organisation,
    organisations_among,
    project_by_slug,
    projects_of,
    require_eligible,
    require_submitter,
    set_suspended,
    submitter_look,
)
from accounts.people import add_member, create_person, end_membership, grant_staff_role, invite, list_members
from accounts.secrets import (
    list_secrets,
    remove_secret,
    renew_encryption,
    require_secrets,
    sealed_secrets,
    set_secret,
)
from accounts.sites import (
    list_site_users,
    map_site_user,
    may_start,
    may_start_look,
    site_user,
    site_user_look,
    unmap_site_user,
)
from accounts.trail import append_audit, verify_audit_chain

__all__ = [
    "DEFAULT_PROJECT",
    "add_member",
    "append_audit",
    "authenticate",
    "create_organisation",
    "create_person",
    "create_project",
    "declarations",
    "declare",
    "end_membership",
    "grant_staff_role",
    "invite",
    "issue_token",
    "list_members",
    "list_organisations",
    "list_projects",
    "list_secrets",
    "list_site_users",
    "list_tokens",
    "map_site_user",
    "may_start",
    "may_start_look",
    "organisation",
    "organisations_among",
    "outlooks",
    "project_by_slug",
    "projects_of",
    "recognise",
    "remove_secret",
    "renew_encryption",
    "require_eligible",
    "require_secrets",
    "require_submitter",
    "revoke_token",
    "sealed_secrets",
    "set_secret",
    "set_suspended",
    "site_user",
    "site_user_look",
    "submitter_look",
    "unmap_site_user",
    "verify_audit_chain",
]
