"""Who is signed in to the pages: a signed cookie, without a table.

The cookie names an API token by its SHA-256 (which opens nothing: the API wants the token itself), says when the
session began, and is signed with a key that only this installation has. Every request asks the database whether the
token still holds, so revoking it or letting it expire ends its sessions at once. See infra/decisions/0008.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

LIFETIME = timedelta(hours=12)
_FORM = re.compile(r"v1\.([0-9a-f]{64})\.([0-9]{1,12})\.([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. nonce: 16 random bytes as hex; the CSRF token is derived from it."""

    token_sha256: bytes
    began_at: datetime
    nonce: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """Signs and reads session cookies."""

    key: bytes = field(repr=False)
    secure: bool = False
    """Whether the portal is reached by HTTPS: the cookie then never travels without."""

    @property
    def cookie(self) -> str:
        """Its name. __Host- binds it to this very host; browsers allow that prefix over HTTPS only."""
        return "__Host-kyoyo-session" if self.secure else "kyoyo-session"

    def begin(self, *, token_sha256: bytes, nonce: bytes, now: datetime) -> str:
        """A new cookie value."""
        body = f"v1.{token_sha256.hex()}.{int(now.timestamp())}.{nonce[:16].hex()}"
        return f"{body}.{self._sign('session', body)}"

    def read(self, value: str, *, now: datetime) -> Session | None:
        """The session of a cookie value; None for a forged, broken or outlived one."""
        match = _FORM.fullmatch(value)
        if match is None or not hmac.compare_digest(match[4], self._sign("session", value.rpartition(".")[0])):
            return None
        began_at = datetime.fromtimestamp(int(match[2]), UTC)
        if not began_at - timedelta(minutes=1) <= now < began_at + LIFETIME:
            return None
        return Session(token_sha256=bytes.fromhex(match[1]), began_at=began_at, nonce=match[3])

    def form_token(self, session: Session) -> str:
        """What every form of this session carries against forgery."""
        return self._sign("form", session.nonce)

    def is_form_token(self, session: Session, value: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(self.form_token(session).encode(), value.encode())

    def _sign(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self.key, f"{purpose}\x1f{text}".encode(), hashlib.sha256)
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def load_key(path: Path, *, fresh: bytes) -> bytes:
    """The installation's key; made from `fresh` (0600) when there is none. ValueError: the file is not such a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        with os.fdopen(os.open(made, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(urlsafe_b64encode(fresh))
        try:
            os.link(made, path)  # whoever comes first wins, and nobody reads half a key
        except FileExistsError:
            pass
        finally:
            made.unlink()
    try:
        key = urlsafe_b64decode(path.read_bytes().strip())
    except NotBase64 as broken:
        raise ValueError(f"{path} is not a key") from broken
    if len(key) < _KEY_BYTES:
        raise ValueError(f"{path} is too short for a key")
    return key
