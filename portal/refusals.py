"""Every "no" of the house: its HTTP status, and under its code the two sentences that a person reads.

The sentences are in locale/<language>/refusals.toml: `[code] message = … remedy = …`. A test walks all subclasses of
Refusal and demands a status here and both sentences in both languages. See infra/decisions/0008.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from accounts import errors as accounts
from infra.refusal import Refusal
from metering import errors as metering
from portal import errors as portal
from portal.data import errors as data
from portal.language import Language, catalogue
from portal.present import Facts
from pricing import errors as pricing
from scheduler import errors as scheduler
from scheduler.elastic import errors as elastic
from scheduler.reservations import errors as reserving
from scheduler.simulate import errors as lab

STATUS: Mapping[type[Refusal], HTTPStatus] = {
    # who asks
    portal.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    accounts.InvalidToken: HTTPStatus.UNAUTHORIZED,
    accounts.ScopeMissing: HTTPStatus.FORBIDDEN,
    portal.CustomersOnly: HTTPStatus.FORBIDDEN,
    portal.OriginNotTrusted: HTTPStatus.FORBIDDEN,
    accounts.OwnerRequired: HTTPStatus.FORBIDDEN,
    accounts.ScopeNotHeld: HTTPStatus.FORBIDDEN,
    accounts.TokenForAnother: HTTPStatus.FORBIDDEN,
    accounts.OrganisationSuspended: HTTPStatus.FORBIDDEN,
    accounts.DeclarationMissing: HTTPStatus.FORBIDDEN,
    accounts.DeclarationExpired: HTTPStatus.FORBIDDEN,
    # how it is asked
    portal.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    portal.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    scheduler.IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    scheduler.IdempotencyKeyInvalid: HTTPStatus.BAD_REQUEST,
    scheduler.BadCursor: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadLimit: HTTPStatus.UNPROCESSABLE_ENTITY,
    portal.PageNotFound: HTTPStatus.NOT_FOUND,
    portal.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    accounts.InvalidName: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.InvalidSlug: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.InvalidEmail: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.InvalidCorporateNumber: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.InvalidPeriod: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.InvalidTokenLifetime: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.UnknownScope: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.BadSiteUser: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.BadSiteAccount: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.BadSecretName: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.BadSecretValue: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.TooManySecrets: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.SecretTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    pricing.MonthInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    metering.UnknownPeriod: HTTPStatus.UNPROCESSABLE_ENTITY,
    # what is asked for is not there
    accounts.OrganisationNotFound: HTTPStatus.NOT_FOUND,
    accounts.PersonNotFound: HTTPStatus.NOT_FOUND,
    accounts.ProjectNotFound: HTTPStatus.NOT_FOUND,
    accounts.TokenNotFound: HTTPStatus.NOT_FOUND,
    accounts.SiteUserNotFound: HTTPStatus.NOT_FOUND,
    accounts.SecretNotFound: HTTPStatus.NOT_FOUND,
    accounts.NotAMember: HTTPStatus.NOT_FOUND,
    scheduler.JobNotFound: HTTPStatus.NOT_FOUND,
    scheduler.ArrayNotFound: HTTPStatus.NOT_FOUND,
    scheduler.DeviceNotFound: HTTPStatus.NOT_FOUND,
    scheduler.CalibrationNotFound: HTTPStatus.NOT_FOUND,
    portal.NoResult: HTTPStatus.NOT_FOUND,
    portal.NoSuchAttempt: HTTPStatus.NOT_FOUND,
    portal.LogsGone: HTTPStatus.GONE,
    # it contradicts what is there
    accounts.OrganisationExists: HTTPStatus.CONFLICT,
    accounts.PersonExists: HTTPStatus.CONFLICT,
    accounts.ProjectExists: HTTPStatus.CONFLICT,
    accounts.AlreadyMember: HTTPStatus.CONFLICT,
    accounts.SiteUserTaken: HTTPStatus.CONFLICT,
    accounts.SiteUserExists: HTTPStatus.CONFLICT,
    accounts.SiteAccountTaken: HTTPStatus.CONFLICT,
    accounts.LastOwner: HTTPStatus.CONFLICT,
    scheduler.IdempotencyKeyReused: HTTPStatus.CONFLICT,
    pricing.AlreadyBooked: HTTPStatus.CONFLICT,
    scheduler.ShareExists: HTTPStatus.CONFLICT,
    scheduler.ExchangeRateExists: HTTPStatus.CONFLICT,
    pricing.OfferingExists: HTTPStatus.CONFLICT,
    pricing.PriceVersionExists: HTTPStatus.CONFLICT,
    pricing.PriceVersionsOverlap: HTTPStatus.CONFLICT,
    pricing.PriceGap: HTTPStatus.CONFLICT,
    pricing.MarketReferenceExists: HTTPStatus.CONFLICT,
    pricing.PromotionExists: HTTPStatus.CONFLICT,
    pricing.PolicyExists: HTTPStatus.CONFLICT,
    # what is wanted cannot be had
    scheduler.MissingScript: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ScriptTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    scheduler.ScriptNotText: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.MissingShebang: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NegativeWalltime: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NegativeGpus: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NegativeShots: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.CostCapNotPositive: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ProgramNotRead: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ShotsDiffer: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadSession: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.SessionNotFound: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.SessionOver: HTTPStatus.CONFLICT,
    scheduler.DeviceLimit: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.RefusedByDevice: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.AttemptsOutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TooManyArguments: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadArgument: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.WordsTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TooManyVariables: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadVariable: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.KindMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.GpusNotOffered: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ArgumentsNotOffered: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.OptionNotForCircuits: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadOption: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.OptionOutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UnevenNodes: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.MoreThanGpusBring: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UnknownSignal: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NotAtThisSite: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UnsupportedFeature: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadPlacement: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NoPlaceFits: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NotDomestic: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.InteractiveTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ReservedWithoutReservation: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TimeoutsOutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BeginTooLate: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.DependencyNotFound: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TooManyDependencies: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TooManyPhases: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadPhase: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MixedTaxRates: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ArrayEmpty: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ArrayTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BadArrayIndex: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    scheduler.OverQuota: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.SiteUserMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    accounts.SecretUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.UnknownOffering: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.OfferingRetired: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.NoPrice: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.GpusRequired: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.TooManyGpus: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.WalltimeRequired: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.WalltimeTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.ShotsRequired: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.TooManyShots: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.SessionsNotOffered: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.SessionTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.SessionIdleTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.CostCapTooSmall: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.NoWallet: HTTPStatus.PAYMENT_REQUIRED,
    pricing.InsufficientFunds: HTTPStatus.PAYMENT_REQUIRED,
    pricing.BudgetExceeded: HTTPStatus.PAYMENT_REQUIRED,
    pricing.BudgetWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MoreThanDeliverable: HTTPStatus.CONFLICT,
    pricing.NothingSoldOfIt: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PaperNotPossible: HTTPStatus.CONFLICT,
    pricing.RefundWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.RefundListWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.RefundTooLarge: HTTPStatus.CONFLICT,
    # prices and money that an operator enters
    pricing.AmountNotPositive: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.GrantExpired: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PriceNotBelowMarket: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PriceAboveList: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.ExchangeRateWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PriceComponentsWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PriceBackdated: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MarketReferenceUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MarketReferenceWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MarketReferenceTooOld: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PriceRuleBroken: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.CoefficientWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PromotionWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PolicyWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.MoreThanOwed: HTTPStatus.UNPROCESSABLE_ENTITY,
    # two persons
    pricing.UnknownProposal: HTTPStatus.NOT_FOUND,
    pricing.ProposalExists: HTTPStatus.CONFLICT,
    pricing.ProposalReasonWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.OwnProposal: HTTPStatus.FORBIDDEN,
    pricing.ProposalDecided: HTTPStatus.CONFLICT,
    pricing.ProposalExpired: HTTPStatus.CONFLICT,
    pricing.MonthNotOver: HTTPStatus.CONFLICT,
    pricing.MonthInGrace: HTTPStatus.CONFLICT,
    pricing.EarlierMonthOpen: HTTPStatus.CONFLICT,
    pricing.IssuerNotSet: HTTPStatus.CONFLICT,
    pricing.BooksNotCompared: HTTPStatus.CONFLICT,
    pricing.BooksNotReconciled: HTTPStatus.CONFLICT,
    pricing.UsageUnsettled: HTTPStatus.CONFLICT,
    pricing.CloseReasonWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.DocumentNotFound: HTTPStatus.NOT_FOUND,
    pricing.SearchRangeWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    # shares and exchange rates
    # payments
    pricing.WebhookRefused: HTTPStatus.BAD_REQUEST,
    pricing.StripeOff: HTTPStatus.NOT_FOUND,
    pricing.PaymentOverdue: HTTPStatus.PAYMENT_REQUIRED,
    pricing.PaymentDisputed: HTTPStatus.PAYMENT_REQUIRED,
    pricing.ReceivableNotFound: HTTPStatus.NOT_FOUND,
    pricing.MoreThanOpen: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.TopUpOutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.TopUpNotFound: HTTPStatus.NOT_FOUND,
    pricing.PaymentNotFound: HTTPStatus.NOT_FOUND,
    pricing.PaymentRefundTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    pricing.PaymentCaseNotFound: HTTPStatus.NOT_FOUND,
    pricing.PaymentCaseResolved: HTTPStatus.CONFLICT,
    pricing.ResolutionUnfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.InvalidShare: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.InvalidExchangeRate: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.InvalidResourceType: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UnknownShareField: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.BackendHasNoWeight: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.OnlyOrganisationsLend: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ReservedShareOfMachine: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UnknownBackend: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.UserWithoutProject: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.NotRetroactive: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.TooFarAhead: HTTPStatus.UNPROCESSABLE_ENTITY,
    scheduler.ReasonMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    # reservations
    reserving.BadReservation: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.ReservationInPast: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.NoReservableUnits: HTTPStatus.CONFLICT,
    reserving.ReservationQuotaExceeded: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.ReservationNotFound: HTTPStatus.NOT_FOUND,
    reserving.ReservationDeadlinePassed: HTTPStatus.CONFLICT,
    reserving.ReservationEnded: HTTPStatus.CONFLICT,
    reserving.ReservationUnfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.WalltimeBeyondReservation: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.ReservationsNotSold: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.InvalidReservable: HTTPStatus.UNPROCESSABLE_ENTITY,
    reserving.ReservationQuotaExists: HTTPStatus.CONFLICT,
    reserving.ClosureNotFound: HTTPStatus.NOT_FOUND,
    # elastic capacity
    elastic.InvalidElasticRule: HTTPStatus.UNPROCESSABLE_ENTITY,
    elastic.ElasticRuleExists: HTTPStatus.CONFLICT,
    elastic.DisruptionNotFound: HTTPStatus.NOT_FOUND,
    # the policy lab
    lab.TraceUnreadable: HTTPStatus.UNPROCESSABLE_ENTITY,
    lab.TraceRowRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    lab.ExperimentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    # files
    data.InvalidKey: HTTPStatus.UNPROCESSABLE_ENTITY,
    data.KeyReserved: HTTPStatus.FORBIDDEN,
    data.ObjectNotFound: HTTPStatus.NOT_FOUND,
    data.ObjectTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    data.PartsWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    data.QuotaExceeded: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    data.TooManyObjects: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    data.TooManyUploads: HTTPStatus.TOO_MANY_REQUESTS,
    data.UploadNotFound: HTTPStatus.NOT_FOUND,
    data.UploadIncomplete: HTTPStatus.CONFLICT,
    data.ChecksumWrong: HTTPStatus.UNPROCESSABLE_ENTITY,
    data.TransferRefused: HTTPStatus.FORBIDDEN,
    data.TransferExpired: HTTPStatus.FORBIDDEN,
    data.RangeWrong: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    data.DataNotOffered: HTTPStatus.NOT_FOUND,
    data.StoreAway: HTTPStatus.SERVICE_UNAVAILABLE,
    # for a moment
    portal.SecretsOff: HTTPStatus.NOT_IMPLEMENTED,
    portal.BackendAway: HTTPStatus.SERVICE_UNAVAILABLE,
    portal.DatabaseAway: HTTPStatus.SERVICE_UNAVAILABLE,
    portal.TooManyStreams: HTTPStatus.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A refusal in words: what is wrong, and what one can do about it."""

    status: HTTPStatus
    code: str
    message: str
    remedy: str


def say(refusal: Refusal, language: Language) -> Said:
    """A refusal for a person who reads this language."""
    texts = catalogue(language)
    facts = Facts(refusal.facts, texts)
    message = texts.texts[f"refusal.{refusal.code}.message"].format_map(facts)
    if refusal.facts.get("phase") and not isinstance(refusal, scheduler.BadPhase):
        message = texts.text("of_phase.message", phase=facts["phase"], message=message)
    return Said(
        status=STATUS[type(refusal)],
        code=refusal.code,
        message=message,
        remedy=texts.texts[f"refusal.{refusal.code}.remedy"].format_map(facts),
    )
