from __future__ import annotations

import pytest

from tests.support.database import Database
from tests.support.people import populate


@pytest.fixture
async def world(database: Database) -> Database:
    """The database with the persons and organisations of tests.support.people."""
    await populate(database)
    return database
