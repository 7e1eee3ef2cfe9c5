from __future__ import annotations

import pytest

from tests.support.database import Database
from tests.support.market import Market, open_market


@pytest.fixture
async def market(database: Database) -> Market:
    return await open_market(database)
