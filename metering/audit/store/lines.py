"""Does every rated line stand for its attempt, at its price version, on its day?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        # The price is the one frozen for the attempt's phase, or for the offering where it was placed, or for the job.
        check="rated-line-of-another-attempt",
        sql="""
            SELECT 'rated-line:' || l.id AS subject,
                   format('%s/%s/%s/%s/%s', u.attempt_id, b.organisation_id, b.person_id, frozen.version,
                          u.component) AS expected,
                   format('%s/%s/%s/%s/%s', l.attempt_id, l.organisation_id, l.person_id, l.price_version_id,
                          l.component) AS found
            FROM pricing.rated_line l
            LEFT JOIN pricing.billable_attempt b ON b.attempt_id = l.attempt_id
            LEFT JOIN pricing.quote q ON q.job_id = b.job_id
            LEFT JOIN scheduler.qpu_call k ON k.attempt_id = b.attempt_id
            LEFT JOIN pricing.quote_phase p ON p.job_id = b.job_id
                 AND p.phase = CASE WHEN k.attempt_id IS NULL THEN b.phase ELSE 'calls' END
            LEFT JOIN LATERAL (
                SELECT coalesce(p.price_version_id, (q.candidates -> b.offering_id ->> 'price_version_id')::uuid,
                                q.price_version_id) AS version) AS frozen ON true
            LEFT JOIN metering.usage_record u ON u.id = l.usage_record_id
            WHERE (u.attempt_id, b.job_id, b.organisation_id, b.project_id, b.person_id, b.offering_id,
                   frozen.version, u.component)
                  IS DISTINCT FROM (l.attempt_id, l.job_id, l.organisation_id, l.project_id, l.person_id,
                                    l.offering_id, l.price_version_id, l.component)""",
    ),
    Question(
        # What grows with time is cut at midnight in Tokyo, each part from what had been used by its beginning to what
        # had been used by its end, rounded down; what is counted belongs to the day of the end. Less than the minimum
        # time counts as that, and fewer GPUs than a slice has are dearer.
        check="rated-line-on-another-day",
        sql="""
            WITH standing AS (
                SELECT usage_record_id, price_version_id, accounting_date, sum(quantity) AS quantity,
                       sum(price_micro_yen) AS price
                FROM pricing.rated_line GROUP BY 1, 2, 3 HAVING sum(quantity) <> 0 OR sum(price_micro_yen) <> 0),
            used AS (
                SELECT *, extract(epoch FROM ended_at - started_at)::numeric AS ran, component = 'gpu_s' AS grows
                FROM metering.usage_record),
            day AS (
                SELECT s.*, c.per, u.ran, u.grows AND u.started_at < u.ended_at AS is_cut,
                       CASE WHEN u.grows AND u.ran > 0 AND u.ran < v.minimum_s
                            THEN div(u.quantity * 1000000 * v.minimum_s, u.ran) / 1000000 ELSE u.quantity END AS whole,
                       CASE WHEN u.grows AND u.quantity < v.slice_below_gpus * u.ran
                            THEN div(c.price_micro_yen::numeric * (10000 + v.slice_premium_bp), 10000)
                            ELSE c.price_micro_yen END AS each,
                       (u.ended_at AT TIME ZONE 'Asia/Tokyo')::date AS last,
                       extract(epoch FROM least(greatest(s.accounting_date::timestamp AT TIME ZONE 'Asia/Tokyo',
                                                         u.started_at), u.ended_at) - u.started_at)::numeric AS since,
                       extract(epoch FROM least(greatest((s.accounting_date + 1)::timestamp AT TIME ZONE 'Asia/Tokyo',
                                                         u.started_at), u.ended_at) - u.started_at)::numeric AS until
                FROM standing s JOIN used u ON u.id = s.usage_record_id
                JOIN pricing.price_version v ON v.id = s.price_version_id
                JOIN pricing.price_component c
                  ON c.price_version_id = s.price_version_id AND c.component = u.component),
            right_one AS (
                SELECT *, CASE WHEN is_cut THEN (div(whole * 1000000 * until, ran) - div(whole * 1000000 * since, ran))
                                                / 1000000
                               WHEN accounting_date = last THEN whole ELSE 0 END AS right_quantity,
                          CASE WHEN is_cut THEN div(whole * each * until, ran * per)
                                         - div(whole * each * since, ran * per)
                               WHEN accounting_date = last THEN div(whole * each, per) ELSE 0 END AS right_price
                FROM day)
            SELECT format('usage-record:%s on %s', usage_record_id, accounting_date) AS subject,
                   format('%s for %s', right_quantity, right_price) AS expected,
                   format('%s for %s', quantity, price) AS found
            FROM right_one WHERE quantity <> right_quantity OR price <> right_price""",
    ),
)
