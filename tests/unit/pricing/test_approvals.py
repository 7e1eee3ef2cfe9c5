"""Two persons: who may decide about what, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.approvals import (
    LIFETIME,
    Decision,
    Proposal,
    ProposalStatus,
    is_repeated,
    require_decidable,
    sha256_of,
)
from pricing.errors import OwnProposal, ProposalDecided, ProposalExpired

NOW = datetime(2026, 4, 1, tzinfo=UTC)
AUTHOR, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))
OPEN = Proposal(
    id=UUID(int=9),
    kind="price.publish",
    content={"yen": "10"},
    effect={},
    reason="why",
    proposed_by=AUTHOR,
    proposed_at=NOW,
    expires_at=NOW + LIFETIME,
)


def decided(*, approved: bool) -> Proposal:
    effect = {} if approved else None
    decision = Decision(approved=approved, reason="x", effect=effect, decided_by=SECOND, decided_at=NOW)
    return replace(OPEN, decision=decision)


def test_another_person_decides_and_the_author_never() -> None:
    for approved in (True, False):
        require_decidable(OPEN, approved=approved, by=SECOND, now=NOW)
        with pytest.raises(OwnProposal):
            require_decidable(OPEN, approved=approved, by=AUTHOR, now=NOW)


def test_what_is_decided_stays_so() -> None:
    for before in (True, False):
        asked = decided(approved=before)
        for approved in (True, False):
            for by in (AUTHOR, SECOND, THIRD):
                with pytest.raises(ProposalDecided):
                    require_decidable(asked, approved=approved, by=by, now=NOW)
                assert is_repeated(asked, approved=approved, by=by) == (by == SECOND and approved == before)
    assert not is_repeated(OPEN, approved=True, by=SECOND)


def test_it_can_be_approved_until_and_not_at_its_end_and_still_be_rejected_then() -> None:
    last, end = NOW + LIFETIME - timedelta(microseconds=1), NOW + LIFETIME
    require_decidable(OPEN, approved=True, by=SECOND, now=last)
    with pytest.raises(ProposalExpired):
        require_decidable(OPEN, approved=True, by=SECOND, now=end)
    require_decidable(OPEN, approved=False, by=SECOND, now=end)
    assert (OPEN.status(last), OPEN.status(end)) == (ProposalStatus.OPEN, ProposalStatus.EXPIRED)
    assert decided(approved=True).status(end) is ProposalStatus.APPROVED
    assert decided(approved=False).status(end) is ProposalStatus.REJECTED


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_the_order_of_its_names_does_not_change_a_contents_hash(content: dict[str, Any]) -> None:
    assert sha256_of(dict(reversed(content.items()))) == sha256_of(content)


@pytest.mark.parametrize("wrong", [{"a": 1.0}, {"a": [{"b": 0.5}]}, {1: "a"}, {"a": NOW}, {"a": b"x"}])
def test_what_json_does_not_keep_exactly_is_no_content(wrong: Any) -> None:
    with pytest.raises(TypeError):
        sha256_of(wrong)
