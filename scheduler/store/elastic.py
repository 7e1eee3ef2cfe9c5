"""Elastic capacity in the database: rules, disruptions, and the log of what was done to machines and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from scheduler.core.reasons import Why
from scheduler.core.walls import RESERVATION
from scheduler.elastic.model import Action, Because, Booked, Disruption, Done, Kind, Purpose, Rule, RuleVersion

_INSERTED = "INSERT 0 1"
LACKS_ROOM = (Why.NO_CAPACITY, Why.RESERVED_FOR_EARLIER, Why.EXCEEDS_MACHINE, Why.BACKEND_OFFLINE)
"""Reasons of attempts that more machines would let start; so would they one that waits before a reserved time."""
_RULE = """SELECT id, backend, use, lend_to, idle_s, floor_units, spare_units, wake_s, min_up_s, min_down_s,
    max_takes_per_hour, surge_nodes, effective_at, reason, set_by, recorded_at FROM scheduler.elastic_rule"""
_RULE_FIELDS = (
    "lend_to",
    "idle_s",
    "floor_units",
    "spare_units",
    "wake_s",
    "min_up_s",
    "min_down_s",
    "max_takes_per_hour",
)
_DISRUPTION = """SELECT d.id, d.backend, d.since, d.until, d.reason, d.declared_by, d.recorded_at, e.ended_at
    FROM scheduler.disruption d LEFT JOIN scheduler.disruption_ended e ON e.disruption_id = d.id"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a backend's machines are wanted for. waiting_units: of jobs that lack nothing but room."""

    waiting_units: int
    booked: Sequence[Booked]


# -- rules -------------------------------------------------------------------------------------------------------------


async def add_rule(conn: Conn, new: RuleVersion) -> int | None:
    """Its id. None: this instant has one already."""
    rule = new.rule
    found = await conn.fetchval(
        "INSERT INTO scheduler.elastic_rule (backend, use, lend_to, idle_s, floor_units, spare_units, wake_s, "
        "min_up_s, min_down_s, max_takes_per_hour, surge_nodes, effective_at, reason, set_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING RETURNING id",
        *(new.backend, None if rule.use is None else rule.use.value),
        *(getattr(rule, name) for name in _RULE_FIELDS),
        *(sorted(rule.surge_nodes), new.effective_at, new.reason, new.set_by, new.recorded_at),
    )
    return None if found is None else int(found)


async def rule_versions(conn: Conn) -> list[RuleVersion]:
    """Everything that was ever set, by backend and the instant from which it holds."""
    return [_rule(row) for row in await conn.fetch(f"{_RULE} ORDER BY backend, effective_at")]


async def rules_at(conn: Conn, at: datetime) -> dict[str, RuleVersion]:
    """What holds then, by backend."""
    rows = await conn.fetch(
        f"SELECT DISTINCT ON (backend) * FROM ({_RULE} WHERE effective_at <= $1) AS set "  # noqa: S608  our own words
        "ORDER BY backend, effective_at DESC",
        at,
    )
    return {row["backend"]: _rule(row) for row in rows}


def _rule(row: asyncpg.Record) -> RuleVersion:
    use = None if row["use"] is None else Purpose(row["use"])
    told = {name: row[name] for name in _RULE_FIELDS}
    return RuleVersion(
        id=row["id"],
        backend=row["backend"],
        rule=Rule(use=use, surge_nodes=frozenset(row["surge_nodes"]), **told),
        effective_at=row["effective_at"],
        reason=row["reason"],
        set_by=row["set_by"],
        recorded_at=row["recorded_at"],
    )


# -- disruptions -------------------------------------------------------------------------------------------------------


async def add_disruption(conn: Conn, new: Disruption) -> None:
    await conn.execute(
        "INSERT INTO scheduler.disruption (id, backend, since, until, reason, declared_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(new.id, new.backend, new.since, new.until, new.reason, new.declared_by, new.recorded_at),
    )


async def end_disruption(conn: Conn, disruption_id: UUID, *, reason: str, by: UUID | None, now: datetime) -> bool:
    """False: there is none, or it was ended before."""
    done = await conn.execute(
        "INSERT INTO scheduler.disruption_ended (disruption_id, ended_by, ended_at, reason) "
        "SELECT id, $2, $3, $4 FROM scheduler.disruption WHERE id = $1 ON CONFLICT DO NOTHING",
        disruption_id,
        by,
        now,
        reason,
    )
    return done == _INSERTED


async def disruptions(conn: Conn, *, over_after: datetime | None = None) -> list[Disruption]:
    """The latest first; over_after: only those that are not over by then."""
    rows = await conn.fetch(
        f"{_DISRUPTION} WHERE $1::timestamptz IS NULL OR (coalesce(d.until, 'infinity') > $1 "
        "AND coalesce(e.ended_at, 'infinity') > $1) ORDER BY d.since DESC, d.id LIMIT 1000",
        over_after,
    )
    return [Disruption(**row) for row in rows]


# -- the log -----------------------------------------------------------------------------------------------------------


async def add_action(
    conn: Conn,
    backend: str,
    action: Action,
    *,
    rule_id: int | None,
    disruption_id: UUID | None,
    now: datetime,
) -> int:
    """Its number, before the machine is told."""
    found = await conn.fetchval(
        "INSERT INTO scheduler.elastic_action (backend, node, kind, purpose, because, facts, rule_id, disruption_id, "
        "decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        *(backend, action.node, action.kind.value, action.purpose.value, action.because.value, dict(action.facts)),
        *(rule_id, disruption_id, now),
    )
    return int(found)


async def add_outcome(conn: Conn, action_id: int, *, problem: str, now: datetime) -> None:
    """problem: empty where it was done."""
    await conn.execute(
        "INSERT INTO scheduler.elastic_outcome (action_id, problem, at) VALUES ($1, $2, $3)", action_id, problem, now
    )


async def last_words(conn: Conn, backend: str) -> dict[str, Done]:
    """By node: the last thing that was decided about it."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (a.node) a.*, o.problem FROM scheduler.elastic_action a "
        "LEFT JOIN scheduler.elastic_outcome o ON o.action_id = a.id WHERE a.backend = $1 ORDER BY a.node, a.id DESC",
        backend,
    )
    return {row["node"]: _done(row) for row in rows}


async def taken_since(conn: Conn, backend: str, moment: datetime) -> list[datetime]:
    """When machines were taken out since then, also where the backend then refused."""
    rows = await conn.fetch(
        "SELECT decided_at FROM scheduler.elastic_action WHERE backend = $1 AND kind = 'withdraw' AND decided_at > $2",
        backend,
        moment,
    )
    return [row["decided_at"] for row in rows]


async def actions(conn: Conn, *, backend: str | None, before: int | None, limit: int) -> list[Done]:
    """The latest first; before: only those with a smaller number."""
    rows = await conn.fetch(
        "SELECT a.*, o.problem FROM scheduler.elastic_action a "
        "LEFT JOIN scheduler.elastic_outcome o ON o.action_id = a.id WHERE ($1::text IS NULL OR a.backend = $1) "
        "AND ($2::bigint IS NULL OR a.id < $2) ORDER BY a.id DESC LIMIT $3",
        backend,
        before,
        limit,
    )
    return [_done(row) for row in rows]


def _done(row: asyncpg.Record) -> Done:
    return Done(
        id=row["id"],
        backend=row["backend"],
        action=Action(
            kind=Kind(row["kind"]),
            node=row["node"],
            purpose=Purpose(row["purpose"]),
            because=Because(row["because"]),
            facts=row["facts"],
        ),
        decided_at=row["decided_at"],
        rule_id=row["rule_id"],
        disruption_id=row["disruption_id"],
        problem=row["problem"],
    )


# -- what machines are wanted for --------------------------------------------------------------------------------------


async def demand(conn: Conn, backend: str, *, now: datetime, horizon: timedelta) -> Demand:
    """What waits here for want of room alone, also in the backend's own queue, and what is reserved until then."""
    waiting = await conn.fetchval(
        "SELECT coalesce(sum(gpus + qpus), 0) FROM scheduler.attempt WHERE backend = $1 AND caller_id IS NULL "
        "AND ((state = 'QUEUED' AND (wait_reason = ANY($2) OR (wait_reason = $3 AND wait_facts ->> 'kind' = $4))) "
        "OR (state = 'DISPATCHING' AND backend_ref IS NOT NULL))",
        backend,
        [why.value for why in LACKS_ROOM],
        Why.WALL.value,
        RESERVATION,
    )
    rows = await conn.fetch(
        "SELECT r.since, r.until, r.units FROM scheduler.reservation r WHERE r.backend = $1 AND r.until > $2 "
        "AND r.since <= $3 AND NOT EXISTS "
        "(SELECT FROM scheduler.reservation_cancelled c WHERE c.reservation_id = r.id)",
        backend,
        now,
        now + horizon,
    )
    return Demand(waiting_units=int(waiting), booked=[Booked(**row) for row in rows])
