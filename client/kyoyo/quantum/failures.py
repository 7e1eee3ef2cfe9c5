"""Why a job left no result, as an exception."""

from __future__ import annotations

from kyoyo.models import Fields, JobRecord
from kyoyo.quantum.errors import JobFailed
from kyoyo.quantum.results import error_in


def failure_of(record: JobRecord, left: object) -> JobFailed:
    """Why there is no result: the refusal's own word where there is one, else the end's; the story's last sentence."""
    code, facts = error_in(left) or (record.reason or record.state.lower(), {})
    story = Fields(record.raw).items(lambda told: Fields(told).text("sentence", ""), "story")
    detail = story[-1] if story else code
    return JobFailed(code, f"job {record.id}: {detail} ({code})", job=record.id, facts=facts)
