"""The phases of a hybrid job with their money, for the API and the page of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from infra.db.connection import Conn
from pricing import service as pricing
from pricing.model import AttemptMoney, QuotePhase
from pricing.units import yen_text
from scheduler import service as scheduler
from scheduler.core.explain import Sentence, what_is_left
from scheduler.views import PhaseView


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTold:
    """A phase, what was quoted for it, and what it was charged so far. settled: nothing more will be."""

    view: PhaseView
    ceiling_micro_yen: int
    charged_micro_yen: int
    settled: bool
    usage: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Of a job that ended before its last phase: which phase ended it, and what the others would have cost at most."""

    phase: str
    attempts: int
    phases: int
    ceiling_micro_yen: int
    sentence: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """All of a job's phases, in their order; none of a job that is no hybrid."""

    rows: Sequence[PhaseTold] = ()
    rest: Rest | None = None


async def phases_of(conn: Conn, job_id: UUID, by_attempt: Mapping[UUID, AttemptMoney]) -> Phases:
    """by_attempt: the money of the job's attempts."""
    views = await scheduler.phases(conn, job_id)
    if not views:
        return Phases()
    quoted = {each.phase: each for each in await pricing.quote_phases(conn, job_id)}
    rows = [_row(view, quoted[view.name], by_attempt) for view in views]
    return Phases(rows=rows, rest=_rest(rows))


def _row(view: PhaseView, quoted: QuotePhase, by_attempt: Mapping[UUID, AttemptMoney]) -> PhaseTold:
    money = [by_attempt[each] for each in view.attempts if each in by_attempt]
    usage: dict[str, Decimal] = {}
    for each in money:
        for name, quantity in each.usage.items():
            usage[name] = usage.get(name, Decimal(0)) + quantity
    ended = view.state is not None and view.state.is_terminal
    return PhaseTold(
        view=view,
        ceiling_micro_yen=quoted.ceiling_micro_yen,
        charged_micro_yen=sum(each.charged_micro_yen for each in money),
        settled=ended and all(each.settled for each in money),
        usage=usage,
    )


def _rest(rows: Sequence[PhaseTold]) -> Rest | None:
    """None while it goes on, and when every phase has run."""
    reached = [each for each in rows if each.view.state is not None]
    newest = reached[-1].view
    if newest.state is None or not newest.state.is_terminal:
        return None
    not_run = [each for each in rows if each.view.state is None]
    never_began = newest.reason is not None and newest.started_at is None
    if never_began:
        not_run.insert(0, reached[-1])
    if not not_run:
        return None
    blamed = reached[-2].view if newest.reason == "done_early" and len(reached) > 1 else newest
    ceiling = sum(each.ceiling_micro_yen for each in not_run)
    sentence = what_is_left(
        newest.state,
        phase=blamed.name,
        attempts=len(blamed.attempts),
        phases=len(not_run),
        amount=yen_text(ceiling),
    )
    return Rest(
        phase=blamed.name,
        attempts=len(blamed.attempts),
        phases=len(not_run),
        ceiling_micro_yen=ceiling,
        sentence=sentence,
    )
