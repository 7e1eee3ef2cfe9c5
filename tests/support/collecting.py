"""What is asked for, for tests: a document of one rate."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from pricing.payments import Collectable, CollectLine, TaxedLines
from tests.support.market import an_id

DUE = date(2026, 5, 31)


def a_collectable(
    *,
    number: str = "KY2026-000001",
    net_yen: int = 1000,
    tax_yen: int = 100,
    organisation: UUID | None = None,
    **other: Any,
) -> Collectable:
    """Of two lines, with tax once on their sum."""
    half = net_yen // 2
    lines = (
        CollectLine(description="GPU 2026-04", amount_yen=net_yen - half),
        CollectLine(description="QPU 2026-04", amount_yen=half),
    )
    facts: dict[str, Any] = {
        "document_id": an_id("document", number),
        "organisation_id": organisation or an_id("organisation", "alpha"),
        "number": number,
        "due_date": DUE,
        "amount_yen": net_yen + tax_yen,
        "groups": (TaxedLines(rate_bp=1000, tax_yen=tax_yen, lines=lines),),
    }
    return Collectable(**{**facts, **other})
