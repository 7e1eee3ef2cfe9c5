"""The time of accounting and of what people read (design: storage is UTC, accounting is Asia/Tokyo)."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

TOKYO: Final = ZoneInfo("Asia/Tokyo")
