from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Database
from tests.support.portal_world import World, open_world


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened
