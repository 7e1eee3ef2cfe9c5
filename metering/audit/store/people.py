"""Is every natural person there once?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

QUESTIONS: Sequence[Question] = (
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
