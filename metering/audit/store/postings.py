"""Does every posting touch only what its kind may touch, and has somebody decided what came in and went out?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        # Kind → bucket, the sign that it may have (0: either), the kind of lot. What is not here must not be.
        check="posting-not-of-its-kind",
        sql="""
            WITH allowed (template, bucket, sign, lot_kind) AS (VALUES
                ('issue_grant', 'available', 1, 'grant'), ('issue_grant', 'issued', -1, NULL),
                ('receive_payment', 'available', 1, 'prepaid'), ('receive_payment', 'cash', -1, NULL),
                ('pay_back', 'available', -1, 'prepaid'), ('pay_back', 'cash', 1, NULL),
                ('open_credit_line', 'available', 1, 'credit'), ('open_credit_line', 'issued', -1, NULL),
                ('repay_credit', 'available', 1, 'credit'), ('repay_credit', 'issued', -1, NULL),
                ('repay_credit', 'owed', 1, NULL), ('repay_credit', 'cash', -1, NULL),
                ('expire', 'available', -1, 'grant'), ('expire', 'available', -1, 'prepaid'),
                ('expire', 'expired', 1, NULL),
                ('hold', 'available', -1, NULL), ('hold', 'held', 1, NULL),
                ('settle', 'held', 0, NULL), ('settle', 'earned', 0, NULL), ('settle', 'tax', 0, NULL),
                ('settle', 'overrun', 0, NULL), ('settle', 'owed', 0, NULL), ('settle', 'issued', 0, NULL),
                ('release', 'held', -1, NULL), ('release', 'available', 1, NULL),
                ('refund', 'available', 1, NULL), ('refund', 'earned', 0, NULL), ('refund', 'tax', 0, NULL),
                ('refund', 'overrun', 0, NULL), ('refund', 'owed', 1, NULL), ('refund', 'issued', -1, NULL),
                ('adjust', 'earned', 0, NULL), ('adjust', 'overrun', 0, NULL),
                ('invoice', 'earned', 0, NULL), ('invoice', 'tax', 0, NULL), ('invoice', 'owed', 0, NULL),
                ('invoice', 'rounding', 0, NULL), ('invoice', 'issued', 0, NULL), ('invoice', 'available', 0, 'credit'),
                ('invoice', 'available', 0, 'prepaid'))
            SELECT format('ledger-entry:%s/%s', e.transaction_id, e.line) AS subject,
                   'what a ' || t.template || ' may post' AS expected,
                   format('%s %s, lot %s, job %s', e.amount_micro_yen, e.bucket, l.kind, t.job_id) AS found
            FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
            LEFT JOIN pricing.lot l ON l.id = e.lot_id
            WHERE NOT EXISTS (
                      SELECT FROM allowed a
                      WHERE a.template = t.template AND a.bucket = e.bucket::text
                        AND a.sign IN (0, sign(e.amount_micro_yen)) AND coalesce(a.lot_kind = l.kind::text, true))
               OR (t.template IN ('hold', 'settle', 'release', 'refund', 'adjust')) <> (t.job_id IS NOT NULL)
               OR (t.template = 'expire' AND e.bucket = 'available'
                   AND coalesce(l.expires_at, 'infinity') > t.effective_at)""",
    ),
    Question(
        # What was paid in and comes back must be of use again: not even for a moment in a lot that has lapsed.
        check="money-came-back-to-lapsed-lot",
        sql="""
            SELECT format('ledger-entry:%s/%s', e.transaction_id, e.line) AS subject,
                   'a lot that has not lapsed' AS expected,
                   format('%s into lot %s, which lapsed at %s', e.amount_micro_yen, l.id, l.expires_at) AS found
            FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
            JOIN pricing.lot l ON l.id = e.lot_id
            WHERE t.template IN ('refund', 'invoice', 'receive_payment') AND e.bucket = 'available'
              AND e.amount_micro_yen > 0 AND l.kind = 'prepaid' AND l.expires_at <= t.effective_at""",
    ),
    Question(
        check="posting-without-decision",
        sql="""
            WITH booked AS (
                SELECT t.id, t.template, sum(e.amount_micro_yen) AS amount
                FROM pricing.ledger_transaction t
                JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'available'
                WHERE t.template IN ('issue_grant', 'receive_payment', 'pay_back', 'open_credit_line', 'repay_credit')
                GROUP BY t.id),
            decided AS (
                SELECT subject, action, (facts ->> 'amount_yen')::numeric * 1000000 AS amount
                FROM accounts.audit_entry WHERE action LIKE 'wallet.%')
            SELECT coalesce('ledger-' || d.subject, 'ledger-transaction:' || b.id) AS subject,
                   coalesce(format('%s of %s', d.action, d.amount), 'an entry in the audit trail') AS expected,
                   coalesce(format('%s of %s', b.template, abs(b.amount)), 'no posting') AS found
            FROM booked b FULL JOIN decided d ON d.subject = 'transaction:' || b.id
            WHERE d.amount IS DISTINCT FROM abs(b.amount) OR d.action IS DISTINCT FROM 'wallet.' || b.template""",
    ),
    Question(
        check="job-takes-from-another-lot",
        sql="""
            SELECT format('job:%s/%s', h.job_id, e.lot_id) AS subject,
                   CASE WHEN h.closed_at IS NULL THEN 'at least 0 held' ELSE 'nothing held' END AS expected,
                   sum(e.amount_micro_yen) AS found
            FROM pricing.hold h JOIN pricing.ledger_transaction t ON t.job_id = h.job_id
            JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'held'
            GROUP BY h.job_id, e.lot_id
            HAVING sum(e.amount_micro_yen) < 0 OR (h.closed_at IS NOT NULL AND sum(e.amount_micro_yen) <> 0)""",
    ),
    Question(
        check="job-issues-what-is-not-owed",
        sql="""
            SELECT 'job:' || t.job_id AS subject, 'issued + owed = 0' AS expected, sum(e.amount_micro_yen) AS found
            FROM pricing.ledger_transaction t
            JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket IN ('issued', 'owed')
            WHERE t.job_id IS NOT NULL GROUP BY t.job_id HAVING sum(e.amount_micro_yen) <> 0""",
    ),
)
