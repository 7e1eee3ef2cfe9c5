"""Which database errors concern one item, and which the whole loop."""

from __future__ import annotations

import asyncpg

_LOOP_WIDE_CLASSES = frozenset({"08", "53", "57", "58"})  # connection, resources, operator, system
_STALE_LEADER = "KY002"


def stops_the_loop(error: BaseException) -> bool:
    """A stale leader must stop, and without a database nothing can go on; anything else is one item's matter."""
    if isinstance(error, asyncpg.PostgresError):
        code = str(error.sqlstate or "")
        return code == _STALE_LEADER or code[:2] in _LOOP_WIDE_CLASSES
    return isinstance(error, asyncpg.InterfaceError | OSError)
