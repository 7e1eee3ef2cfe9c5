"""Is every posting there, balanced, and the balances their sum?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        check="ledger-transaction-unbalanced",
        sql="""
            SELECT 'ledger-transaction:' || coalesce(t.id, e.transaction_id) AS subject,
                   'entries that sum to 0' AS expected,
                   format('%s entries, sum %s%s', count(e.line), coalesce(sum(e.amount_micro_yen), 0),
                          CASE WHEN t.id IS NULL THEN ', no transaction' ELSE '' END) AS found
            FROM pricing.ledger_transaction t FULL JOIN pricing.ledger_entry e ON e.transaction_id = t.id
            GROUP BY t.id, e.transaction_id
            HAVING t.id IS NULL OR count(e.line) < 2 OR sum(e.amount_micro_yen) <> 0""",
    ),
    Question(
        check="ledger-total",
        sql="""
            SELECT 'ledger' AS subject, 0 AS expected, sum(amount_micro_yen) AS found
            FROM pricing.ledger_entry HAVING sum(amount_micro_yen) <> 0""",
    ),
    Question(
        check="balance-differs",
        sql="""
            WITH summed AS (
                SELECT organisation_id, bucket, lot_id, sum(amount_micro_yen) AS amount
                FROM pricing.ledger_entry WHERE organisation_id IS NOT NULL
                GROUP BY organisation_id, bucket, lot_id),
            kept AS (
                SELECT organisation_id, bucket, lot_id, sum(amount_micro_yen) AS amount, count(*) AS rows
                FROM pricing.ledger_balance GROUP BY organisation_id, bucket, lot_id)
            SELECT format('balance:%s/%s/%s', organisation_id, bucket, lot_id) AS subject,
                   sum(expected) AS expected, format('%s in %s rows', sum(found), sum(rows)) AS found
            FROM (SELECT organisation_id, bucket, lot_id, amount AS expected, 0 AS found, 0 AS rows FROM summed
                  UNION ALL SELECT organisation_id, bucket, lot_id, 0, amount, rows FROM kept) AS side
            GROUP BY organisation_id, bucket, lot_id
            HAVING sum(expected) <> sum(found) OR sum(rows) <> 1""",
    ),
    Question(
        # The order within two minutes is not known: a loop's facts carry the instant at which its tick began.
        check="balance-negative",
        sql="""
            WITH run AS (
                SELECT e.organisation_id, e.bucket, e.lot_id, t.recorded_at,
                       sum(e.amount_micro_yen) OVER (strict ROWS UNBOUNDED PRECEDING) AS strictly,
                       sum(e.amount_micro_yen) OVER (
                           loose RANGE BETWEEN UNBOUNDED PRECEDING AND '2 minutes' FOLLOWING) AS loosely
                FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
                WHERE e.bucket IN ('available', 'held')
                WINDOW strict AS (PARTITION BY e.organisation_id, e.bucket, e.lot_id
                                  ORDER BY t.recorded_at, t.xact, e.transaction_id, e.line),
                       loose AS (PARTITION BY e.organisation_id, e.bucket, e.lot_id ORDER BY t.recorded_at))
            SELECT format('balance:%s/%s/%s', organisation_id, bucket, lot_id) AS subject,
                   'never below 0' AS expected, format('%s at %s', min(strictly), min(recorded_at)) AS found,
                   CASE WHEN min(loosely) >= 0 THEN 'only within two minutes, in which the order is not known' END
                       AS explanation
            FROM run WHERE strictly < 0 GROUP BY organisation_id, bucket, lot_id""",
    ),
    Question(
        check="posting-crosses-organisations",
        sql="""
            SELECT format('ledger-entry:%s/%s', e.transaction_id, e.line) AS subject,
                   t.organisation_id AS expected, coalesce(l.organisation_id, e.organisation_id) AS found
            FROM pricing.ledger_entry e
            JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
            LEFT JOIN pricing.lot l ON l.id = e.lot_id
            WHERE e.organisation_id <> t.organisation_id OR l.organisation_id <> e.organisation_id
               OR (e.lot_id IS NOT NULL AND l.id IS NULL)""",
    ),
    Question(
        check="grant-posting-missing",
        sql="""
            SELECT 'lot:' || l.id AS subject, '1 posting that issues it' AS expected, count(t.id) AS found
            FROM pricing.lot l
            LEFT JOIN pricing.ledger_entry e ON e.lot_id = l.id AND e.bucket = 'available' AND e.amount_micro_yen > 0
            LEFT JOIN pricing.ledger_transaction t ON t.id = e.transaction_id AND t.template = 'issue_grant'
            WHERE l.kind = 'grant' GROUP BY l.id HAVING count(t.id) <> 1""",
    ),
    Question(
        check="job-posting-of-another-organisation",
        sql="""
            SELECT 'ledger-transaction:' || t.id AS subject, coalesce(h.organisation_id::text, 'a hold') AS expected,
                   t.organisation_id AS found
            FROM pricing.ledger_transaction t LEFT JOIN pricing.hold h ON h.job_id = t.job_id
            WHERE t.job_id IS NOT NULL AND h.organisation_id IS DISTINCT FROM t.organisation_id""",
    ),
    Question(
        check="held-outside-of-holds",
        sql="""
            SELECT 'ledger-transaction:' || t.id AS subject, 'held value belongs to a job' AS expected,
                   e.amount_micro_yen AS found
            FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
            WHERE e.bucket = 'held' AND t.job_id IS NULL""",
    ),
)
