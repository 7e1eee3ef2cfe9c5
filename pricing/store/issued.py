"""Documents in the database: numbered, appended, found again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.days import Month
from pricing.document import Amounts, AnnexLine, Document, DocumentKind, Search

_DOCUMENT = """SELECT id, organisation_id, kind::text AS kind, fiscal_year, ordinal, month, original_id, issued_at,
    issue_date, due_date, counterparty, subtotal_yen, tax_yen, total_yen, prepaid_applied_yen, carried_in_yen,
    carried_out_yen, amount_due_yen, credited_yen, content, content_sha256 FROM pricing.document"""
_AMOUNTS = tuple(Amounts.__dataclass_fields__)


async def take_ordinals(conn: Conn, kind: DocumentKind, year: int, *, count: int) -> int:
    """The first of `count` numbers that are this transaction's; until its end nobody else gets one of this kind."""
    last: int = await conn.fetchval(
        """INSERT INTO pricing.document_counter VALUES ($1::text::pricing.document_kind, $2, $3)
           ON CONFLICT (kind, fiscal_year) DO UPDATE SET last_ordinal = document_counter.last_ordinal + $3
           RETURNING last_ordinal""",
        kind.value,
        year,
        count,
    )
    return last - count + 1


async def add_documents(conn: Conn, documents: Sequence[Document]) -> None:
    """In the order of their numbers. The database refuses a number without the one before it."""
    await conn.execute(
        """INSERT INTO pricing.document (id, organisation_id, kind, fiscal_year, ordinal, number, month, original_id,
               issued_at, issue_date, due_date, counterparty, subtotal_yen, tax_yen, total_yen, prepaid_applied_yen,
               carried_in_yen, carried_out_yen, amount_due_yen, credited_yen, content, content_sha256)
           SELECT id, organisation, kind::pricing.document_kind, year, ordinal, number, month, original, issued_at,
                  issued_on, due, counterparty, subtotal, tax, total, prepaid, carried_in, carried_out, asked,
                  credited, content, sha256
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::date[],
                       $8::uuid[], $9::timestamptz[], $10::date[], $11::date[], $12::text[], $13::bigint[],
                       $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
                       $20::bigint[], $21::jsonb[], $22::bytea[])
                AS t (id, organisation, kind, year, ordinal, number, month, original, issued_at, issued_on, due,
                      counterparty, subtotal, tax, total, prepaid, carried_in, carried_out, asked, credited, content,
                      sha256)""",
        [each.id for each in documents],
        [each.organisation_id for each in documents],
        [each.kind.value for each in documents],
        [each.fiscal_year for each in documents],
        [each.ordinal for each in documents],
        [each.number for each in documents],
        [each.month.first for each in documents],
        [each.original_id for each in documents],
        [each.issued_at for each in documents],
        [each.issue_date for each in documents],
        [each.due_date for each in documents],
        [each.counterparty for each in documents],
        *([getattr(each.amounts, name) for each in documents] for name in _AMOUNTS),
        [each.content for each in documents],
        [each.content_sha256 for each in documents],
    )


async def document(conn: Conn, document_id: UUID) -> Document | None:
    row = await conn.fetchrow(f"{_DOCUMENT} WHERE id = $1", document_id)
    return _document(row) if row else None


async def document_numbered(conn: Conn, number: str) -> Document | None:
    row = await conn.fetchrow(f"{_DOCUMENT} WHERE number = $1", number)
    return _document(row) if row else None


async def search(conn: Conn, wanted: Search, *, limit: int, after: UUID | None = None) -> list[Document]:
    """By date of issue, then number; the newest first. after: the last one that is known already."""
    rows = await conn.fetch(
        f"""{_DOCUMENT} WHERE ($1::date IS NULL OR issue_date >= $1) AND ($2::date IS NULL OR issue_date <= $2)
              AND ($3::bigint IS NULL OR total_yen >= $3) AND ($4::bigint IS NULL OR total_yen <= $4)
              AND ($5::text IS NULL OR position(lower(normalize($5, NFKC)) IN lower(normalize(counterparty, NFKC))) > 0)
              AND ($6::text IS NULL OR kind = $6::text::pricing.document_kind)
              AND ($7::uuid IS NULL OR (issue_date, number) < (
                      SELECT issue_date, number FROM pricing.document WHERE id = $7))
            ORDER BY issue_date DESC, number DESC LIMIT $8""",  # noqa: S608  our own words
        wanted.since,
        wanted.until,
        wanted.least_yen,
        wanted.most_yen,
        wanted.counterparty,
        wanted.kind.value if wanted.kind else None,
        after,
        limit,
    )
    return [_document(row) for row in rows]


def _document(row: Record) -> Document:
    told = dict(row)
    amounts = Amounts(**{name: told.pop(name) for name in _AMOUNTS})
    return Document(
        **{**told, "kind": DocumentKind(told["kind"]), "month": Month.of(told["month"])},
        amounts=amounts,
    )


async def annex(conn: Conn, organisation_id: UUID, month: Month) -> AsyncIterator[AnnexLine]:
    """The lines of an organisation's month, as the caller may see them. Inside a transaction."""
    query = """SELECT l.id AS line_id, o.id AS corrects, d.number AS original_number, l.accounting_date, l.job_id,
                      l.attempt_id AS job_attempt_id, l.project_id, l.person_id, l.offering_id, l.component, l.quantity,
                      l.list_micro_yen, l.price_micro_yen, l.charged_micro_yen, l.waiver, l.recorded_at
               FROM pricing.rated_line l
               LEFT JOIN LATERAL (
                   SELECT p.id, p.billed_month FROM pricing.rated_line p
                    WHERE p.usage_record_id = l.usage_record_id AND p.accounting_date = l.accounting_date
                      AND p.piece < l.piece ORDER BY p.piece DESC LIMIT 1) o ON true
               LEFT JOIN pricing.closed_account c
                 ON c.organisation_id = l.organisation_id AND c.month = o.billed_month AND c.month < l.billed_month
               LEFT JOIN pricing.document d ON d.id = c.document_id
               WHERE l.organisation_id = $1 AND l.billed_month = $2
               ORDER BY l.accounting_date, l.job_id, l.usage_record_id, l.piece"""
    async for row in conn.cursor(query, organisation_id, month.first, prefetch=1_000):
        yield AnnexLine(**row)
