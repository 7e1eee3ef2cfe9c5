"""What would change that a job waits, as its owner is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from accounts import service as accounts
from infra.db.connection import Conn
from infra.refusal import Refusal
from pricing import service as pricing
from pricing.model import Offering, OfferingKind
from scheduler.core.branches import Level
from scheduler.core.explain import what_helps
from scheduler.core.model import JobKind
from scheduler.core.quotas import EVERYWHERE
from scheduler.core.reasons import WOULD, Why
from scheduler.core.remedies import Asked, Known, OwnRun, remedies
from scheduler.store.ownruns import own_runs
from scheduler.views import JobView, RemedyView, WaitingView

_OF_BRANCHES: Final = frozenset({Why.RUNNING_QUOTA, Why.GPU_QUOTA})
_OF_LOANS: Final = frozenset({Why.BORROW_LIMIT, Why.KEPT_SHARE})


async def what_would_help(conn: Conn, job: JobView, *, now: datetime) -> Sequence[RemedyView]:
    """The quickest first; none: it does not wait. Of the tenant's own jobs and what it may buy, nothing else."""
    waiting = job.waiting
    if waiting is None:
        return ()
    facts = dict(waiting.facts)
    if job.kind is JobKind.HYBRID:
        facts.pop(WOULD, None)  # submitted again it would begin with its first phase
    asked = Asked(gpus=job.gpus, nodes=job.nodes, walltime_s=job.walltime_s, service_class=job.service_class)
    known = Known(
        now=now,
        runs=await _runs(conn, job, waiting),
        offerings=await _offerings(conn, job, facts.get(WOULD), now),
    )
    found = remedies(waiting.reason, facts, asked, known)
    return [RemedyView(code=each.code, facts=each.facts, sentence=what_helps(each)) for each in found]


async def _runs(conn: Conn, job: JobView, waiting: WaitingView) -> Sequence[OwnRun]:
    """Of the branch whose limit it meets."""
    level, on = waiting.facts.get("level"), waiting.facts.get("on")
    if waiting.reason in _OF_LOANS:
        level, on = Level.ORGANISATION, job.backend
    elif waiting.reason not in _OF_BRANCHES:
        return ()
    return await own_runs(
        conn,
        organisation_id=job.organisation_id,
        project_id=None if level == Level.ORGANISATION else job.project_id,
        person_id=job.person_id if level == Level.USER else None,
        backend=str(on) if on not in {None, EVERYWHERE} else None,
    )


async def _offerings(conn: Conn, job: JobView, would: object, now: datetime) -> Mapping[str, Sequence[str]]:
    """By backend, those where it would start now and that its owner may buy for such a job.

    None where its data may not go everywhere: where a machine stands is told at submission.
    """
    backends = would.get("backends") if isinstance(would, Mapping) and job.data_location is None else None
    if not backends or not isinstance(backends, list):
        return {}
    try:
        customer = await accounts.require_eligible(conn, job.organisation_id, now=now)
    except Refusal:
        return {}
    found: dict[str, list[str]] = {}
    for each in await pricing.offerings(conn, customer_class=customer.customer_class, now=now):
        has_price = any(price.service_class is job.service_class for price in each.prices)
        if has_price and each.offering.backend in backends and _is_large_enough(each.offering, job):
            found.setdefault(each.offering.backend, []).append(each.offering.id)
    return found


def _is_large_enough(offering: Offering, job: JobView) -> bool:
    return (
        offering.kind is OfferingKind.GPU
        and job.gpus <= offering.max_gpus
        and job.walltime_s <= offering.max_walltime_s
        and job.cpus <= job.gpus * offering.cpus_per_gpu
        and job.memory_mb <= job.gpus * offering.memory_mb_per_gpu
    )
