"""The policy lab: python -m scheduler.simulate replay | compare | forecast | export."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from infra.db.connection import Pool
from scheduler.simulate.forecast_command import app


def _own_database() -> AbstractAsyncContextManager[Pool]:
    """Loaded only for the installation's own history: a trace needs none of the portal."""
    from portal.lab import own_database  # noqa: PLC0415

    return own_database()


app(prog_name="python -m scheduler.simulate", obj=_own_database)
