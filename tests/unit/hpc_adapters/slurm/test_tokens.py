from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.slurm.tokens import ForbiddenUser, Minter

KEY = bytes(range(32))
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def claims(token: str) -> Any:
    segment = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def test_a_token_names_its_user_and_lives_shortly() -> None:
    token = Minter(KEY, clock=Clock()).token("alice")
    issued = int(NOW.timestamp())
    assert claims(token) == {"exp": issued + 120, "iat": issued, "sun": "alice"}


def test_a_token_is_signed_with_the_key() -> None:
    signed, _, signature = Minter(KEY, clock=Clock()).token("alice").rpartition(".")
    expected = hmac.digest(KEY, signed.encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_a_token_is_kept_for_half_its_life_and_then_made_anew() -> None:
    clock = Clock()
    minter = Minter(KEY, clock=clock)
    first = minter.token("alice")
    clock.now += timedelta(seconds=59)
    assert minter.token("alice") == first
    clock.now += timedelta(seconds=1)
    assert claims(minter.token("alice"))["exp"] == int(clock.now.timestamp()) + 120


def test_a_clock_that_was_set_back_makes_a_new_token() -> None:
    clock = Clock()
    minter = Minter(KEY, clock=clock)
    minter.token("alice")
    clock.now -= timedelta(hours=1)
    assert claims(minter.token("alice"))["iat"] == int(clock.now.timestamp())


def test_a_refused_token_is_not_used_again() -> None:
    clock = Clock()
    minter = Minter(KEY, clock=clock)
    first = minter.token("alice")
    clock.now += timedelta(seconds=1)
    minter.forget("alice")
    assert minter.token("alice") != first


@pytest.mark.parametrize(
    "user", ["root", "slurm", "munge", "", "Alice", "a b", "-alice", "0day", "a" * 33, "alice\n", "ali\u0441e", "a:b"]
)
def test_no_token_is_made_for_who_may_act_for_others_or_is_no_user(user: str) -> None:
    with pytest.raises(ForbiddenUser):
        Minter(KEY, clock=Clock()).token(user)


@given(st.text(max_size=40))
def test_whoever_gets_a_token_has_a_plain_name(user: str) -> None:
    minter = Minter(KEY, clock=Clock())
    try:
        token = minter.token(user)
    except ForbiddenUser:
        return
    assert claims(token)["sun"] == user
    assert user.isascii()
    assert user not in {"root", "slurm", "munge"}


def test_the_key_is_never_shown() -> None:
    minter = Minter(KEY, clock=Clock())
    minter.token("alice")
    for shown in (repr(minter), str(minter), repr(minter._made)):
        assert repr(KEY) not in shown
        assert "eyJ" not in shown


@pytest.mark.parametrize("lifetime_s", [59, 301, 86_400])
def test_tokens_live_one_to_five_minutes(lifetime_s: int) -> None:
    with pytest.raises(ValueError, match="live"):
        Minter(KEY, clock=Clock(), lifetime_s=lifetime_s)


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer"):
        Minter(b"short", clock=Clock())
