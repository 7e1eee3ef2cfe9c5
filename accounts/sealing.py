"""Encryption of members' secrets: AES-256-GCM under the newest of the house's keys. Pure; see infra/decisions/0016.

A ciphertext is bound to its organisation, person and name: put into another row it no longer opens.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
_KEY_BYTES = 32
_FORM = b"kyoyo secret v1"
_KEY_ID_CHARACTERS = 16


class BadKeyRing(ValueError):
    """The file of keys cannot be used. The message says why, and holds nothing of a key."""


class CannotUnseal(Exception):
    """Encrypted with a key that the house no longer has, moved from its row, or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A secret as it is kept: encrypted, with whose it is and what it is called."""

    organisation_id: UUID
    person_id: UUID
    name: str
    key_id: str
    ciphertext: bytes = field(repr=False)


class Sealer:
    """Seals with the first key, opens with any. Holds the keys: keep it out of logs."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise BadKeyRing(f"each key must have {_KEY_BYTES} bytes, and there must be one")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.key_id = _key_id(keys[0])

    def seal(self, value: str, *, organisation_id: UUID, person_id: UUID, name: str, nonce: bytes) -> Sealed:
        """nonce: fresh random bytes, never used twice; the first NONCE_BYTES of them count."""
        used = nonce[:NONCE_BYTES]
        bound = _bound(organisation_id, person_id, name)
        ciphertext = used + self._ciphers[self.key_id].encrypt(used, value.encode(), bound)
        return Sealed(
            organisation_id=organisation_id,
            person_id=person_id,
            name=name,
            key_id=self.key_id,
            ciphertext=ciphertext,
        )

    def unseal(self, sealed: Sealed) -> str:
        """The value. CannotUnseal."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise CannotUnseal(f"key {sealed.key_id} is not among the house's keys")
        nonce, encrypted = sealed.ciphertext[:NONCE_BYTES], sealed.ciphertext[NONCE_BYTES:]
        bound = _bound(sealed.organisation_id, sealed.person_id, sealed.name)
        try:
            return cipher.decrypt(nonce, encrypted, bound).decode()
        except (InvalidTag, ValueError) as wrong:
            raise CannotUnseal("damaged, or not of this row") from wrong


def keys_of(text: str) -> Sequence[bytes]:
    """The keys of a key file: one in base64 a line, the newest first; `#` begins a comment. BadKeyRing."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [_key(line) for line in lines if line]


def _key(line: str) -> bytes:
    try:
        return b64decode(line.replace("-", "+").replace("_", "/") + "=" * (-len(line) % 4), validate=True)
    except NotBase64:
        raise BadKeyRing("a line is not base64") from None


def _key_id(key: bytes) -> str:
    """Names a key and tells nothing of it: nobody can give two keys one name."""
    return hashlib.sha256(b"kyoyo secrets key" + key).hexdigest()[:_KEY_ID_CHARACTERS]


def _bound(organisation_id: UUID, person_id: UUID, name: str) -> bytes:
    return _FORM + organisation_id.bytes + person_id.bytes + name.encode()
