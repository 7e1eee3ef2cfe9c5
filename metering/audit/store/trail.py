"""Is the audit trail's chain whole? Its formula in SQL, independently of the code that writes it."""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        check="audit-trail-broken",
        sql="""
            WITH linked AS (
                SELECT *, lag(sha256) OVER (ORDER BY seq) AS before,
                       lag(seq, 1, 0::bigint) OVER (ORDER BY seq) AS seq_before
                FROM accounts.audit_entry),
            checked AS (
                SELECT seq, seq_before,
                       coalesce(before, sha256(convert_to('kyoyo audit chain', 'UTF8'))) AS link,
                       previous_sha256, sha256,
                       sha256(previous_sha256 || convert_to(
                           seq::text || chr(31)
                           || to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || chr(31)
                           || coalesce(actor_id::text, '') || chr(31) || coalesce(organisation_id::text, '') || chr(31)
                           || action || chr(31) || subject || chr(31) || facts::text, 'UTF8')) AS recomputed
                FROM linked)
            SELECT 'audit-entry:' || seq AS subject,
                   format('number %s, linked to %s, hash %s', seq_before + 1, left(encode(link, 'hex'), 12),
                          left(encode(recomputed, 'hex'), 12)) AS expected,
                   format('number %s, linked to %s, hash %s', seq, left(encode(previous_sha256, 'hex'), 12),
                          left(encode(sha256, 'hex'), 12)) AS found
            FROM checked WHERE seq <> seq_before + 1 OR previous_sha256 <> link OR sha256 <> recomputed""",
    ),
)
