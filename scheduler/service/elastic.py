"""What an operator sets of elastic capacity and declares, and what was done because of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.errors import InvalidPeriod
from accounts.model import Principal
from infra.db.connection import Conn
from pricing import service as pricing
from scheduler import policy
from scheduler.elastic.errors import DisruptionNotFound, ElasticRuleExists, InvalidElasticRule
from scheduler.elastic.model import Disruption, Done, Purpose, Rule, RuleVersion
from scheduler.errors import UnknownBackend
from scheduler.options import shown
from scheduler.service.sharing import checked_change, require_operator
from scheduler.store import elastic as store

MAX_LOG = 200
MAX_SURGE_NODES = 1_000
_DAY_S = 86_400
_MOST: Mapping[str, int] = {
    "idle_s": 30 * _DAY_S,
    "floor_units": policy.MAX_SETTING,
    "spare_units": policy.MAX_SETTING,
    "wake_s": _DAY_S,
    "min_up_s": 7 * _DAY_S,
    "min_down_s": 7 * _DAY_S,
    "max_takes_per_hour": 1_000,
}
_LEND_TO_CHARACTERS = 100
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


async def set_elastic_rule(
    conn: Conn,
    *,
    actor: Principal | None,
    backend: str,
    rule: Rule,
    reason: str,
    effective_at: datetime,
    now: datetime,
) -> int:
    """What holds for a backend from then on, instead of what held before. Its number.

    InvalidElasticRule, ElasticRuleExists, UnknownBackend, ReasonMissing, NotRetroactive, TooFarAhead.
    """
    require_operator(actor)
    checked_change(reason, effective_at, now)
    await _require_known(conn, backend)
    _require_sound(rule)
    version = RuleVersion(
        backend=backend,
        rule=rule,
        effective_at=effective_at,
        reason=reason.strip(),
        set_by=_person(actor),
        recorded_at=now,
    )
    number = await store.add_rule(conn, version)
    if number is None:
        raise ElasticRuleExists(backend=backend, effective_at=effective_at.isoformat())
    facts = {"rule": number, "use": rule.use, "reason": version.reason, "effective_at": effective_at.isoformat()}
    await _note(conn, actor, "elastic_rule.set", f"backend:{backend}", facts, now=now)
    return number


async def elastic_rules(conn: Conn) -> list[RuleVersion]:
    """Everything that was ever set, by backend and the instant from which it holds."""
    return await store.rule_versions(conn)


async def declare_disruption(
    conn: Conn, *, actor: Principal | None, disruption: Disruption, now: datetime
) -> Disruption:
    """Supply is disrupted: every machine serves. InvalidPeriod, UnknownBackend, ReasonMissing, TooFarAhead,
    NotRetroactive.
    """
    require_operator(actor)
    checked_change(disruption.reason, disruption.since, now)
    if disruption.until is not None and disruption.until <= disruption.since:
        raise InvalidPeriod(valid_from=disruption.since, valid_until=disruption.until)
    if disruption.backend is not None:
        await _require_known(conn, disruption.backend)
    new = Disruption(
        id=disruption.id,
        backend=disruption.backend,
        since=disruption.since,
        until=disruption.until,
        reason=disruption.reason.strip(),
        declared_by=_person(actor),
        recorded_at=now,
    )
    await store.add_disruption(conn, new)
    facts = {
        "backend": new.backend,
        "since": new.since.isoformat(),
        "until": None if new.until is None else new.until.isoformat(),
        "reason": new.reason,
    }
    await _note(conn, actor, "disruption.declare", f"disruption:{new.id}", facts, now=now)
    return new


async def end_disruption(
    conn: Conn, *, actor: Principal | None, disruption_id: UUID, reason: str, now: datetime
) -> None:
    """It is over, or will not be. DisruptionNotFound, ReasonMissing."""
    require_operator(actor)
    checked_change(reason, now, now)
    if not await store.end_disruption(conn, disruption_id, reason=reason.strip(), by=_person(actor), now=now):
        raise DisruptionNotFound
    await _note(conn, actor, "disruption.end", f"disruption:{disruption_id}", {"reason": reason.strip()}, now=now)


async def disruptions(conn: Conn, *, now: datetime, ended: bool = False) -> list[Disruption]:
    """Those that are on or to come, the latest first; ended: those that are over, too."""
    return await store.disruptions(conn, over_after=None if ended else now)


async def elastic_actions(
    conn: Conn, *, backend: str | None = None, before: int | None = None, limit: int = 50
) -> list[Done]:
    """What was done to machines, the latest first; before: with a smaller number."""
    return await store.actions(conn, backend=backend, before=before, limit=max(1, min(limit, MAX_LOG)))


def _require_sound(rule: Rule) -> None:
    for field, maximum in _MOST.items():
        value = getattr(rule, field)
        if not 0 <= value <= maximum:
            raise _wrong(field, value, "out_of_range", maximum)
    if rule.use is Purpose.SURGE:
        raise _wrong("use", rule.use.value, "no_use")
    lends = rule.use is Purpose.LEND
    if lends and not rule.lend_to.strip():
        raise _wrong("lend_to", rule.lend_to, "no_borrower")
    if rule.lend_to and not lends:
        raise _wrong("lend_to", rule.lend_to, "no_lending")
    if len(rule.lend_to) > _LEND_TO_CHARACTERS:
        raise _wrong("lend_to", len(rule.lend_to), "out_of_range", _LEND_TO_CHARACTERS)
    _require_nodes(rule.surge_nodes)


def _require_nodes(names: Collection[str]) -> None:
    if len(names) > MAX_SURGE_NODES:
        raise _wrong("surge_nodes", len(names), "too_many_nodes", MAX_SURGE_NODES)
    for name in sorted(names):
        if _NODE.fullmatch(name) is None:
            raise _wrong("surge_nodes", name, "not_a_node")


def _wrong(field: str, value: object, problem: str, maximum: int = 0) -> InvalidElasticRule:
    return InvalidElasticRule(field=field, value=shown(str(value)), problem=problem, minimum=0, maximum=maximum)


async def _require_known(conn: Conn, backend: str) -> None:
    known = await pricing.backends(conn)
    if backend not in known:
        raise UnknownBackend(backend=shown(backend), known=", ".join(sorted(known)))


def _person(actor: Principal | None) -> UUID | None:
    return None if actor is None else actor.person_id


async def _note(
    conn: Conn, actor: Principal | None, action: str, subject: str, facts: Mapping[str, object], *, now: datetime
) -> None:
    await accounts.append_audit(
        conn,
        actor=_person(actor),
        organisation_id=None,
        action=action,
        subject=subject,
        facts=dict(facts),
        now=now,
    )
