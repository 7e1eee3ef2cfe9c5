"""Which errors of the database pass by themselves, and which mean that somebody else leads."""

from __future__ import annotations

import asyncpg

STALE_LEADER = "KY002"  # raised by infra.fence()

_PASSING: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it goes down, comes up, or a statement took too long
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # deadlock, serialisation failure
    asyncpg.LockNotAvailableError,
    ConnectionError,
    TimeoutError,
)


def passes(error: Exception) -> bool:
    """The same work may well succeed a little later. Whether it took effect this time is unknown only of a commit."""
    if isinstance(error, asyncpg.InterfaceError):  # a defect of ours, unless the connection went under our hands
        return "closed" in str(error)
    return isinstance(error, _PASSING)


def is_stale_leader(error: Exception) -> bool:
    """The lease of this transaction is not the newest: another process leads the loop."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate == STALE_LEADER
