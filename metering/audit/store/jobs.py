"""Has every job its promise, its hold and the right price, and is the hold open exactly as long as it must?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        check="job-without-hold",
        sql="""
            SELECT 'job:' || coalesce(j.id, q.job_id, h.job_id) AS subject, 'job, quote and hold' AS expected,
                   concat_ws(', ', CASE WHEN j.id IS NOT NULL THEN 'job' END,
                             CASE WHEN q.id IS NOT NULL THEN 'quote' END,
                             CASE WHEN h.job_id IS NOT NULL THEN 'hold' END) AS found
            FROM scheduler.job j FULL JOIN pricing.quote q ON q.job_id = j.id
            FULL JOIN pricing.hold h ON h.job_id = coalesce(j.id, q.job_id)
            WHERE j.id IS NULL OR q.id IS NULL OR h.job_id IS NULL""",
    ),
    Question(
        check="promise-differs",
        sql="""
            SELECT 'job:' || j.id AS subject,
                   format('%s/%s/%s', j.organisation_id, j.offering_id, q.ceiling_micro_yen) AS expected,
                   format('%s/%s/%s', h.organisation_id, q.offering_id, h.ceiling_micro_yen) AS found
            FROM scheduler.job j JOIN pricing.quote q ON q.job_id = j.id JOIN pricing.hold h ON h.job_id = j.id
            WHERE (j.organisation_id, j.organisation_id, j.offering_id, q.ceiling_micro_yen)
                  IS DISTINCT FROM (q.organisation_id, h.organisation_id, q.offering_id, h.ceiling_micro_yen)""",
    ),
    Question(
        check="price-not-in-force",
        sql="""
            SELECT 'job:' || j.id AS subject, coalesce(right_one.id::text, 'no price') AS expected,
                   q.price_version_id AS found
            FROM scheduler.job j JOIN pricing.quote q ON q.job_id = j.id
            LEFT JOIN LATERAL (
                SELECT d.customer_class FROM accounts.declaration d
                WHERE d.organisation_id = j.organisation_id AND d.recorded_at <= q.quoted_at
                  AND q.quoted_at >= d.valid_from AND q.quoted_at < d.valid_until
                ORDER BY d.recorded_at DESC, d.id DESC LIMIT 1) AS declared ON true
            LEFT JOIN LATERAL (
                SELECT v.id FROM pricing.price_version v
                WHERE v.offering_id = j.offering_id AND v.customer_class = declared.customer_class
                  AND v.service_class = j.service_class AND v.valid_from <= q.quoted_at AND v.recorded_at <= q.quoted_at
                ORDER BY v.valid_from DESC LIMIT 1) AS right_one ON true
            WHERE right_one.id IS DISTINCT FROM q.price_version_id OR q.quoted_at <> j.submitted_at""",
    ),
    Question(
        # A hybrid job's quote is the sum of its phases', or of its own and its calls', each at the version that was in
        # force for its own offering.
        check="phases-differ-from-quote",
        sql="""
            SELECT 'job:' || q.job_id AS subject,
                   format('%s of %s', q.ceiling_micro_yen, coalesce(asked.phases, '')) AS expected,
                   format('%s of %s', coalesce(parts.ceiling, 0), coalesce(parts.phases, '')) AS found
            FROM pricing.quote q JOIN scheduler.job j ON j.id = q.job_id
            LEFT JOIN LATERAL (
                SELECT string_agg(format('%s/%s', p.name, p.offering_id), ' ' ORDER BY p.ordinal) AS phases
                FROM (SELECT p.name, p.offering_id, p.ordinal FROM scheduler.job_phase p WHERE p.job_id = j.id
                      UNION ALL SELECT 'main', j.offering_id, 1 FROM scheduler.job_qpu u WHERE u.job_id = j.id
                      UNION ALL SELECT 'calls', u.offering_id, 2 FROM scheduler.job_qpu u WHERE u.job_id = j.id) p
                ) AS asked ON true
            LEFT JOIN LATERAL (
                SELECT sum(p.ceiling_micro_yen) AS ceiling,
                       string_agg(format('%s/%s', p.phase, v.offering_id), ' ' ORDER BY p.ordinal) AS phases
                FROM pricing.quote_phase p JOIN pricing.price_version v ON v.id = p.price_version_id
                     AND v.valid_from <= q.quoted_at AND v.service_class = j.service_class
                WHERE p.job_id = q.job_id) AS parts ON true
            WHERE (j.kind::text = 'hybrid' OR parts.phases IS NOT NULL)
              AND (q.ceiling_micro_yen, asked.phases) IS DISTINCT FROM (parts.ceiling, parts.phases)""",
    ),
    Question(
        # A job that may run on several offerings was promised the dearest, each at the version that was in force.
        check="candidates-differ-from-quote",
        sql="""
            SELECT 'job:' || q.job_id AS subject,
                   format('%s of %s', q.ceiling_micro_yen, asked.offerings) AS expected,
                   format('%s of %s', quoted.ceiling, quoted.offerings) AS found
            FROM pricing.quote q JOIN scheduler.job j ON j.id = q.job_id
            LEFT JOIN LATERAL (
                SELECT string_agg(format('%s/%s', c.offering_id, c.ceiling_micro_yen), ' ' ORDER BY c.offering_id)
                       AS offerings
                FROM scheduler.job_candidate c WHERE c.job_id = coalesce(j.array_id, j.id)) AS asked ON true
            LEFT JOIN LATERAL (
                SELECT max((c.value ->> 'ceiling_micro_yen')::bigint) AS ceiling,
                       string_agg(format('%s/%s', v.offering_id, c.value ->> 'ceiling_micro_yen'), ' ' ORDER BY c.key)
                       AS offerings
                FROM jsonb_each(q.candidates) c JOIN pricing.price_version v
                  ON v.id = (c.value ->> 'price_version_id')::uuid AND v.offering_id = c.key
                     AND v.valid_from <= q.quoted_at AND v.service_class = j.service_class
                     AND v.tax_rate_bp = q.tax_rate_bp) AS quoted ON true
            WHERE (asked.offerings IS NOT NULL OR q.candidates IS NOT NULL)
              AND (q.ceiling_micro_yen, asked.offerings) IS DISTINCT FROM (quoted.ceiling, quoted.offerings)""",
    ),
    Question(
        check="tax-rate-differs",
        sql="""
            SELECT 'job:' || q.job_id AS subject, v.tax_rate_bp AS expected, q.tax_rate_bp AS found
            FROM pricing.quote q JOIN pricing.price_version v ON v.id = q.price_version_id
            WHERE v.tax_rate_bp <> q.tax_rate_bp""",
    ),
    Question(
        check="hold-posting-missing",
        sql="""
            SELECT 'job:' || h.job_id AS subject,
                   CASE WHEN h.ceiling_micro_yen > 0 THEN 1 ELSE 0 END AS expected, count(t.id) AS found
            FROM pricing.hold h LEFT JOIN pricing.ledger_transaction t ON t.job_id = h.job_id AND t.template = 'hold'
            GROUP BY h.job_id HAVING count(t.id) <> CASE WHEN h.ceiling_micro_yen > 0 THEN 1 ELSE 0 END""",
    ),
    Question(
        check="hold-open-or-closed-wrongly",
        sql="""
            SELECT 'job:' || h.job_id AS subject,
                   CASE WHEN over.is_over THEN 'closed' ELSE 'open' END AS expected,
                   CASE WHEN h.closed_at IS NULL THEN 'open' ELSE 'closed' END AS found
            FROM pricing.hold h
            LEFT JOIN LATERAL (
                SELECT coalesce(bool_or(a.last) AND bool_and(a.settled_at IS NOT NULL), false) AS is_over
                FROM pricing.billable_attempt a WHERE a.job_id = h.job_id) AS over ON true
            WHERE over.is_over <> (h.closed_at IS NOT NULL)""",
    ),
    Question(
        check="last-attempt-not-marked",
        sql="""
            SELECT 'job:' || b.job_id AS subject, 'only the newest attempt is the last' AS expected,
                   string_agg(format('%s:%s', a.ordinal, coalesce(b.last::text, '?')), ' ' ORDER BY a.ordinal) AS found
            FROM pricing.billable_attempt b JOIN scheduler.attempt a ON a.id = b.attempt_id
            GROUP BY b.job_id
            HAVING bool_or(b.last AND a.ordinal < (SELECT max(n.ordinal) FROM scheduler.attempt n
                                                   WHERE n.job_id = a.job_id AND n.phase = a.phase))""",
    ),
    Question(
        check="charged-beyond-promise",
        sql="""
            SELECT 'job:' || q.job_id AS subject, format('at most %s', q.ceiling_micro_yen) AS expected,
                   charged.amount AS found
            FROM pricing.quote q
            JOIN (SELECT job_id, sum(charged_micro_yen) AS amount FROM pricing.rated_line GROUP BY job_id) AS charged
              ON charged.job_id = q.job_id
            WHERE charged.amount > q.ceiling_micro_yen OR charged.amount < 0""",
    ),
)
