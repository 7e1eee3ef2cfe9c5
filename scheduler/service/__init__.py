"""What others may ask of the scheduler: the one door. Every function works in the caller's transaction.

Submitting and reading work as the tenant (the database shows it only its own); what moves an attempt on is done by the
loops.
"""

from __future__ import annotations

from scheduler.service.operating import publish_exchange_rate, queue_view, set_share
from scheduler.service.reading import attempts, job, jobs, result, story
from scheduler.service.submitting import largest_nu, request_cancel, resources_of, submit

__all__ = [
    "attempts",
    "job",
    "jobs",
    "largest_nu",
    "publish_exchange_rate",
    "queue_view",
    "request_cancel",
    "resources_of",
    "result",
    "set_share",
    "story",
    "submit",
]
