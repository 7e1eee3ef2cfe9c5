"""The offerings on which a job may run, as its owner is told of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from portal.api.wire import Out, Yen
from pricing.units import yen_text
from scheduler.store.placing import Candidate


class CandidateOut(Out):
    """One of the offerings on which a job may run. `ceiling_yen`: what it costs there at most, without tax."""

    offering: str
    backend: str
    ceiling_yen: Yen
    chosen: Annotated[bool, Field(description="It waits, runs or ran there.")]


def candidate_out(candidate: Candidate, chosen: str) -> CandidateOut:
    """An offering on which it may run. chosen: where it is."""
    return CandidateOut(
        offering=candidate.offering_id,
        backend=candidate.backend,
        ceiling_yen=yen_text(candidate.ceiling_micro_yen),
        chosen=candidate.offering_id == chosen,
    )
