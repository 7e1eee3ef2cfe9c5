"""Two persons for what moves prices and value: one proposes, another one approves or rejects. Pure.

Who gives out money or sets prices alone can do so for a friend, or by a slip of the hand. So the content of such a
change is written down first, as JSON, with its SHA-256 and its reason, and is only done when another operator approves
that very text. Decision record: infra/decisions/0031-two-persons.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pricing.errors import OwnProposal, ProposalDecided, ProposalExpired

LIFETIME = timedelta(days=14)
"""After so long a proposal can no longer be approved: the world that it was made for has changed."""

Content = Mapping[str, Any]
"""JSON of strings, whole numbers, booleans, null, lists and objects. No floats: they hold no money."""


class ProposalStatus(StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the second person decided. effect: what was done by it; None: it was rejected."""

    approved: bool
    reason: str
    effect: Content | None
    decided_by: UUID
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one person wants done. kind: 'noun.verb'; effect: what it would have done when it was proposed."""

    id: UUID
    kind: str
    content: Content
    effect: Content
    reason: str
    proposed_by: UUID
    proposed_at: datetime
    expires_at: datetime
    decision: Decision | None = None

    def status(self, now: datetime) -> ProposalStatus:
        """As of an instant."""
        if self.decision is not None:
            return ProposalStatus.APPROVED if self.decision.approved else ProposalStatus.REJECTED
        return ProposalStatus.OPEN if now < self.expires_at else ProposalStatus.EXPIRED

    @property
    def sha256(self) -> bytes:
        """Of its content."""
        return sha256_of(self.content)


def sha256_of(content: Content) -> bytes:
    """Of the canonical text: keys sorted, no spaces, UTF-8. TypeError: it holds what no content may hold."""
    _require_plain(content)
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _require_plain(value: object) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{name!r} is no name")
            _require_plain(each)
    elif isinstance(value, list):
        for each in value:
            _require_plain(each)
    elif not (value is None or isinstance(value, str | int)):
        raise TypeError(f"{value!r} cannot be proposed")


def is_repeated(proposal: Proposal, *, approved: bool, by: UUID) -> bool:
    """Whether this person has decided just so before: then nothing is to be done, and nothing is wrong."""
    before = proposal.decision
    return before is not None and (before.approved, before.decided_by) == (approved, by)


def require_decidable(proposal: Proposal, *, approved: bool, by: UUID, now: datetime) -> None:
    """Whether this person may decide so now. What has lapsed may still be rejected.

    ProposalDecided, OwnProposal, ProposalExpired.
    """
    if proposal.decision is not None:
        raise ProposalDecided(proposal=str(proposal.id), decision=proposal.status(now).value)
    if by == proposal.proposed_by:
        raise OwnProposal(proposal=str(proposal.id))
    if approved and proposal.status(now) is ProposalStatus.EXPIRED:
        raise ProposalExpired(proposal=str(proposal.id), expired_at=proposal.expires_at.isoformat())
