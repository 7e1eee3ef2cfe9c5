"""Is every attempt alive or ended, as its events say, once started, once settled?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

# The states of an attempt are in the order of its life: those before 'SUCCEEDED' are live.
QUESTIONS: Sequence[Question] = (
    Question(
        check="job-lost",
        sql="""
            SELECT 'job:' || j.id AS subject, 'a live attempt, or an ended one that is the last' AS expected,
                   coalesce(string_agg(format('%s %s', a.ordinal, a.state), ', ' ORDER BY a.ordinal), 'no attempt')
                       AS found
            FROM scheduler.job j
            LEFT JOIN scheduler.attempt a ON a.job_id = j.id
            LEFT JOIN pricing.billable_attempt b ON b.attempt_id = a.id
            GROUP BY j.id
            HAVING NOT coalesce(bool_or(a.state < 'SUCCEEDED' OR b.last), false)""",
    ),
    Question(
        check="two-live-attempts",
        sql="""
            SELECT format('job:%s/%s', job_id, phase) AS subject, 'at most 1 live attempt' AS expected,
                   count(*) AS found
            FROM scheduler.attempt WHERE state < 'SUCCEEDED' GROUP BY job_id, phase HAVING count(*) > 1""",
    ),
    Question(
        # One after the other in their order, each begun only when the one before had succeeded or may be passed over.
        check="phase-out-of-turn",
        sql="""
            SELECT format('job:%s/%s', a.job_id, a.phase) AS subject, 'the phase before is over' AS expected,
                   coalesce(format('%s %s', b.phase, b.state), 'it never began') AS found
            FROM scheduler.attempt a
            JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase AND p.ordinal > 1
            JOIN scheduler.job_phase q ON q.job_id = p.job_id AND q.ordinal = p.ordinal - 1
            LEFT JOIN LATERAL (SELECT n.phase, n.state FROM scheduler.attempt n
                               WHERE n.job_id = q.job_id AND n.phase = q.name ORDER BY n.ordinal DESC LIMIT 1) b ON true
            WHERE b.state IS DISTINCT FROM 'SUCCEEDED'
              AND NOT (q.skippable AND coalesce(b.state IN ('FAILED', 'LOST', 'PREEMPTED'), false))""",
    ),
    Question(
        # A call is what stands beside its job's line, is made by an attempt of that, and never more than was quoted.
        check="call-differs-from-its-attempt",
        sql="""
            SELECT format('job:%s/%s', a.job_id, a.phase) AS subject, 'a call of an attempt of its job' AS expected,
                   coalesce(format('number %s of job %s', k.number, m.job_id), 'none') AS found
            FROM scheduler.attempt a
            LEFT JOIN scheduler.qpu_call k ON k.attempt_id = a.id
            LEFT JOIN scheduler.attempt m ON m.id = k.caller_id
            WHERE (a.ordinal < 0 OR k.job_id IS NOT NULL)
              AND (k.job_id, m.job_id, -k.number, a.phase)
                  IS DISTINCT FROM (a.job_id, a.job_id, a.ordinal, 'call-' || k.number)""",
    ),
    Question(
        check="more-calls-than-quoted",
        sql="""
            SELECT 'job:' || u.job_id AS subject, format('at most %s calls, %s shots', u.calls, u.shots) AS expected,
                   format('%s calls, %s shots', count(k.attempt_id), sum(k.shots)) AS found
            FROM scheduler.job_qpu u JOIN scheduler.qpu_call k ON k.job_id = u.job_id AND k.attempt_id IS NOT NULL
            GROUP BY u.job_id, u.calls, u.shots HAVING count(*) > u.calls OR sum(k.shots) > u.shots""",
    ),
    Question(
        check="attempt-of-no-job",
        sql="""
            SELECT 'attempt:' || a.id AS subject, 'a job of the same organisation' AS expected,
                   coalesce(j.organisation_id::text, 'none') AS found
            FROM scheduler.attempt a LEFT JOIN scheduler.job j ON j.id = a.job_id
            WHERE j.organisation_id IS DISTINCT FROM a.organisation_id""",
    ),
    Question(
        check="attempt-differs-from-its-story",
        sql="""
            WITH told AS (
                SELECT attempt_id, count(*) AS events, max(seq) AS last_seq,
                       (array_agg(state ORDER BY seq DESC))[1] AS state
                FROM scheduler.attempt_event GROUP BY attempt_id)
            SELECT 'attempt:' || coalesce(a.id, e.attempt_id) AS subject,
                   format('%s after %s events, the last is number %s', e.state, e.events, e.last_seq) AS expected,
                   format('%s in version %s', a.state, a.version) AS found
            FROM scheduler.attempt a FULL JOIN told e ON e.attempt_id = a.id
            WHERE a.id IS NULL OR e.state IS DISTINCT FROM a.state
               OR coalesce(e.events, 0) <> a.version OR coalesce(e.last_seq, 0) <> a.version""",
    ),
    Question(
        check="attempt-moved-after-its-end",
        sql="""
            SELECT 'attempt:' || e.attempt_id AS subject, 'nothing after the end' AS expected,
                   string_agg(format('%s %s', e.seq, e.state), ', ' ORDER BY e.seq) AS found
            FROM scheduler.attempt_event e
            WHERE EXISTS (SELECT FROM scheduler.attempt_event b WHERE b.attempt_id = e.attempt_id AND b.seq < e.seq
                          AND b.state >= 'SUCCEEDED' AND b.state <> e.state)
            GROUP BY e.attempt_id""",
    ),
    Question(
        check="attempt-started-twice",
        sql="""
            SELECT 'attempt:' || attempt_id AS subject, 'at most 1 start' AS expected, count(*) AS found
            FROM (SELECT attempt_id, state, lag(state) OVER (PARTITION BY attempt_id ORDER BY seq) AS before
                  FROM scheduler.attempt_event) AS move
            WHERE state = 'RUNNING' AND before IS DISTINCT FROM 'RUNNING'
            GROUP BY attempt_id HAVING count(*) > 1""",
    ),
    Question(
        check="preemption-differs-from-its-story",
        sql="""
            WITH told AS (
                SELECT attempt_id, min(effective_at) AS at, min(facts ->> 'for_class') AS for_class
                FROM scheduler.attempt_event WHERE kind = 'PreemptRequested' GROUP BY attempt_id)
            SELECT 'attempt:' || a.id AS subject,
                   coalesce(format('asked at %s to make room for %s', e.at, e.for_class), 'never asked') AS expected,
                   format('asked at %s to make room for %s, ended as %s', a.preempt_wanted_at, a.preempt_for,
                          coalesce(a.reason, a.state::text)) AS found
            FROM scheduler.attempt a LEFT JOIN told e ON e.attempt_id = a.id
            WHERE (a.preempt_wanted_at, a.preempt_for::text) IS DISTINCT FROM (e.at, e.for_class)
               OR (a.reason = 'preempted_by_us' AND e.at IS NULL)""",
    ),
    Question(
        check="attempt-not-billable",
        sql="""
            SELECT 'attempt:' || coalesce(a.id, b.attempt_id) AS subject,
                   format('%s/%s/%s/%s/%s/%s', j.id, j.organisation_id, j.project_id, j.person_id,
                          coalesce(u.offering_id, p.offering_id, placed.offering_id, j.offering_id),
                          a.phase) AS expected,
                   format('%s/%s/%s/%s/%s/%s', b.job_id, b.organisation_id, b.project_id, b.person_id, b.offering_id,
                          b.phase) AS found
            FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id
            LEFT JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase
            LEFT JOIN scheduler.qpu_call k ON k.attempt_id = a.id
            LEFT JOIN scheduler.job_qpu u ON u.job_id = k.job_id
            LEFT JOIN LATERAL (
                SELECT c.offering_id FROM scheduler.job_candidate c
                WHERE c.job_id = coalesce(j.array_id, j.id) AND c.offering_id = a.offering_id) AS placed ON true
            FULL JOIN pricing.billable_attempt b ON b.attempt_id = a.id
            WHERE (j.id, j.organisation_id, j.project_id, j.person_id,
                   coalesce(u.offering_id, p.offering_id, placed.offering_id, j.offering_id), a.phase)
                  IS DISTINCT FROM
                  (b.job_id, b.organisation_id, b.project_id, b.person_id, b.offering_id, b.phase)""",
    ),
    Question(
        check="ending-differs",
        sql="""
            SELECT 'attempt:' || a.id AS subject, a.state AS expected, coalesce(b.ending::text, 'open') AS found
            FROM scheduler.attempt a JOIN pricing.billable_attempt b ON b.attempt_id = a.id
            WHERE NOT CASE
                WHEN a.state < 'SUCCEEDED' THEN b.ending IS NULL
                WHEN a.state = 'SUCCEEDED' AND a.reason = 'done_early' THEN b.ending IS NOT DISTINCT FROM 'never_ran'
                WHEN a.state = 'SUCCEEDED' THEN b.ending IS NOT DISTINCT FROM 'succeeded'
                WHEN a.state = 'PREEMPTED' THEN coalesce(b.ending IN ('preempted', 'never_ran'), false)
                WHEN a.state = 'LOST' THEN coalesce(b.ending IN ('lost', 'never_ran'), false)
                WHEN a.state = 'FAILED' THEN coalesce(b.ending IN ('failed', 'never_ran'), false)
                ELSE coalesce(b.ending IN ('cancelled', 'lost', 'never_ran'), false) END""",
    ),
    Question(
        # What the matrix says of each cause where no policy does.
        check="share-differs-from-refund-matrix",
        sql="""
            WITH usual (cause, charged_bp) AS (VALUES
                ('succeeded', 10000), ('user_error', 10000), ('out_of_memory', 10000), ('walltime', 10000),
                ('cancelled', 10000), ('preempted', 0), ('node_failure', 0), ('vendor_error', 0), ('our_fault', 0),
                ('maintenance_overrun', 0), ('never_ran', 0))
            SELECT 'attempt:' || b.attempt_id AS subject, coalesce(m.charged_bp::text, 'a known cause') AS expected,
                   format('%s: %s', b.cause, b.charged_bp) AS found
            FROM pricing.billable_attempt b
            LEFT JOIN LATERAL (
                SELECT value FROM pricing.policy
                WHERE name = 'refund_matrix' AND effective_at <= b.told_at ORDER BY effective_at DESC LIMIT 1) p ON true
            LEFT JOIN LATERAL (
                SELECT coalesce((p.value ->> u.cause)::integer, u.charged_bp) AS charged_bp
                FROM usual u WHERE u.cause = b.cause) m ON true
            WHERE b.cause IS NOT NULL AND b.charged_bp IS DISTINCT FROM m.charged_bp""",
    ),
    Question(
        check="attempt-never-settled",
        sql="""
            SELECT 'attempt:' || b.attempt_id AS subject, 'settled' AS expected,
                   format('ended as %s at %s, not settled', b.ending, b.closed_at) AS found,
                   CASE WHEN b.told_at > $1 THEN 'its accounting may still come' END AS explanation
            FROM pricing.billable_attempt b WHERE b.ending IS NOT NULL AND b.settled_at IS NULL""",
    ),
    Question(
        check="settled-before-its-end",
        sql="""
            SELECT 'attempt:' || b.attempt_id AS subject, 'an end, and a complete record if it is charged' AS expected,
                   format('settled at %s, ending %s, accounting final at %s', b.settled_at, b.ending,
                          b.accounting_final_at) AS found
            FROM pricing.billable_attempt b
            WHERE b.settled_at IS NOT NULL
              AND (b.ending IS NULL
                   OR coalesce(b.charged_bp > 0, b.ending IN ('succeeded', 'failed', 'cancelled'))
                      AND b.accounting_final_at IS NULL)""",
    ),
)
