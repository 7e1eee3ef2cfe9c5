"""Short-lived tokens for Slurm's JWT authentication, one for each user that we speak as.

Whoever holds the key can speak as anybody, so the key stays in this object, no token lives long, and none is ever made
for a user who may act for others.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_NEVER: Final = frozenset({"root", "slurm", "munge"})
SHORTEST_S: Final = 60
LONGEST_S: Final = 300
_MIN_KEY_BYTES: Final = 16


class ForbiddenUser(ValueError):
    """We make no token for this name: it may act for others, or it is no name of a Unix user."""

    def __init__(self, user: str) -> None:
        super().__init__(f"no token is made for {user[:32]!r}")


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    text: str
    made_at: datetime


class Minter:
    """Makes tokens (HS256; claims exp, iat, sun), and makes each anew when half of its life has passed."""

    def __init__(self, key: bytes, *, clock: Callable[[], datetime], lifetime_s: int = 120) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes, fewer than {_MIN_KEY_BYTES}")
        if not SHORTEST_S <= lifetime_s <= LONGEST_S:
            raise ValueError(f"tokens live {SHORTEST_S} to {LONGEST_S} s, not {lifetime_s}")
        self._key, self._clock = key, clock
        self._lifetime = timedelta(seconds=lifetime_s)
        self._made: dict[str, _Token] = {}

    def __repr__(self) -> str:
        return f"Minter(lifetime_s={self._lifetime.total_seconds():.0f})"

    def token(self, user: str) -> str:
        """A token that is good for at least half a lifetime. ForbiddenUser."""
        if user in _NEVER or _NAME.fullmatch(user) is None:
            raise ForbiddenUser(user)
        now = self._clock()
        token = self._made.get(user)
        if token is None or not timedelta(0) <= now - token.made_at < self._lifetime / 2:
            token = _Token(sign(self._key, user=user, issued_at=now, lifetime=self._lifetime), now)
            self._made[user] = token
        return token.text

    def forget(self, user: str) -> None:
        """The next token is a new one: this one was refused."""
        self._made.pop(user, None)


def sign(key: bytes, *, user: str, issued_at: datetime, lifetime: timedelta) -> str:
    """The token itself. Pure, and without a look at who the user is."""
    issued = int(issued_at.timestamp())
    claims = {"exp": issued + int(lifetime.total_seconds()), "iat": issued, "sun": user}
    signed = ".".join((_segment(_as_json({"alg": "HS256", "typ": "JWT"})), _segment(_as_json(claims))))
    return f"{signed}.{_segment(hmac.digest(key, signed.encode('ascii'), 'sha256'))}"


def _as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _segment(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
