"""The form of an API token, and what is kept of it. Pure."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts.errors import InvalidTokenLifetime, UnknownScope
from accounts.scopes import Scope

MAX_LIFETIME_DAYS = 365
_FORM = re.compile(r"kyo_[A-Za-z0-9_-]{43}")


def plain_token(secret: bytes) -> str:
    """The token of 32 random bytes: 256 bits, so that a plain hash is enough to keep."""
    return "kyo_" + urlsafe_b64encode(secret).rstrip(b"=").decode()


def has_form(plain: str) -> bool:
    return _FORM.fullmatch(plain) is not None


def hash_token(plain: str) -> bytes:
    return hashlib.sha256(plain.encode()).digest()


def check_lifetime(*, now: datetime, expires_at: datetime) -> None:
    """InvalidTokenLifetime: it would end before it begins, or live longer than a year."""
    if not now < expires_at <= now + timedelta(days=MAX_LIFETIME_DAYS):
        raise InvalidTokenLifetime(max_days=MAX_LIFETIME_DAYS)


def check_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """UnknownScope, also for none at all: a token that may do nothing is a mistake."""
    wanted = frozenset(scopes)
    unknown = wanted - {scope.value for scope in Scope}
    if unknown or not wanted:
        raise UnknownScope(scopes=unknown)
    return wanted
