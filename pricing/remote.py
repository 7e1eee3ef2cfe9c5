"""What Stripe says of its objects, in our words: nothing of its library leaves pricing/stripe_gateway.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID


class GatewayAway(Exception):
    """Stripe did not answer, or answered that it cannot now. Whether it did what was asked is unknown: ask again."""


class GatewayRefused(Exception):
    """Stripe understood and refuses for good. The message is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHint:
    """That something happened to an object; what it is now is asked for, never read from the event."""

    event_id: str
    type: str
    object_id: str
    happened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Whom Stripe writes to. tax_ids: (type, value), such as ('jp_cn', '1234567890123')."""

    organisation_id: UUID
    name: str
    email: str
    tax_ids: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaid:
    """A payment of an invoice. intent_id None: it was paid elsewhere, and we know it already."""

    intent_id: str | None
    amount_yen: int
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteInvoice:
    """total_yen: what was invoiced, before credit notes. ref: our document, if it is one of ours."""

    stripe_id: str
    ref: UUID | None
    customer_id: str
    currency: str
    status: str
    total_yen: int
    url: str | None
    payments: tuple[InvoicePaid, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCash:
    """A customer's cash balance: what transfers brought and no invoice has used."""

    customer_id: str
    available_yen: int
    other_currencies: tuple[str, ...]
    last_transfer_id: str | None
    sender: str | None
    open_yen: tuple[int, ...]
    """What remains of each open invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIntent:
    """Money of a card, or taken out of a cash balance: what is no invoice's. ref: our top-up or case."""

    stripe_id: str
    ref: UUID | None
    customer_id: str | None
    currency: str
    status: str
    received_yen: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRefund:
    """ref: our refund; None: it was made elsewhere, such as in the dashboard."""

    stripe_id: str
    ref: UUID | None
    intent_id: str | None
    status: str
    amount_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDispute:
    """status: Stripe's; 'warning_…' is a question, and takes no money."""

    stripe_id: str
    intent_id: str | None
    status: str
    reason: str
    amount_yen: int


Remote: TypeAlias = RemoteInvoice | RemoteCash | RemoteIntent | RemoteRefund | RemoteDispute


@dataclass(frozen=True, slots=True)
class Made:
    """An object at Stripe that is now linked to one of ours. url: where the customer pays."""

    stripe_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Stripe's side of the comparison, in yen by Stripe's ids. asked: totals of open invoices of ours.

    customers: those with money in their cash balance are looked at; disputed: every dispute of the time.
    """

    received: Mapping[str, int]
    refunded: Mapping[str, int]
    asked: Mapping[str, int]
    disputed: tuple[str, ...]
    customers: tuple[str, ...]
