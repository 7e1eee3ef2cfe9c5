"""What pricing refuses, and what it treats as a fault of ours. Refusals carry facts, no sentences (infra.refusal)."""

from __future__ import annotations

from typing import ClassVar

from infra.refusal import Refusal


class UnknownOffering(Refusal):
    """No offering has this id. Facts: offering."""

    code: ClassVar[str] = "unknown-offering"


class OfferingRetired(Refusal):
    """The offering is no longer sold. Facts: offering."""

    code: ClassVar[str] = "offering-retired"


class OfferingExists(Refusal):
    """Another offering has this id already. Facts: offering."""

    code: ClassVar[str] = "offering-exists"


class NoPrice(Refusal):
    """No price is in force for this kind of customer. Facts: offering, customer_class, service_class."""

    code: ClassVar[str] = "no-price"


class GpusRequired(Refusal):
    """A GPU offering needs at least one GPU. Facts: offering."""

    code: ClassVar[str] = "gpus-required"


class TooManyGpus(Refusal):
    """More GPUs than the offering has. Facts: requested, limit."""

    code: ClassVar[str] = "too-many-gpus"


class WalltimeRequired(Refusal):
    """The time limit must be at least one second. Facts: requested_s."""

    code: ClassVar[str] = "walltime-required"


class WalltimeTooLong(Refusal):
    """A longer time limit than the offering allows. Facts: requested_s, limit_s."""

    code: ClassVar[str] = "walltime-too-long"


class ShotsRequired(Refusal):
    """A quantum offering needs at least one shot. Facts: offering."""

    code: ClassVar[str] = "shots-required"


class TooManyShots(Refusal):
    """More shots than the offering allows. Facts: requested, limit."""

    code: ClassVar[str] = "too-many-shots"


class SessionsNotOffered(Refusal):
    """Sessions are not sold here. Facts: offering."""

    code: ClassVar[str] = "sessions-not-offered"


class SessionTooLong(Refusal):
    """A session of more seconds than the offering allows. Facts: requested_s, limit_s."""

    code: ClassVar[str] = "session-too-long"


class SessionIdleTooLong(Refusal):
    """A session may be idle for 1 to limit_s seconds before it is closed. Facts: requested_s, limit_s."""

    code: ClassVar[str] = "session-idle-too-long"


class CostCapTooSmall(Refusal):
    """The most that its owner will pay does not cover the least that it costs. Facts, with tax: max_cost_yen,
    needed_yen.
    """

    code: ClassVar[str] = "cost-cap-too-small"


class ExchangeRateWrong(Refusal):
    """A price in another currency that does not come to its yen. Facts: component, currency, amount, exchange_rate,
    price_yen.
    """

    code: ClassVar[str] = "exchange-rate-wrong"


class NoWallet(Refusal):
    """The organisation has no wallet yet. Facts: none."""

    code: ClassVar[str] = "no-wallet"


class BudgetExceeded(Refusal):
    """A limit that the organisation set does not allow it. Facts: of, period, limit_yen, left_yen, needed_yen."""

    code: ClassVar[str] = "budget-exceeded"


class BudgetWrong(Refusal):
    """No limit can be like this. Facts: field."""

    code: ClassVar[str] = "budget-wrong"


class RefundWrong(Refusal):
    """No refund can be like this. Facts: field."""

    code: ClassVar[str] = "refund-wrong"


class RefundListWrong(Refusal):
    """No list of refunds. Facts: problem ('not_csv' | 'columns' | 'too_many_rows')."""

    code: ClassVar[str] = "refund-list-wrong"


class RefundTooLarge(Refusal):
    """More than the job is charged. Facts: amount_yen, charged_yen."""

    code: ClassVar[str] = "refund-too-large"


class PaperNotPossible(Refusal):
    """No paper can be made of it. Facts: problem ('kind' | 'fonts' | 'letters'), what."""

    code: ClassVar[str] = "paper-not-possible"


class NothingSoldOfIt(Refusal):
    """No offering has this resource type and a price for this component. Facts: resource_type, component."""

    code: ClassVar[str] = "nothing-sold-of-it"


class MoreThanDeliverable(Refusal):
    """The machines could not give all that would then be paid for. Facts: amount_yen, left_yen, until."""

    code: ClassVar[str] = "more-than-deliverable"


class InsufficientFunds(Refusal):
    """The wallet does not cover the ceiling. Facts: needed_yen, available_yen (decimal strings)."""

    code: ClassVar[str] = "insufficient-funds"


class AmountNotPositive(Refusal):
    """A grant, payment, credit line or price reference of nothing or less. Facts: amount_yen."""

    code: ClassVar[str] = "amount-not-positive"


class GrantExpired(Refusal):
    """A grant must expire after it is given. Facts: expires_at (ISO 8601)."""

    code: ClassVar[str] = "grant-expired"


class AlreadyBooked(Refusal):
    """The id stands for another decision (on a grant, payment, credit line, refund, limit) already. Facts: id."""

    code: ClassVar[str] = "already-booked"


class WebhookRefused(Refusal):
    """What came as an event of Stripe is none. Facts: problem (signature, age, content)."""

    code: ClassVar[str] = "webhook-refused"


class StripeOff(Refusal):
    """The house takes no payments through Stripe. Facts: none."""

    code: ClassVar[str] = "stripe-off"


class PaymentOverdue(Refusal):
    """An invoice is unpaid beyond the grace: no new work is taken. Facts: number, due_date (ISO 8601), overdue_yen."""

    code: ClassVar[str] = "payment-overdue"


class PaymentDisputed(Refusal):
    """A payment is disputed: no new work is taken until that is settled. Facts: disputed_yen."""

    code: ClassVar[str] = "payment-disputed"


class ReceivableNotFound(Refusal):
    """Nothing is asked for under this number. Facts: number."""

    code: ClassVar[str] = "receivable-not-found"


class MoreThanOpen(Refusal):
    """More than what is still open of an invoice. Facts: number, amount_yen, open_yen."""

    code: ClassVar[str] = "more-than-open"


class TopUpOutOfRange(Refusal):
    """A top-up is a whole number of yen between two limits. Facts: amount_yen, minimum_yen, maximum_yen."""

    code: ClassVar[str] = "top-up-out-of-range"


class TopUpNotFound(Refusal):
    """No top-up has this id. Facts: top_up."""

    code: ClassVar[str] = "top-up-not-found"


class PaymentNotFound(Refusal):
    """No payment has this id. Facts: payment."""

    code: ClassVar[str] = "payment-not-found"


class PaymentRefundTooLarge(Refusal):
    """More than what is left of a payment. Facts: amount_yen, left_yen."""

    code: ClassVar[str] = "payment-refund-too-large"


class PaymentCaseNotFound(Refusal):
    """No case has this id. Facts: case."""

    code: ClassVar[str] = "payment-case-not-found"


class PaymentCaseResolved(Refusal):
    """The case was resolved already. Facts: case, resolution."""

    code: ClassVar[str] = "payment-case-resolved"


class ResolutionUnfit(Refusal):
    """A case of this kind cannot end like this. Facts: kind, resolution."""

    code: ClassVar[str] = "resolution-unfit"


class MoreThanOwed(Refusal):
    """A repayment beyond the debt (pay in the rest as prepaid value). Facts: amount_yen, owed_yen."""

    code: ClassVar[str] = "more-than-owed"


class PriceNotBelowMarket(Refusal):
    """P2: every price lies below the market's. Facts: component, price_yen, market_yen (for the same amount)."""

    code: ClassVar[str] = "price-not-below-market"


class PriceAboveList(Refusal):
    """The price may not exceed the list price, nor be negative. Facts: component, price_yen, list_yen."""

    code: ClassVar[str] = "price-above-list"


class PriceComponentsWrong(Refusal):
    """A version prices exactly the components of its offering's kind. Facts: needed, given (lists of names)."""

    code: ClassVar[str] = "price-components-wrong"


class PriceVersionExists(Refusal):
    """A price never changes in place: this instant has a version already. Facts: offering, valid_from (ISO 8601)."""

    code: ClassVar[str] = "price-version-exists"


class PriceBackdated(Refusal):
    """A version cannot come into force in the past. Facts: valid_from (ISO 8601)."""

    code: ClassVar[str] = "price-backdated"


class MarketReferenceUnknown(Refusal):
    """No reference of the offering's resource type and this component has the id. Facts: reference, component."""

    code: ClassVar[str] = "market-reference-unknown"


class MonthInvalid(Refusal):
    """Not a month in the form YYYY-MM. Facts: month."""

    code: ClassVar[str] = "month-invalid"


class MixedTaxRates(Refusal):
    """The phases of one job would be taxed at different rates. Facts: rates_bp (list)."""

    code: ClassVar[str] = "mixed-tax-rates"


class MarketReferenceWrong(Refusal):
    """A reference that cannot be recorded. Facts: field."""

    code: ClassVar[str] = "market-reference-wrong"


class MarketReferenceExists(Refusal):
    """The id stands for another reference already. Facts: reference."""

    code: ClassVar[str] = "market-reference-exists"


class MarketReferenceTooOld(Refusal):
    """The market was looked at too long ago to support a new price. Facts: reference, observed_on (ISO 8601),
    age_days, limit_days.
    """

    code: ClassVar[str] = "market-reference-too-old"


class PriceVersionsOverlap(Refusal):
    """Two versions would be in force at the same time. Facts: offering, valid_from, other_valid_from (ISO 8601)."""

    code: ClassVar[str] = "price-versions-overlap"


class PriceGap(Refusal):
    """No version would be in force from an instant on. Facts: offering, since (ISO 8601)."""

    code: ClassVar[str] = "price-gap"


class PriceRuleBroken(Refusal):
    """A price that its own rule does not give. Facts: component, price_yen, rule_yen."""

    code: ClassVar[str] = "price-rule-broken"


class CoefficientWrong(Refusal):
    """A slice premium, minimum time or percentage out of its range. Facts: field."""

    code: ClassVar[str] = "coefficient-wrong"


class PromotionWrong(Refusal):
    """A promotion that cannot be. Facts: field."""

    code: ClassVar[str] = "promotion-wrong"


class PromotionExists(Refusal):
    """The id stands for another promotion already. Facts: promotion."""

    code: ClassVar[str] = "promotion-exists"


class PolicyWrong(Refusal):
    """A policy that does not exist, or a value that it cannot have. Facts: policy."""

    code: ClassVar[str] = "policy-wrong"


class PolicyExists(Refusal):
    """A policy never changes in place: this instant has a value already. Facts: policy, effective_at (ISO 8601)."""

    code: ClassVar[str] = "policy-exists"


class UnknownProposal(Refusal):
    """No proposal has this id. Facts: proposal."""

    code: ClassVar[str] = "unknown-proposal"


class ProposalExists(Refusal):
    """The id stands for another proposal already. Facts: proposal."""

    code: ClassVar[str] = "proposal-exists"


class ProposalReasonWrong(Refusal):
    """A proposal and its rejection say why, in 1 to limit characters. Facts: limit."""

    code: ClassVar[str] = "proposal-reason-wrong"


class OwnProposal(Refusal):
    """Who proposed does not decide: a second person does. Facts: proposal."""

    code: ClassVar[str] = "own-proposal"


class ProposalDecided(Refusal):
    """It was decided already. Facts: proposal, decision (approved, rejected)."""

    code: ClassVar[str] = "proposal-decided"


class ProposalExpired(Refusal):
    """Nobody approved it in time. Facts: proposal, expired_at (ISO 8601)."""

    code: ClassVar[str] = "proposal-expired"


class MonthNotOver(Refusal):
    """Only what is over can be closed. Facts: month, ends_at (ISO 8601)."""

    code: ClassVar[str] = "month-not-over"


class MonthInGrace(Refusal):
    """The month still waits for late usage. Facts: month, until (ISO 8601)."""

    code: ClassVar[str] = "month-in-grace"


class EarlierMonthOpen(Refusal):
    """Months are closed in their order. Facts: month, earlier."""

    code: ClassVar[str] = "earlier-month-open"


class IssuerNotSet(Refusal):
    """Nothing is issued before the settings say by whom. Facts: missing (list of names)."""

    code: ClassVar[str] = "issuer-not-set"


class BooksNotCompared(Refusal):
    """Nobody has asked yet whether usage and accounting agree. Facts: month."""

    code: ClassVar[str] = "books-not-compared"


class BooksNotReconciled(Refusal):
    """Usage and accounting differ without an explanation. Facts: month, differences."""

    code: ClassVar[str] = "books-not-reconciled"


class UsageUnsettled(Refusal):
    """Attempts of the month have ended and their charge is not final. Facts: month, attempts."""

    code: ClassVar[str] = "usage-unsettled"


class CloseReasonWrong(Refusal):
    """Who leaves use unsettled says why, in 1 to limit characters. Facts: limit."""

    code: ClassVar[str] = "close-reason-wrong"


class DocumentNotFound(Refusal):
    """No document of the caller's has this id or number. Facts: document."""

    code: ClassVar[str] = "document-not-found"


class SearchRangeWrong(Refusal):
    """A range that ends before it begins. Facts: since, until (as they were given)."""

    code: ClassVar[str] = "search-range-wrong"


class PricingFault(Exception):
    """Base of what must not happen: a bug or a broken fact. Never shown as a refusal; a person must look."""


class LedgerConflict(PricingFault):
    """The same business key came again with another content."""


class UsageTooLarge(PricingFault):
    """Usage that cannot be true: stored, it could never be rated, and its attempt never end."""


class UnbalancedTransaction(PricingFault):
    """A transaction whose entries do not sum to zero: it cannot be constructed."""


class UnknownAttempt(PricingFault):
    """Usage or an end was told for an attempt that was never opened here."""


class HoldClosed(PricingFault):
    """An attempt was opened for a job whose hold has been released."""
