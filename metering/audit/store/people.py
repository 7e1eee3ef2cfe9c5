"""Is every natural person there once?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
    Question(
        check="job-of-a-stranger",
        sql="""
            SELECT 'job:' || j.id AS subject, 'a member of its organisation, in a project of it' AS expected,
                   format('person %s, project %s', j.person_id, j.project_id) AS found
            FROM scheduler.job j
            WHERE NOT EXISTS (
                      SELECT FROM accounts.membership m
                      WHERE m.organisation_id = j.organisation_id AND m.person_id = j.person_id
                        AND m.since <= j.submitted_at AND coalesce(m.until, 'infinity') >= j.submitted_at)
               OR NOT EXISTS (SELECT FROM accounts.project p
                              WHERE p.id = j.project_id AND p.organisation_id = j.organisation_id)""",
    ),
    Question(
        check="person-counted-twice",
        sql="""
            SELECT 'persons:' || string_agg(id::text, ', ' ORDER BY id) AS subject,
                   '1 person of this address' AS expected, count(*) AS found
            FROM accounts.person GROUP BY lower(normalize(btrim(email), NFKC)) HAVING count(*) > 1""",
    ),
    Question(
        check="member-twice",
        sql="""
            SELECT format('membership:%s/%s', one.organisation_id, one.person_id) AS subject,
                   'one membership at a time' AS expected, format('%s and %s', one.id, other.id) AS found
            FROM accounts.membership one
            JOIN accounts.membership other ON other.organisation_id = one.organisation_id
                 AND other.person_id = one.person_id AND one.id < other.id
                 AND one.since < coalesce(other.until, 'infinity') AND other.since < coalesce(one.until, 'infinity')""",
    ),
)
