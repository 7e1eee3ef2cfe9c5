"""Are documents numbered without a gap, is every rated line of a closed month in one, and what do they say?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from infra.db.connection import Conn
from metering.audit.closes import ClosedMonth, JobMonth, whole
from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        check="document-number",
        sql="""
            WITH placed AS (
                SELECT *, row_number() OVER (PARTITION BY kind, fiscal_year ORDER BY ordinal) AS place,
                       CASE kind WHEN 'invoice' THEN 'INV' WHEN 'credit_note' THEN 'CN' WHEN 'receipt' THEN 'RCT'
                                 WHEN 'usage' THEN 'USE' ELSE 'STM' END || '-'
                           || extract(year FROM issue_date - interval '3 months') || '-' AS begins
                FROM pricing.document)
            SELECT 'document:' || id AS subject, begins || lpad(place::text, greatest(6, length(place::text)), '0')
                       AS expected, number AS found
            FROM placed
            WHERE number <> begins || lpad(place::text, greatest(6, length(place::text)), '0') OR ordinal <> place
            UNION ALL
            SELECT format('document-counter:%s/%s', kind, fiscal_year), coalesce(max(d.ordinal), 0)::text,
                   max(c.last_ordinal)::text
            FROM pricing.document_counter c FULL JOIN pricing.document d USING (kind, fiscal_year)
            GROUP BY kind, fiscal_year HAVING max(c.last_ordinal) IS DISTINCT FROM coalesce(max(d.ordinal), 0)""",
    ),
    Question(
        # One row for each organisation and month: a line is in the document of its billed month, or in none.
        check="rated-line-in-no-document",
        sql="""
            SELECT format('rated-lines:%s/%s', l.organisation_id, l.billed_month) AS subject,
                   'lines of a closed month in its document' AS expected,
                   format('%s lines, %s', count(*), CASE WHEN c.organisation_id IS NULL THEN 'never closed'
                                                         ELSE 'no document' END) AS found
            FROM pricing.rated_line l
            LEFT JOIN pricing.closed_account c ON c.organisation_id = l.organisation_id AND c.month = l.billed_month
            WHERE l.billed_month <= (SELECT max(month) FROM pricing.month_close WHERE step = 'closed')
            GROUP BY l.organisation_id, l.billed_month, c.organisation_id, c.document_id
            HAVING c.organisation_id IS NULL
                OR (c.document_id IS NULL AND (sum(l.quantity) <> 0 OR sum(l.charged_micro_yen) <> 0))""",
    ),
    Question(
        check="rated-line-billed-too-early",
        sql="""
            SELECT 'rated-line:' || id AS subject, to_char(accounting_date, 'YYYY-MM') || ' or later' AS expected,
                   billed_month AS found
            FROM pricing.rated_line
            WHERE billed_month < date_trunc('month', accounting_date::timestamp)
               OR extract(day FROM billed_month) <> 1""",
    ),
    Question(
        check="document-of-no-closed-month",
        sql="""
            SELECT 'document:' || d.number AS subject, 'a closed month of its organisation' AS expected, d.kind AS found
            FROM pricing.document d
            LEFT JOIN pricing.closed_account c ON c.document_id = d.id AND c.organisation_id = d.organisation_id
                 AND c.month = d.month
            WHERE d.kind IN ('invoice', 'credit_note', 'usage') AND c.document_id IS NULL""",
    ),
    Question(
        check="carried-differs",
        sql="""
            SELECT format('closed-account:%s/%s', organisation_id, month) AS subject, before AS expected,
                   carried_in_yen AS found
            FROM (SELECT *, coalesce(lag(carried_out_yen) OVER (PARTITION BY organisation_id ORDER BY month), 0)
                            AS before
                  FROM pricing.closed_account) AS account
            WHERE before <> carried_in_yen""",
    ),
    Question(
        # A debt is asked for, carried on, or of use that no closed month bills yet: nothing else, and nothing twice.
        check="owed-differs",
        sql="""
            WITH asked AS (
                SELECT r.organisation_id AS of, greatest(r.amount_yen
                           - (SELECT coalesce(sum(amount_yen), 0) FROM pricing.payment p
                               WHERE p.document_id = r.document_id)
                           - (SELECT coalesce(sum(amount_yen), 0) FROM pricing.receivable_credit
                               WHERE document_id = r.document_id), 0) * 1000000 AS amount
                  FROM pricing.receivable r),
            carried AS (
                SELECT DISTINCT ON (organisation_id) organisation_id AS of, carried_out_yen * 1000000 AS amount
                  FROM pricing.closed_account ORDER BY organisation_id, month DESC),
            books AS (
                SELECT e.organisation_id AS of, -sum(e.amount_micro_yen) AS owed,
                       -coalesce(sum(e.amount_micro_yen) FILTER (WHERE t.job_id IS NOT NULL), 0) AS drawn
                  FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
                 WHERE e.bucket = 'owed' GROUP BY 1),
            wanted AS (
                SELECT of, sum(amount) AS amount FROM (
                    SELECT of, amount FROM asked UNION ALL SELECT of, amount FROM carried
                    UNION ALL SELECT of, drawn FROM books
                    UNION ALL SELECT organisation_id, -credit_micro_yen FROM pricing.closed_account) AS parts
                 GROUP BY 1)
            SELECT 'organisation:' || w.of AS subject, w.amount::bigint AS expected,
                   coalesce(b.owed, 0)::bigint AS found
              FROM wanted w LEFT JOIN books b ON b.of = w.of WHERE w.amount <> coalesce(b.owed, 0)""",
    ),
)
_JOBS = """
    SELECT l.organisation_id, l.billed_month, l.job_id, v.tax_rate_bp, sum(l.charged_micro_yen) AS charged,
           sum(sum(l.charged_micro_yen)) OVER (PARTITION BY l.job_id ORDER BY l.billed_month) AS up_to
    FROM pricing.rated_line l JOIN pricing.price_version v ON v.id = l.price_version_id
    GROUP BY 1, 2, 3, 4"""
_CLAIMED = """
    SELECT t.job_id, l.kind::text AS kind, sum(e.amount_micro_yen) AS amount
    FROM pricing.ledger_transaction t JOIN pricing.ledger_entry e ON e.transaction_id = t.id
    JOIN pricing.lot l ON l.id = e.lot_id
    WHERE t.template = 'hold' AND e.bucket = 'held' GROUP BY 1, 2"""
_POSTED = """
    SELECT (t.memo ->> 'document')::uuid AS document,
           coalesce(nullif(l.kind::text, 'credit'), e.bucket::text) AS bucket, sum(e.amount_micro_yen) AS amount
    FROM pricing.ledger_transaction t JOIN pricing.ledger_entry e ON e.transaction_id = t.id
    LEFT JOIN pricing.lot l ON l.id = e.lot_id
    WHERE t.template = 'invoice' GROUP BY 1, 2"""
_CLOSED = """
    SELECT c.organisation_id, c.month, c.document_id, c.charged_micro_yen AS charged, c.granted_micro_yen AS granted,
           c.tax_micro_yen AS tax, c.prepaid_micro_yen AS prepaid, c.credit_micro_yen AS credit,
           c.carried_in_yen AS carried_in, c.carried_out_yen AS carried_out, d.number, d.content,
           encode(d.content_sha256, 'hex') AS sha256, d.subtotal_yen, d.tax_yen, d.total_yen, d.prepaid_applied_yen,
           d.carried_in_yen, d.carried_out_yen, d.amount_due_yen, d.credited_yen,
           (SELECT coalesce(sum(r.amount_yen), 0)::bigint FROM pricing.receivable_credit r
             WHERE r.note_id = c.document_id) AS credited
    FROM pricing.closed_account c LEFT JOIN pricing.document d ON d.id = c.document_id
    ORDER BY c.month, c.organisation_id"""
_KEPT = ("charged", "granted", "tax", "prepaid", "credit", "carried_in", "carried_out", "credited")
_AMOUNTS = (
    *("subtotal_yen", "tax_yen", "total_yen", "prepaid_applied_yen", "carried_in_yen", "carried_out_yen"),
    "amount_due_yen",
    "credited_yen",
)


async def closed_months(conn: Conn) -> list[ClosedMonth]:
    """Every organisation's closed month with the lines that it stands for."""
    claimed: dict[UUID, dict[str, int]] = defaultdict(dict)
    for row in await conn.fetch(_CLAIMED):
        claimed[row["job_id"]][row["kind"]] = whole(row["amount"])
    jobs: dict[tuple[UUID, date], list[JobMonth]] = defaultdict(list)
    for row in await conn.fetch(_JOBS):
        jobs[row["organisation_id"], row["billed_month"]].append(
            JobMonth(
                tax_rate_bp=row["tax_rate_bp"],
                charged=whole(row["charged"]),
                up_to=whole(row["up_to"]),
                claimed=claimed[row["job_id"]],
            )
        )
    posted: dict[UUID | None, dict[str, int]] = defaultdict(dict)
    for row in await conn.fetch(_POSTED):
        posted[row["document"]][row["bucket"]] = whole(row["amount"])
    return [
        ClosedMonth(
            subject=f"closed-account:{row['organisation_id']}/{row['month']:%Y-%m}",
            jobs=jobs[row["organisation_id"], row["month"]],
            kept={name: row[name] for name in _KEPT},
            document={name: row[name] for name in _AMOUNTS} if row["document_id"] else None,
            content=row["content"] or {},
            sha256=row["sha256"] or "",
            posted=posted[row["document_id"]] if row["document_id"] else {},
        )
        for row in await conn.fetch(_CLOSED)
    ]
