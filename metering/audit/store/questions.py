"""How a question is put to the database: SQL that returns subject, expected and found of whatever is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.db.connection import Conn
from metering.audit.model import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """sql: columns subject, expected, found, and explanation if there can be one. $1: what ended later is too young."""

    check: str
    sql: str


async def ask(conn: Conn, questions: Sequence[Question], *, young_since: datetime) -> list[Difference]:
    """Every row is a difference."""
    return [each for question in questions for each in await _ask(conn, question, young_since)]


async def _ask(conn: Conn, question: Question, young_since: datetime) -> list[Difference]:
    given = [young_since] if "$1" in question.sql else []
    return [
        Difference(
            check=question.check,
            subject=row["subject"],
            expected=str(row["expected"]),
            found=str(row["found"]),
            explanation=row.get("explanation"),
        )
        for row in await conn.fetch(question.sql, *given)
    ]
