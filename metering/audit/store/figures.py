"""The house's figures, calculated again, each in one piece of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from infra.db.connection import Conn
from metering.audit.model import Difference, FigureClaim, InvoiceClaim

# $1, $2: the period as far as it is known; $3: the instant of knowledge.
_COUNTING = """
    counting AS (
        SELECT u.*, p.counts AND o.counts AS counts, lower(normalize(btrim(p.email), NFKC)) AS who,
               (extract(epoch FROM u.ended_at - u.started_at) * 1000000)::numeric AS whole_us,
               (extract(epoch FROM least(greatest($1::timestamptz, u.started_at), u.ended_at) - u.started_at)
                   * 1000000)::numeric AS from_us,
               (extract(epoch FROM least(greatest($2::timestamptz, u.started_at), u.ended_at) - u.started_at)
                   * 1000000)::numeric AS to_us
        FROM (SELECT r.*, row_number() OVER (PARTITION BY a.backend, a.natural_key, r.component
                                             ORDER BY r.revision DESC) AS age
              FROM metering.usage_record r JOIN metering.accounting_row a ON a.id = r.accounting_row_id
              WHERE r.recorded_at <= $3::timestamptz) AS u
        JOIN accounts.person p ON p.id = u.person_id JOIN accounts.organisation o ON o.id = u.organisation_id
        WHERE u.age = 1),
    used AS (
        SELECT *, to_us > from_us OR (whole_us = 0 AND ended_at >= $1 AND ended_at < $2) AS ran,
               CASE WHEN component IN ('gpu_s', 'cpu_s') AND whole_us > 0
                    THEN (div(quantity * 1000000 * to_us, whole_us) - div(quantity * 1000000 * from_us, whole_us))
                         / 1000000
                    WHEN ended_at >= $1 AND ended_at < $2 THEN quantity ELSE 0 END AS part
        FROM counting)"""
_MEMBERS = """
    FROM accounts.membership m
    JOIN accounts.person p ON p.id = m.person_id JOIN accounts.organisation o ON o.id = m.organisation_id
    WHERE p.counts AND o.counts AND $1::timestamptz < $2::timestamptz AND m.since < $2 AND m.since <= $3::timestamptz
      AND coalesce(CASE WHEN m.until <= $3 THEN m.until END, 'infinity') > $1"""
_LINES = """
    FROM pricing.rated_line l
    JOIN accounts.person p ON p.id = l.person_id JOIN accounts.organisation o ON o.id = l.organisation_id
    WHERE p.counts AND o.counts AND l.recorded_at <= $3::timestamptz
      AND l.accounting_date >= ($1::timestamptz AT TIME ZONE 'Asia/Tokyo')::date
      AND l.accounting_date < ($2::timestamptz AT TIME ZONE 'Asia/Tokyo')::date"""
_SOLD = (
    "coalesce(sum({0} - l.price_micro_yen) FILTER (WHERE l.waiver IS NULL OR l.charged_micro_yen <> 0), 0) / 1000000"
)


def _of_use(select: str) -> str:
    return f"WITH {_COUNTING} {select}"


_FIGURES: Mapping[str, str] = {
    "registered_users": "SELECT count(DISTINCT lower(normalize(btrim(p.email), NFKC)))" + _MEMBERS,
    "registered_organisations": "SELECT count(DISTINCT o.id)" + _MEMBERS,
    "active_users": _of_use("SELECT count(DISTINCT who) FROM used WHERE ran AND counts AND quantity > 0"),
    "active_organisations": _of_use(
        "SELECT count(DISTINCT organisation_id) FROM used WHERE ran AND counts AND quantity > 0"
    ),
    "jobs": _of_use(
        """SELECT count(*) FROM (
               SELECT job_id FROM used WHERE counts AND quantity > 0 GROUP BY job_id
               HAVING max(ended_at) >= $1 AND max(ended_at) < $2) AS ended"""
    ),
    "gpu_hours": _of_use(
        "SELECT round(coalesce(sum(part), 0) / 3600, 6) FROM used WHERE counts AND component = 'gpu_s'"
    ),
    "qpu_seconds": _of_use("SELECT coalesce(sum(part), 0) FROM used WHERE counts AND component = 'qpu_s'"),
}
_MONEY: Mapping[str, str] = {
    "charged_yen": "SELECT coalesce(sum(l.charged_micro_yen), 0) / 1000000" + _LINES,
    "discount_from_list_yen": "SELECT " + _SOLD.format("l.list_micro_yen") + _LINES,
    "discount_from_market_yen": "SELECT " + _SOLD.format("l.market_micro_yen") + _LINES,
}
_RATIOS: Mapping[str, str] = {"gpu_utilisation": "gpu_s", "qpu_utilisation": "qpu_s"}
_USED = _of_use("SELECT coalesce(sum(part), 0) FROM used WHERE component = $4 AND $5 IN ('', backend)")
_OFFERED = """
    SELECT coalesce(sum(units * greatest(0, extract(epoch FROM least(until, $2::timestamptz)
                                                             - greatest(since, $1::timestamptz)))), 0)
    FROM (SELECT units, backend, effective_at AS since,
                 lead(effective_at, 1, $2) OVER (PARTITION BY backend ORDER BY effective_at) AS until
          FROM metering.capacity_fact WHERE component = $4 AND recorded_at <= $3::timestamptz) AS span
    WHERE $5 IN ('', backend)"""


async def compare_figure(conn: Conn, claim: FigureClaim) -> list[Difference]:
    """A claimed figure against the same figure calculated here. An unknown one is a difference: it was not checked."""
    known_until = max(claim.since, min(claim.until, claim.as_known_at))
    if component := _RATIOS.get(claim.key):
        return await _compare_ratio(conn, claim, component, known_until)
    if claim.key in _MONEY:
        expected: Decimal = await conn.fetchval(_MONEY[claim.key], claim.since, claim.until, claim.as_known_at)
    elif claim.key in _FIGURES:
        expected = await conn.fetchval(_FIGURES[claim.key], claim.since, known_until, claim.as_known_at)
    else:
        return [_difference(claim, "a rule of the audit's own", "none")]
    return [] if expected == claim.value else [_difference(claim, expected, claim.value)]


async def _compare_ratio(conn: Conn, claim: FigureClaim, component: str, until: datetime) -> list[Difference]:
    given = (claim.since, until, claim.as_known_at, component, claim.resource)
    used: Decimal = await conn.fetchval(_USED, *given)
    offered: Decimal = await conn.fetchval(_OFFERED, *given)
    value = round(used / offered, 6) if offered else None
    agree = (claim.numerator, claim.denominator) == (used, offered) and _same(claim.value, value)
    if agree:
        return []
    found = f"{claim.numerator} / {claim.denominator} = {claim.value}"
    return [_difference(claim, f"{used} / {offered} = {value}", found)]


def _same(one: Decimal | None, other: Decimal | None) -> bool:
    """Of quotients, which may be rounded either way at a tie."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= Decimal("0.000001")


def _difference(claim: FigureClaim, expected: object, found: object) -> Difference:
    of = f"{claim.since:%Y-%m-%dT%H:%MZ} .. {claim.until:%Y-%m-%dT%H:%MZ}"
    subject = f"figure:{claim.key}{'/' if claim.resource else ''}{claim.resource} {of}"
    return Difference(check="figure-differs", subject=subject, expected=str(expected), found=str(found))


async def used_in(conn: Conn, claim: InvoiceClaim) -> dict[int, int]:
    """Tax rate → what an organisation is billed for in the month, from the rated lines."""
    rows = await conn.fetch(
        """SELECT v.tax_rate_bp, sum(l.charged_micro_yen) AS used
           FROM pricing.rated_line l JOIN pricing.price_version v ON v.id = l.price_version_id
           WHERE l.organisation_id = $1 AND l.billed_month = ($2::timestamptz AT TIME ZONE 'Asia/Tokyo')::date
           GROUP BY v.tax_rate_bp""",
        claim.organisation_id,
        claim.since,
    )
    return {row["tax_rate_bp"]: int(row["used"]) for row in rows}
