"""The audit trail's chain: each entry's hash covers the one before. Pure.

The formula is that of accounts.append_audit() in schema.sql. A chain shows every change, removal and insertion within
it; that entries were cut off at the end shows only to whoever kept a later head.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

ORIGIN = hashlib.sha256(b"kyoyo audit chain").digest()
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """facts_text: the facts as PostgreSQL writes a jsonb value, byte for byte."""

    seq: int
    recorded_at: datetime
    actor_id: UUID | None
    organisation_id: UUID | None
    action: str
    subject: str
    facts_text: str
    previous_sha256: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """kind: 'gap' (a number is missing), 'unlinked' (does not continue the entry before), 'altered' (its own hash)."""

    seq: int
    kind: str


def hash_of(entry: AuditEntry) -> bytes:
    """SHA-256 over the previous hash and the entry's canonical text."""
    canonical = _SEPARATOR.join(
        (
            str(entry.seq),
            entry.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
            str(entry.actor_id or ""),
            str(entry.organisation_id or ""),
            entry.action,
            entry.subject,
            entry.facts_text,
        )
    )
    return hashlib.sha256(entry.previous_sha256 + canonical.encode()).digest()


class ChainCheck:
    """Follows a chain entry by entry, from its first, and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[AuditProblem] = []
        self._seq, self._head = 0, ORIGIN

    def follow(self, entry: AuditEntry) -> None:
        if entry.seq != self._seq + 1:
            self.problems.append(AuditProblem(seq=self._seq + 1, kind="gap"))
        if entry.previous_sha256 != self._head:
            self.problems.append(AuditProblem(seq=entry.seq, kind="unlinked"))
        if hash_of(entry) != entry.sha256:
            self.problems.append(AuditProblem(seq=entry.seq, kind="altered"))
        self._seq, self._head = entry.seq, entry.sha256
