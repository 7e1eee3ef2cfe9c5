"""Is usage what the stored accounting says, once, and is it what pricing was handed?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

# What counts is found by the number of the revision here, not by what supersedes what.
QUESTIONS: Sequence[Question] = (
    Question(
        check="usage-differs-from-accounting",
        sql="""
            WITH newest AS (
                SELECT DISTINCT ON (backend, natural_key) * FROM metering.accounting_row
                ORDER BY backend, natural_key, revision DESC),
            said AS (
                SELECT n.id, c.key AS component, trunc((c.value #>> '{}')::numeric, 6) AS quantity
                FROM newest n, jsonb_each(n.components) AS c WHERE n.unbilled IS NULL),
            counted AS (
                SELECT u.accounting_row_id AS id, u.component, sum(u.quantity) AS quantity, count(*) AS records
                FROM metering.usage_record u JOIN newest n ON n.id = u.accounting_row_id GROUP BY 1, 2)
            SELECT format('accounting-row:%s/%s', coalesce(said.id, counted.id),
                          coalesce(said.component, counted.component)) AS subject,
                   format('%s in 1 record', coalesce(said.quantity, 0)) AS expected,
                   format('%s in %s records', coalesce(counted.quantity, 0), coalesce(counted.records, 0)) AS found
            FROM said FULL JOIN counted ON counted.id = said.id AND counted.component = said.component
            WHERE coalesce(said.quantity, 0) <> coalesce(counted.quantity, 0) OR coalesce(counted.records, 0) <> 1""",
    ),
    Question(
        check="usage-of-another-attempt",
        sql="""
            SELECT 'usage-record:' || u.id AS subject,
                   format('%s/%s/%s/%s/%s', a.attempt_id, b.job_id, b.organisation_id, b.project_id, b.person_id)
                       AS expected,
                   format('%s/%s/%s/%s/%s', u.attempt_id, u.job_id, u.organisation_id, u.project_id, u.person_id)
                       AS found
            FROM metering.usage_record u
            LEFT JOIN metering.accounting_row a ON a.id = u.accounting_row_id
            LEFT JOIN pricing.billable_attempt b ON b.attempt_id = u.attempt_id
            WHERE (a.attempt_id, b.job_id, b.organisation_id, b.project_id, b.person_id, b.offering_id, a.backend)
                  IS DISTINCT FROM (u.attempt_id, u.job_id, u.organisation_id, u.project_id, u.person_id,
                                    u.offering_id, u.backend)
               OR (a.started_at, a.ended_at, a.revision) IS DISTINCT FROM (u.started_at, u.ended_at, u.revision)""",
    ),
    Question(
        check="usage-counts-twice",
        sql="""
            WITH counting AS (
                SELECT u.*, a.natural_key FROM metering.usage_record u
                JOIN metering.accounting_row a ON a.id = u.accounting_row_id
                WHERE NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = u.id))
            SELECT format('record:%s/%s/%s', backend, natural_key, component) AS subject,
                   '1 record that counts' AS expected,
                   format('%s: %s', count(*), string_agg(id::text, ', ' ORDER BY id)) AS found
            FROM counting GROUP BY backend, natural_key, component HAVING count(*) > 1""",
    ),
    Question(
        # Two records of one attempt for the same time: one of them is a double, or the user's code ran twice.
        check="usage-overlaps",
        sql="""
            WITH newest AS (
                SELECT DISTINCT ON (backend, natural_key) * FROM metering.accounting_row
                ORDER BY backend, natural_key, revision DESC),
            ran AS (
                SELECT u.id, u.attempt_id, u.component, u.started_at, u.ended_at
                FROM metering.usage_record u JOIN newest n ON n.id = u.accounting_row_id
                WHERE u.quantity > 0)
            SELECT format('attempt:%s/%s', one.attempt_id, one.component) AS subject,
                   'no second counted twice' AS expected, format('%s and %s', one.id, other.id) AS found
            FROM ran one JOIN ran other ON other.attempt_id = one.attempt_id AND other.component = one.component
                 AND one.id < other.id
                 AND (one.started_at, one.ended_at) OVERLAPS (other.started_at, other.ended_at)""",
    ),
    Question(
        check="usage-not-handed-over",
        sql="""
            SELECT 'usage-record:' || coalesce(u.id, b.usage_record_id) AS subject,
                   format('%s %s, corrects %s', u.quantity, u.component, coalesce(u.supersedes::text, 'nothing'))
                       AS expected,
                   format('%s %s, corrects %s', b.quantity, b.component, coalesce(b.supersedes::text, 'nothing'))
                       AS found
            FROM (SELECT * FROM metering.usage_record WHERE component <> 'cpu_s') AS u
            FULL JOIN pricing.billable_usage b ON b.usage_record_id = u.id
            WHERE (u.attempt_id, u.organisation_id, u.component, u.quantity, u.started_at, u.ended_at, u.supersedes)
                  IS DISTINCT FROM (b.attempt_id, b.organisation_id, b.component, b.quantity, b.started_at,
                                    b.ended_at, b.supersedes)""",
    ),
    Question(
        # By what the backend said of its state it never started; by what it said of its use it ran: for nothing.
        check="ran-though-never-started",
        sql="""
            WITH newest AS (
                SELECT DISTINCT ON (backend, natural_key) * FROM metering.accounting_row
                ORDER BY backend, natural_key, revision DESC)
            SELECT 'attempt:' || b.attempt_id AS subject, 'no use' AS expected,
                   string_agg(format('%s %s', u.quantity, u.component), ', ' ORDER BY u.component, u.id) AS found,
                   CASE WHEN bool_and(s.reason IN ('cancelled_in_queue', 'never_accepted', 'vanished', 'unreadable'))
                        THEN 'its end was our own conclusion; the house pays' END AS explanation
            FROM pricing.billable_attempt b
            JOIN metering.usage_record u ON u.attempt_id = b.attempt_id
            JOIN newest n ON n.id = u.accounting_row_id
            LEFT JOIN scheduler.attempt s ON s.id = b.attempt_id
            WHERE b.ending = 'never_ran' AND u.quantity > 0 GROUP BY b.attempt_id""",
    ),
    Question(
        check="usage-without-price",
        sql="""
            SELECT 'usage-record:' || usage_record_id AS subject, 'a price' AS expected, reason AS found
            FROM pricing.parked_usage WHERE resolved_at IS NULL""",
    ),
    Question(
        check="accounting-row-parked",
        sql="""
            SELECT format('record:%s/%s', backend, natural_key) AS subject, 'taken' AS expected,
                   format('parked since %s: %s', parked_at, reason) AS found
            FROM metering.parked_row WHERE resolved_at IS NULL""",
    ),
)
