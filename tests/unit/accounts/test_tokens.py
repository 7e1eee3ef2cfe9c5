from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import InvalidTokenLifetime, UnknownScope
from accounts.tokens import check_lifetime, check_scopes, has_form, hash_token, plain_token

NOW = datetime(2026, 4, 1, tzinfo=UTC)


@given(st.binary(min_size=32, max_size=32))
def test_a_token_has_the_form_that_sign_in_expects(secret: bytes) -> None:
    token = plain_token(secret)
    assert has_form(token)
    assert len(token) == 47
    assert len(hash_token(token)) == 32


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_other_bytes_are_another_token(one: bytes, other: bytes) -> None:
    assert (plain_token(one) == plain_token(other)) == (one == other)


@pytest.mark.parametrize(
    "strange", ["", "kyo_", "KYO_" + "a" * 43, "kyo_" + "a" * 42, "kyo_" + "a" * 44, "kyo_" + "é" * 43]
)
def test_anything_else_has_not(strange: str) -> None:
    assert not has_form(strange)


@pytest.mark.parametrize("lifetime", [timedelta(seconds=1), timedelta(days=365)])
def test_a_token_may_live_for_a_year(lifetime: timedelta) -> None:
    check_lifetime(now=NOW, expires_at=NOW + lifetime)


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=365, microseconds=1)])
def test_a_token_neither_ends_before_it_begins_nor_outlives_a_year(lifetime: timedelta) -> None:
    with pytest.raises(InvalidTokenLifetime):
        check_lifetime(now=NOW, expires_at=NOW + lifetime)


def test_scopes_are_known_ones_and_at_least_one() -> None:
    assert check_scopes(["jobs:read", "jobs:read"]) == {"jobs:read"}
    with pytest.raises(UnknownScope) as refused:
        check_scopes(["jobs:read", "root", "admin"])
    assert refused.value.facts == {"scopes": ["admin", "root"]}
    with pytest.raises(UnknownScope):
        check_scopes([])
