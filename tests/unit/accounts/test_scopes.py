from __future__ import annotations

from uuid import UUID

import pytest

from accounts.errors import ScopeMissing
from accounts.model import OrgRole, Principal, Scope, StaffRole
from accounts.scopes import SCOPES, scopes_of

HOUSE_ONLY = {Scope.OPERATE, Scope.REPORT_READ}


def test_every_role_has_its_scopes_and_every_scope_a_role() -> None:
    assert set(SCOPES) == {*OrgRole, *StaffRole}
    assert frozenset.union(*SCOPES.values()) == frozenset(Scope)


@pytest.mark.parametrize("role", OrgRole)
def test_no_role_in_an_organisation_acts_for_the_house(role: OrgRole) -> None:
    assert not SCOPES[role] & HOUSE_ONLY


def test_an_owner_may_do_what_any_other_in_the_organisation_may() -> None:
    assert scopes_of(OrgRole) == scopes_of([OrgRole.OWNER])


def test_billing_sees_money_and_submits_nothing() -> None:
    assert Scope.MONEY_READ in SCOPES[OrgRole.BILLING]
    assert Scope.JOBS_WRITE not in SCOPES[OrgRole.BILLING]


def test_an_officer_and_an_auditor_change_nothing_of_the_house() -> None:
    assert Scope.OPERATE not in scopes_of([StaffRole.OFFICER, StaffRole.AUDITOR])


def test_a_principal_is_refused_what_its_token_lacks() -> None:
    principal = Principal(
        person_id=UUID(int=1),
        display_name="彩",
        organisation_id=UUID(int=2),
        role=OrgRole.OWNER,
        staff_roles=frozenset(),
        scopes=frozenset({"jobs:read"}),
        token_id=UUID(int=3),
    )
    principal.require(Scope.JOBS_READ)
    with pytest.raises(ScopeMissing) as refused:
        principal.require(Scope.JOBS_WRITE)
    assert refused.value.facts == {"scope": "jobs:write"}
