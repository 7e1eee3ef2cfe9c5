"""The Standard Workload Format (Chapin et al. 1999; Feitelson's archive): 18 fields a line, `;` begins a comment, −1:
unknown.

Its processors are our units, its user's group (or, where that is unknown, the user) our organisation. Jobs that never
ran (run time or processors unknown or 0) are passed over, as the archive advises.
"""

from __future__ import annotations

from typing import Final

from scheduler.simulate.numbers import Where
from scheduler.simulate.rows import TraceJob, checked

_FIELDS: Final = 18
_JOB, _SUBMIT, _RUN, _PROCESSORS, _REQUESTED, _LIMIT, _USER, _GROUP = 0, 1, 3, 4, 7, 8, 11, 12
_UNKNOWN: Final = "-1"


def jobs_of(source: str, text: str) -> list[TraceJob]:
    """Its jobs. A job without a requested time is taken to have asked for what it ran."""
    jobs = []
    for row, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith(";"):
            continue
        where = Where(source, row)
        where.require(len(words) >= _FIELDS, f"field {len(words) + 1}", "missing_value")
        processors = words[_REQUESTED] if _is_known(words[_REQUESTED]) else words[_PROCESSORS]
        if not _is_known(processors) or not _is_known(words[_RUN]):
            continue
        limit = words[_LIMIT] if _is_known(words[_LIMIT]) else words[_RUN]
        organisation, user = words[_GROUP], words[_USER]
        if organisation == _UNKNOWN:
            organisation, user = user, ""
        user = "" if user == _UNKNOWN else user
        jobs.append(
            checked(
                where,
                (words[_JOB], organisation, words[_SUBMIT], words[_RUN], limit, processors),
                (user, "", "", ""),
            )
        )
    return jobs


def _is_known(word: str) -> bool:
    return word not in {_UNKNOWN, "0"}
