"""Where the policy lab finds the history of this installation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import ValidationError

from infra.db.connection import DatabaseUnavailable, Pool
from infra.db.migrate import MigrationRefused
from portal.bootstrap import current_pool, database_urls
from portal.settings import Settings, SettingsWrong
from scheduler.simulate.errors import TraceUnreadable


@asynccontextmanager
async def own_database() -> AsyncIterator[Pool]:
    """The database that the settings name, as the auditor, who reads everything and changes nothing.

    TraceUnreadable: there is none, or it is not of this version.
    """
    try:
        async with current_pool(_url(Settings()), size=1) as pool:
            yield pool
    except (ValidationError, SettingsWrong, MigrationRefused, DatabaseUnavailable, OSError) as wrong:
        raise TraceUnreadable(source=str(wrong), problem="no_database", columns=[]) from wrong


def _url(settings: Settings) -> str:
    """Looking makes no installation where there is none."""
    embedded = settings.data_dir.resolve() / "postgres"
    if settings.is_embedded and not embedded.is_dir():
        raise SettingsWrong(f"{embedded} is not there")
    return database_urls(settings).auditor
