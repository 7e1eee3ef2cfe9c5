"""What other packages may ask of pricing. Every function works in the caller's transaction."""

from __future__ import annotations

from pricing.service.catalogue import (
    converted_prices,
    create_offering,
    offering,
    offerings,
    price_history,
    price_version,
    publish_price,
    quote,
    record_market_reference,
    require_within,
)
from pricing.service.documents import (
    attempts_of_job,
    books,
    charges_by_job,
    discount_totals,
    draft_invoice,
    statement,
    usage_by_job,
    waiting,
)
from pricing.service.jobs import admission, billing_of, open_attempt, open_attempts, place_hold, place_holds
from pricing.service.settlement import close_attempt, record_usage, waive_parked
from pricing.service.wallets import (
    balance,
    expire_grants,
    issue_grant,
    open_credit_line,
    open_wallet,
    organisations_with_expired_grants,
    pay_back,
    receive_payment,
    repay_credit,
)

__all__ = [
    "admission",
    "attempts_of_job",
    "balance",
    "billing_of",
    "books",
    "charges_by_job",
    "close_attempt",
    "converted_prices",
    "create_offering",
    "discount_totals",
    "draft_invoice",
    "expire_grants",
    "issue_grant",
    "offering",
    "offerings",
    "open_attempt",
    "open_attempts",
    "open_credit_line",
    "open_wallet",
    "organisations_with_expired_grants",
    "pay_back",
    "place_hold",
    "place_holds",
    "price_history",
    "price_version",
    "publish_price",
    "quote",
    "receive_payment",
    "record_market_reference",
    "record_usage",
    "repay_credit",
    "require_within",
    "statement",
    "usage_by_job",
    "waiting",
    "waive_parked",
]
