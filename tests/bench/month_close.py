"""The close of a month: 10,000 organisations, a million rated lines, every check on, five hundred organisations a
transaction.

Peer: one GROUP BY over the same lines, and one INSERT of as many invoices of the same content into a table that nothing
guards.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter

from infra.db.connection import Conn, transaction
from pricing import service as pricing
from pricing.days import Month
from pricing.loops import closing
from tests.bench import _plain
from tests.bench._load import sized
from tests.support.benchmark import Result
from tests.support.closes import after_grace, begin, house
from tests.support.database import Database, fresh_database
from tests.support.market import GPU, open_market

MAY = Month(2026, 5)
_ORGANISATIONS, _JOBS_EACH, _LINES_EACH = 10_000, 10, 10
_BATCH = 500
_BEGUN = datetime(2026, 5, 2, tzinfo=UTC)


async def run() -> Result:
    organisations = sized(_ORGANISATIONS)
    async with fresh_database() as database:
        await open_market(database)
        async with transaction(database.owner) as conn:
            await _fill(conn, organisations)
        await database.owner.execute("VACUUM (ANALYZE)")
        april = after_grace(Month(2026, 4))
        await begin(database, Month(2026, 4), now=april)
        await _close(database, april)
        await database.owner.execute("VACUUM (ANALYZE)")
        await begin(database, MAY)
        began = perf_counter()
        await _close(database, after_grace(MAY))
        ours_s = perf_counter() - began
        await _require_right(database, organisations)
        peer_s = await _peer(database)
    lines = organisations * _JOBS_EACH * _LINES_EACH
    return Result(
        name="month_close",
        figure=round(ours_s, 2),
        unit="s",
        peer=round(peer_s, 2),
        ratio=round(ours_s / peer_s, 2),
        facts={"organisations": organisations, "rated_lines": lines, "organisations_a_transaction": _BATCH},
    )


async def _close(database: Database, now: datetime) -> None:
    while await closing.tick(database.worker, None, now, batch=_BATCH):
        pass


async def _fill(conn: Conn, organisations: int) -> None:
    """Every tenth on grants, the others on prepaid value and credit; each job has ten days of one record."""
    await conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL session_replication_role = replica")
    await conn.execute(
        f"""CREATE TEMP TABLE o ON COMMIT DROP AS
            SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS project, gen_random_uuid() AS main,
                   gen_random_uuid() AS credit,
                   (CASE n % 10 WHEN 0 THEN 'grant' ELSE 'prepaid' END)::pricing.lot_kind AS kind
            FROM generate_series(1, {organisations:d}) n"""
    )
    await conn.execute(
        f"""INSERT INTO accounts.organisation (id, slug, name, created_at)
                SELECT id, 'bench-' || n, '架空株式会社 ' || n, '{_BEGUN}' FROM o;
            INSERT INTO accounts.project (id, organisation_id, slug, name, created_at)
                SELECT project, id, 'default', 'default', '{_BEGUN}' FROM o;
            INSERT INTO pricing.wallet SELECT id, '{_BEGUN}' FROM o;
            INSERT INTO pricing.lot (id, organisation_id, kind, expires_at, reason, created_at, purpose)
                SELECT main, id, kind, timestamptz '2027-03-31', 'bench', timestamptz '{_BEGUN}',
                       CASE kind WHEN 'grant' THEN 'subsidy'::pricing.grant_purpose END FROM o
                UNION ALL SELECT credit, id, 'credit', NULL, 'bench', '{_BEGUN}', NULL FROM o;
            CREATE TEMP TABLE j ON COMMIT DROP AS
                SELECT o.*, gen_random_uuid() AS job, gen_random_uuid() AS attempt, gen_random_uuid() AS usage,
                       gen_random_uuid() AS transaction, gen_random_uuid() AS quote, 330123450 + n % 7 * 10 AS charge
                FROM o, generate_series(1, {_JOBS_EACH}) k;
            INSERT INTO pricing.quote (id, organisation_id, job_id, offering_id, price_version_id, ceiling_micro_yen,
                    expected_micro_yen, tax_rate_bp, lines, quoted_at)
                SELECT j.quote, j.id, job, '{GPU}', v.id, charge, charge, 1000, '[]', '{_BEGUN}'
                FROM j, (SELECT id FROM pricing.price_version WHERE offering_id = '{GPU}' LIMIT 1) v;
            INSERT INTO pricing.hold SELECT job, id, charge, '{_BEGUN}', '{_BEGUN}' FROM j;
            INSERT INTO pricing.billable_attempt (attempt_id, job_id, organisation_id, project_id, person_id,
                    offering_id, opened_at, ending, closed_at, told_at, last, accounting_final_at, settled_at)
                SELECT attempt, job, id, project, id, '{GPU}', '{_BEGUN}', 'succeeded', '{_BEGUN}', '{_BEGUN}', true,
                       '{_BEGUN}', '{_BEGUN}' FROM j;
            INSERT INTO pricing.ledger_transaction (id, template, organisation_id, job_id, effective_at, recorded_at)
                SELECT transaction, 'hold', id, job, '{_BEGUN}', '{_BEGUN}' FROM j;
            INSERT INTO pricing.ledger_entry
                SELECT transaction, 0, id, 'available'::pricing.bucket, main, -180000000 FROM j
                UNION ALL SELECT transaction, 1, id, 'held', main, 180000000 FROM j
                UNION ALL SELECT transaction, 2, id, 'available', credit, -200000000 FROM j
                UNION ALL SELECT transaction, 3, id, 'held', credit, 200000000 FROM j;
            INSERT INTO pricing.ledger_balance
                SELECT id, 'available'::pricing.bucket, credit, 0 FROM o
                UNION ALL SELECT id, 'available', main, 0 FROM o
                UNION ALL SELECT id, 'owed', NULL, 0 FROM o;
            INSERT INTO pricing.rated_line (id, usage_record_id, piece, organisation_id, project_id, person_id, job_id,
                    attempt_id, offering_id, price_version_id, component, accounting_date, quantity, list_micro_yen,
                    market_micro_yen, price_micro_yen, charged_micro_yen, effective_at, recorded_at, billed_month)
                SELECT gen_random_uuid(), usage, d, j.id, project, j.id, job, attempt, '{GPU}',
                       q.price_version_id, 'gpu_s', date '2026-05-02' + d, 360, 40000000, 50000000, charge / 10,
                       charge / 10, '{_BEGUN}', '{_BEGUN}', '2026-05-01'
                FROM j JOIN pricing.quote q ON q.job_id = j.job, generate_series(0, {_LINES_EACH - 1}) d"""
    )


async def _require_right(database: Database, organisations: int) -> None:
    """Each document by an independent computation, and nothing more by a second run."""
    found = await database.owner.fetch(
        "SELECT counterparty, subtotal_yen, tax_yen, amount_due_yen FROM pricing.document ORDER BY ordinal"
    )
    assert len(found) == organisations
    for row in found:
        number = int(row["counterparty"].split()[1])
        charged = _JOBS_EACH * _LINES_EACH * ((330_123_450 + number % 7 * 10) // _LINES_EACH)
        granted = 0 if number % 10 else _JOBS_EACH * 180_000_000
        subtotal = (charged - granted) // 1_000_000
        tax = subtotal // 10
        paid = 0 if number % 10 == 0 else _JOBS_EACH * 180
        assert tuple(row)[1:] == (subtotal, tax, subtotal + tax - paid), row
    await house(database)
    before = await database.owner.fetchval("SELECT count(*) FROM pricing.ledger_entry")
    await begin(database, MAY)
    await _close(database, after_grace(MAY))
    assert await database.owner.fetchval("SELECT count(*) FROM pricing.ledger_entry") == before
    async with transaction(database.worker) as conn:
        assert await pricing.closing_month(conn) is None


async def _peer(database: Database) -> float:
    async with transaction(database.owner) as conn:
        await _plain.copy_tables(conn, "pricing.document")
    invoices = await database.owner.fetch("SELECT * FROM pricing.document")
    began = perf_counter()
    await database.owner.fetch(
        """SELECT organisation_id, project_id, offering_id, component, sum(quantity), sum(list_micro_yen),
                  sum(price_micro_yen), sum(charged_micro_yen)
           FROM pricing.rated_line WHERE billed_month = '2026-05-01' GROUP BY 1, 2, 3, 4"""
    )
    async with transaction(database.owner) as conn:
        await _plain.insert(conn, "pricing.document", invoices)
    return perf_counter() - began
