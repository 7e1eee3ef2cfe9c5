"""Signed addresses of the portal's own transfers: they say all that they allow, and for how long. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from portal.data.errors import TransferExpired, TransferRefused
from portal.data.model import Blob

TRANSFERS = "/api/v1/transfers"
"""Where the portal itself takes and gives contents."""
_MAX_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one address allows. PUT: one part, of this size and SHA-256. GET: one content, under this file name."""

    method: str
    blob: Blob
    size: int
    expires_s: int
    number: int = 0
    sha256: str = ""
    part_bytes: int = 0
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and reads them with the installation's key."""

    key: bytes = field(repr=False)

    def sign(self, grant: Grant) -> str:
        """A word for an address."""
        told = [
            grant.method,
            grant.blob.organisation_id.hex,
            grant.blob.id.hex,
            grant.size,
            grant.expires_s,
            grant.number,
            grant.sha256,
            grant.part_bytes,
            grant.filename,
        ]
        body = _text(json.dumps(told, separators=(",", ":")).encode())
        return f"{body}.{_text(self._seal(body))}"

    def read(self, word: str, *, method: str, now: datetime) -> Grant:
        """What it allows. TransferRefused: not signed by us, or for another method. TransferExpired."""
        body, _, seal = word.partition(".")
        if len(word) > _MAX_CHARACTERS or not hmac.compare_digest(
            _text(self._seal(body)).encode(), seal.encode("utf-8", "surrogatepass")
        ):
            raise TransferRefused
        grant = _grant(_bytes(body))
        if grant.method != method:
            raise TransferRefused
        if now.timestamp() >= grant.expires_s:
            raise TransferExpired
        return grant

    def _seal(self, body: str) -> bytes:
        return hmac.digest(self.key, b"transfer\x1f" + body.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _grant(body: bytes) -> Grant:
    """Only ever of what we have signed."""
    method, organisation, blob, size, expires_s, number, sha256, part_bytes, filename = json.loads(body)
    return Grant(
        method=method,
        blob=Blob(UUID(hex=organisation), UUID(hex=blob)),
        size=size,
        expires_s=expires_s,
        number=number,
        sha256=sha256,
        part_bytes=part_bytes,
        filename=filename,
    )


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, NotBase64):
        raise TransferRefused from None
