"""What a job with a QPU beside it would cost, before anything is written: its own ceiling and that of all its calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hpc_adapters.contract import Placement
from infra.db.connection import Conn
from infra.refusal import Refusal
from pricing import service as pricing
from pricing.model import JobSize, Quote, ServiceTime
from pricing.phases import joined
from pricing.quoting import price_job
from scheduler import policy
from scheduler.core.calls import Allowance, all_qpu_time_us
from scheduler.core.model import MAIN, JobKind
from scheduler.service.admitting import Admitted, Asker, admit
from scheduler.store import exchange
from scheduler.store.calls import NewQpu
from scheduler.submission import QpuWish, Submission

CALLS = "calls"
"""The part of a quote that is for the calls."""
_STAND_IN = b"OPENQASM 3.0;\n"
"""For the programs of calls: each is checked when it comes."""


async def admit_calls(conn: Conn, who: Asker, request: Submission, *, own: Admitted) -> tuple[Quote, NewQpu]:
    """One quote for a job that has a QPU and for its calls, each at its own price. own: the job by itself, admitted.

    A call as admit() judges a circuit, with the fact `phase`; MixedTaxRates; CostCapTooSmall.
    """
    wish = request.qpu
    assert wish is not None
    one = replace(
        request,
        kind=JobKind.QUANTUM,
        offering_id=wish.offering_id,
        body=_STAND_IN,
        walltime_s=wish.call_s,
        shots=-(-wish.shots // wish.calls),
        gpus=0,
        cpus=None,
        memory_mb=None,
        placement=Placement(),
        secrets=(),
        launch=None,
        inputs=(),
        outputs=(),
        arguments=(),
        environment={},
        max_attempts=1,
        max_timeouts=0,
        max_cost_micro_yen=None,
        qpu=None,
    )
    try:
        call = await admit(conn, who, one, ids=(own.quote.job_id, own.quote.id))
    except Refusal as refused:
        refused.facts.setdefault("phase", CALLS)
        raise
    qpu = await _qpu(conn, wish, call, who.now)
    quote = joined([(MAIN, own.quote), (CALLS, await _all_calls(conn, wish, call, qpu.allowed))])
    pricing.require_within(quote, request.max_cost_micro_yen)
    return quote, qpu


async def _qpu(conn: Conn, wish: QpuWish, call: Admitted, now: datetime) -> NewQpu:
    sold = call.offering
    rate = await exchange.nu_per_hour(conn, sold.resource_type, at=now)
    allowed = Allowance(
        calls=wish.calls,
        shots=wish.shots,
        max_shots=sold.max_shots,
        idle_s=wish.idle_s,
        base_us=sold.qpu_base_us * wish.elements,  # what a call takes at most besides its shots
        per_kshot_us=sold.qpu_per_kshot_us,
        nu_per_hour=policy.DEFAULT_NU_PER_HOUR if rate is None else rate,
    )
    return NewQpu(offering_id=sold.id, backend=sold.backend, call_s=wish.call_s, wait_s=wish.wait_s, allowed=allowed)


async def _all_calls(conn: Conn, wish: QpuWish, call: Admitted, allowed: Allowance) -> Quote:
    """The ceiling of all of them, however their shots are divided; the limit of shots that is sold is one call's."""
    all_us = all_qpu_time_us(allowed)
    size = JobSize(
        walltime_s=wish.call_s,
        shots=wish.shots,
        runs=wish.calls,
        service=ServiceTime(all_us, all_us, CALLS),
    )
    quote = call.quote
    return price_job(
        offering=replace(call.offering, max_shots=max(wish.shots, call.offering.max_shots)),
        version=await pricing.price_version(conn, quote.price_version_id),
        size=size,
        quote_id=quote.id,
        job_id=quote.job_id,
        organisation_id=quote.organisation_id,
        now=quote.quoted_at,
    )
