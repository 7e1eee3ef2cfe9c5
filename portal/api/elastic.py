"""Elastic capacity for operators: rules, declared disruptions, and the log of what was done to machines."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from portal.api.wire import INT4_MAX, Count, In, Items, Out, Word
from portal.auth.caller import Operator
from portal.language import Language
from scheduler import service as scheduler
from scheduler.elastic.model import Disruption, Done, Purpose, Rule, RuleVersion
from scheduler.elastic.wording import told

router = APIRouter(tags=["operator"])
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Moment = Annotated[AwareDatetime | None, Field(ge=_EARLIEST, le=_LATEST)]
Reason = Annotated[Word, Field(description="Why; kept with it and shown.", examples=["夏季の節電"])]
Seconds = Annotated[Count, Field(examples=[1800])]
_USUAL = Rule()


class NewElasticRule(In):
    """What holds for the machine `backend` from `effective_at` (else now) on, instead of what held before.

    `use`: idle nodes save power, or are lent `lend_to` somebody; null: neither. `idle_s`: after so long.
    `floor_units`: so many GPUs and QPUs always serve; `spare_units`: so many idle ones stay. `wake_s`: so long a node
    takes to serve again. `min_up_s`, `min_down_s`: so long it stays, once it is back, or away. `max_takes_per_hour`: so
    many leave. `surge_nodes`: serve only while a disruption is declared.
    """

    backend: Word
    use: Literal["power", "lend"] | None = None
    lend_to: Word = ""
    idle_s: Seconds = _USUAL.idle_s
    floor_units: Count = _USUAL.floor_units
    spare_units: Count = _USUAL.spare_units
    wake_s: Seconds = _USUAL.wake_s
    min_up_s: Seconds = _USUAL.min_up_s
    min_down_s: Seconds = _USUAL.min_down_s
    max_takes_per_hour: Count = _USUAL.max_takes_per_hour
    surge_nodes: Annotated[tuple[Word, ...], Field(max_length=2_000, examples=[["gpu6", "gpu7"]])] = ()
    reason: Reason
    effective_at: Moment = None


class ElasticRuleOut(Out):
    """A rule as it was set. `holds`: it does now. `set_by` null: on the server itself."""

    id: int
    backend: str
    holds: bool
    use: str | None
    lend_to: str
    idle_s: int
    floor_units: int
    spare_units: int
    wake_s: int
    min_up_s: int
    min_down_s: int
    max_takes_per_hour: int
    surge_nodes: list[str]
    reason: str
    effective_at: datetime
    set_by: UUID | None
    recorded_at: datetime | None


class RuleNumberOut(Out):
    id: int


class NewDisruption(In):
    """Supply is disrupted from `since` (else now) until `until`, or until it is ended.

    Every node of `backend` (null: of all machines) serves, also those that are kept for it, and none leaves.
    """

    backend: Word | None = None
    since: Moment = None
    until: Moment = None
    reason: Reason


class EndOfDisruption(In):
    reason: Reason


class DisruptionOut(Out):
    id: UUID
    backend: str | None
    since: datetime
    until: datetime | None
    ended_at: datetime | None
    reason: str
    declared_by: UUID | None
    recorded_at: datetime | None


class ElasticActionOut(Out):
    """What was done to a node, and why: in words of a machine and as a sentence. `problem` empty: it was done; null: it
    is not known whether it was.
    """

    id: int
    backend: str
    node: str
    kind: str
    purpose: str
    because: str
    facts: dict[str, object]
    sentence: str
    rule_id: int | None
    disruption_id: UUID | None
    decided_at: datetime
    problem: str | None


@router.get("/elastic/rules")
async def list_elastic_rules(caller: Operator) -> Items[ElasticRuleOut]:
    """Every rule that was ever set."""
    async with caller.transaction() as conn:
        return Items(items=rules_out(await scheduler.elastic_rules(conn), caller.now))


@router.post("/elastic/rules", status_code=HTTPStatus.CREATED)
async def set_elastic_rule(caller: Operator, new: NewElasticRule) -> RuleNumberOut:
    """Idle nodes leave by it, and come back for jobs, reservations and disruptions."""
    given = new.model_dump(exclude={"backend", "use", "surge_nodes", "reason", "effective_at"})
    use = None if new.use is None else Purpose(new.use)
    async with caller.transaction() as conn:
        number = await scheduler.set_elastic_rule(
            conn,
            actor=caller.principal,
            backend=new.backend,
            rule=Rule(use=use, surge_nodes=frozenset(new.surge_nodes), **given),
            reason=new.reason,
            effective_at=_utc(new.effective_at) or caller.now,
            now=caller.now,
        )
    return RuleNumberOut(id=number)


@router.get("/elastic/actions")
async def list_elastic_actions(
    caller: Operator,
    backend: Annotated[Word | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=INT4_MAX, description="Only those with a smaller id.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Items[ElasticActionOut]:
    """The log, the latest first."""
    async with caller.transaction() as conn:
        found = await scheduler.elastic_actions(conn, backend=backend, before=before, limit=limit)
    return Items(items=[action_out(each, caller.language) for each in found])


@router.get("/disruptions")
async def list_disruptions(caller: Operator, *, ended: bool = False) -> Items[DisruptionOut]:
    """Those that are on or to come, the latest first. `ended`: those that are over, too."""
    async with caller.transaction() as conn:
        found = await scheduler.disruptions(conn, now=caller.now, ended=ended)
    return Items(items=[disruption_out(each) for each in found])


@router.post("/disruptions", status_code=HTTPStatus.CREATED)
async def declare_disruption(caller: Operator, new: NewDisruption) -> DisruptionOut:
    """Opens what is kept for it, calls back what is lent, and wakes what has no power."""
    wish = Disruption(
        id=caller.new_id(),
        backend=new.backend,
        since=_utc(new.since) or caller.now,
        until=_utc(new.until),
        reason=new.reason,
    )
    async with caller.transaction() as conn:
        made = await scheduler.declare_disruption(conn, actor=caller.principal, disruption=wish, now=caller.now)
    return disruption_out(made)


@router.post("/disruptions/{disruption_id}/end", status_code=HTTPStatus.NO_CONTENT)
async def end_disruption(caller: Operator, disruption_id: UUID, why: EndOfDisruption) -> None:
    """It is over, or will not be. The rules hold again."""
    async with caller.transaction() as conn:
        await scheduler.end_disruption(
            conn, actor=caller.principal, disruption_id=disruption_id, reason=why.reason, now=caller.now
        )


def rules_out(versions: list[RuleVersion], now: datetime) -> list[ElasticRuleOut]:
    """In the order in which they came, which is by backend and instant."""
    holding = {each.backend: each.id for each in versions if each.effective_at <= now}  # the last one wins
    return [_rule_out(each, holds=holding.get(each.backend) == each.id) for each in versions]


def _rule_out(version: RuleVersion, *, holds: bool) -> ElasticRuleOut:
    rule = version.rule
    return ElasticRuleOut(
        id=version.id,
        backend=version.backend,
        holds=holds,
        use=None if rule.use is None else rule.use.value,
        lend_to=rule.lend_to,
        idle_s=rule.idle_s,
        floor_units=rule.floor_units,
        spare_units=rule.spare_units,
        wake_s=rule.wake_s,
        min_up_s=rule.min_up_s,
        min_down_s=rule.min_down_s,
        max_takes_per_hour=rule.max_takes_per_hour,
        surge_nodes=sorted(rule.surge_nodes),
        reason=version.reason,
        effective_at=version.effective_at,
        set_by=version.set_by,
        recorded_at=version.recorded_at,
    )


def disruption_out(found: Disruption) -> DisruptionOut:
    """As it was declared."""
    return DisruptionOut(
        id=found.id,
        backend=found.backend,
        since=found.since,
        until=found.until,
        ended_at=found.ended_at,
        reason=found.reason,
        declared_by=found.declared_by,
        recorded_at=found.recorded_at,
    )


def action_out(found: Done, language: Language) -> ElasticActionOut:
    """With its sentence in one language."""
    ja, en = told(found.action)
    return ElasticActionOut(
        id=found.id,
        backend=found.backend,
        node=found.action.node,
        kind=found.action.kind.value,
        purpose=found.action.purpose.value,
        because=found.action.because.value,
        facts=dict(found.action.facts),
        sentence=ja if language is Language.JA else en,
        rule_id=found.rule_id,
        disruption_id=found.disruption_id,
        decided_at=found.decided_at,
        problem=found.problem,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
