"""The whole audit: asks the backends first, then looks at the books at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from hpc_adapters.contract import Backend, Window
from hpc_adapters.errors import Unavailable
from infra.db.connection import Conn
from metering.audit import books, witness
from metering.audit.closes import check_close
from metering.audit.invoices import compare_invoice
from metering.audit.model import Claims, Difference, Result, Told
from metering.audit.store import attempts, closes, figures, jobs, ledger, lines, people, postings, prices, trail, usage
from metering.audit.store.books import books as read_books
from metering.audit.store.questions import ask
from metering.audit.store.shelf import counts, first_dispatch, shelf

_CLOCK_SKEW = timedelta(days=1)  # a backend may take Japanese time for UTC
YOUNG = timedelta(minutes=30)
"""An attempt that ended less than this ago, beyond the slowest backend's lag, may still wait for its accounting."""
_QUESTIONS = (
    *ledger.QUESTIONS,
    *postings.QUESTIONS,
    *jobs.QUESTIONS,
    *attempts.QUESTIONS,
    *usage.QUESTIONS,
    *lines.QUESTIONS,
    *prices.QUESTIONS,
    *people.QUESTIONS,
    *trail.QUESTIONS,
    *closes.QUESTIONS,
)


async def ask_backends(backends: Mapping[str, Backend], *, since: datetime, now: datetime) -> list[Told]:
    """What every backend says of [since, now). No transaction may be open: this waits for others."""
    return [await _ask_backend(name, backend, since, now) for name, backend in backends.items()]


async def _ask_backend(name: str, backend: Backend, since: datetime, now: datetime) -> Told:
    try:
        rows = await backend.accounting(Window(since, now))
    except Unavailable:
        rows = None
    lag_s = backend.capabilities().accounting_lag_s
    return Told(backend=name, since=since, asked_at=now, lag_s=lag_s, rows=rows)


async def beginning(conn: Conn, *, now: datetime) -> datetime:
    """Since when a backend can have run anything of ours."""
    first = await first_dispatch(conn)
    return now if first is None else first - _CLOCK_SKEW


async def audit(conn: Conn, told: Sequence[Told], claims: Claims, *, now: datetime) -> Result:
    """Everything that is not as the facts say. conn: one snapshot that is not older than the answers."""
    young_since = now - YOUNG - timedelta(seconds=max((each.lag_s for each in told), default=0.0))
    found: list[Difference] = await ask(conn, _QUESTIONS, young_since=young_since)
    for book in await read_books(conn):
        found += books.check(book)
    closed = await closes.closed_months(conn)
    for account in closed:
        found += check_close(account)
    for each in told:
        found += witness.compare(each, await shelf(conn, each.backend), young_since=young_since)
    for figure in claims.figures:
        found += await figures.compare_figure(conn, figure)
    for invoice in claims.invoices:
        found += compare_invoice(invoice, await figures.used_in(conn, invoice))
    found += [
        Difference(check="claim-failed", subject=what, expected="an answer", found=error)
        for what, error in claims.failed.items()
    ]
    looked_at = {
        **await counts(conn),
        "rows of backends": sum(len(each.rows or ()) for each in told),
        "figures": len(claims.figures),
        "draft invoices": len(claims.invoices),
        "closed months of organisations": len(closed),
    }
    return Result(at=now, differences=found, looked_at=looked_at)
