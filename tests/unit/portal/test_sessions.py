"""The signed cookie: nobody makes one, nobody keeps one too long, and it opens nothing but pages."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portal.auth.sessions import LIFETIME, Sessions, load_key

NOW = datetime(2026, 4, 1, tzinfo=UTC)
SESSIONS = Sessions(key=b"k" * 32)
COOKIE = SESSIONS.begin(token_sha256=b"h" * 32, nonce=b"n" * 32, now=NOW)


def test_a_session_is_read_back() -> None:
    session = SESSIONS.read(COOKIE, now=NOW)
    assert session is not None
    assert (session.token_sha256, session.began_at) == (b"h" * 32, NOW)


def test_a_session_ends_after_its_lifetime() -> None:
    assert SESSIONS.read(COOKIE, now=NOW + LIFETIME - timedelta(seconds=1)) is not None
    assert SESSIONS.read(COOKIE, now=NOW + LIFETIME) is None


def test_a_session_of_the_future_is_none() -> None:
    assert SESSIONS.read(COOKIE, now=NOW - timedelta(minutes=2)) is None


@pytest.mark.parametrize("position", range(0, len(COOKIE), 7))
def test_no_letter_of_a_cookie_can_be_changed(position: int) -> None:
    other = "1" if COOKIE[position] != "1" else "0"
    assert SESSIONS.read(COOKIE[:position] + other + COOKIE[position + 1 :], now=NOW) is None


@pytest.mark.parametrize("value", ["", "v1", "v1....", COOKIE + "x", COOKIE.rpartition(".")[0], "é" * 200, "\0"])
def test_what_is_no_cookie_of_ours_is_no_session(value: str) -> None:
    assert SESSIONS.read(value, now=NOW) is None


def test_another_installations_cookie_is_no_session() -> None:
    assert Sessions(key=b"o" * 32).read(COOKIE, now=NOW) is None


def test_a_form_token_belongs_to_one_session() -> None:
    one = SESSIONS.read(COOKIE, now=NOW)
    other = SESSIONS.read(SESSIONS.begin(token_sha256=b"h" * 32, nonce=b"m" * 32, now=NOW), now=NOW)
    assert one is not None
    assert other is not None
    assert SESSIONS.is_form_token(one, SESSIONS.form_token(one))
    assert not SESSIONS.is_form_token(one, SESSIONS.form_token(other))
    assert not SESSIONS.is_form_token(one, "é")


def test_a_cookie_over_https_is_bound_to_its_host() -> None:
    assert Sessions(key=b"k" * 32, secure=True).cookie.startswith("__Host-")


def test_the_key_does_not_show() -> None:
    assert "kkk" not in repr(SESSIONS)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "session.key"
    first = load_key(path, fresh=b"a" * 32)
    again = load_key(path, fresh=b"b" * 32)
    assert first == again == b"a" * 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe not base64"])
def test_a_broken_key_is_an_error_and_not_a_weak_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.key"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"session\.key"):
        load_key(path, fresh=b"a" * 32)
