"""What a receipt (領収書) shows. Pure.

The tax is on the invoices that it names; prepaid value is taxed when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from accounts.model import Organisation

_FORM = 1


@dataclass(frozen=True, slots=True)
class Paid:
    """A part of a payment. document: the number of the invoice that it pays; None: it became prepaid value."""

    yen: int
    document: str | None = None


def content(
    *,
    number: str,
    payment_id: UUID,
    customer: Organisation,
    parts: Sequence[Paid],
    means: str,
    received_on: date,
    issue_date: date,
    issuer: Mapping[str, str],
) -> dict[str, Any]:
    """All that the paper shows, as JSON. ValueError: a part of nothing or less."""
    if not parts or any(each.yen <= 0 for each in parts):
        raise ValueError("a receipt is for money that came in")
    return {
        "form": _FORM,
        "kind": "receipt",
        "number": number,
        "issue_date": issue_date.isoformat(),
        "received_on": received_on.isoformat(),
        "means": means,
        "payment_id": str(payment_id),
        "issuer": dict(issuer),
        "recipient": {
            "organisation_id": str(customer.id),
            "name": customer.name,
            "corporate_number": customer.corporate_number,
        },
        "parts": [
            {"what": "invoice" if each.document else "prepaid", "number": each.document, "amount_yen": each.yen}
            for each in parts
        ],
        "total_yen": sum(each.yen for each in parts),
    }
