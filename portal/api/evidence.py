"""Files that prove something, on the wire: the house keeps them, and here their name, SHA-256 and size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from accounts.model import Evidence
from portal.api.wire import In, Out, Word


class EvidenceIn(In):
    """The file that shows it: the house keeps it, and here its name, SHA-256 and size."""

    name: Annotated[Word, Field(min_length=1, max_length=200, examples=["cloud-a-h100-2026-11-20.pdf"])]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=1, le=2**53)]

    def value(self) -> Evidence:
        """As the services take it."""
        return Evidence(name=self.name, sha256=bytes.fromhex(self.sha256), size_bytes=self.size_bytes)


class EvidenceOut(Out):
    name: str
    sha256: str
    size_bytes: int


def evidence_out(evidence: Evidence | None) -> EvidenceOut | None:
    """Evidence on the wire."""
    if evidence is None:
        return None
    return EvidenceOut(name=evidence.name, sha256=evidence.sha256.hex(), size_bytes=evidence.size_bytes)
