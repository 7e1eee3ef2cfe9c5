"""In which order jobs came, and were handed over. Where nobody numbered them: by age, index, id. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from scheduler.core.snapshot import Holding, Waiting


def by_age(job: Waiting) -> tuple[int, datetime, int, UUID]:
    return job.seq, job.submitted_at, -1 if job.task is None else job.task.index, job.attempt_id


def by_hand_over(held: Holding) -> tuple[int, datetime, UUID]:
    return held.seq, held.sent_at or held.until, held.attempt_id
