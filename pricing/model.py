"""The values that pricing speaks in. Money is integer micro-yen without tax unless the name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from accounts.model import CustomerClass
from pricing.units import in_micro_yen, with_tax


class OfferingKind(StrEnum):
    """What is bought."""

    GPU = "gpu"
    """Batch and training jobs on GPUs; CPUs and memory come in proportion and are part of the price."""
    QUANTUM = "quantum"
    """Circuits on a QPU or its simulator."""


class ServiceClass(StrEnum):
    """How urgently, and whether it may be preempted: the more urgent first (scheduler.core.classes)."""

    RESERVED = "reserved"
    """Inside an advance reservation of its organisation."""
    INTERACTIVE = "interactive"
    """Somebody sits before it: short, and before the other work of its organisation."""
    STANDARD = "standard"
    SPOT = "spot"
    """Cheaper, and leaves when others need its units."""


class Component(StrEnum):
    """What has a price."""

    GPU_S = "gpu_s"
    """GPU-seconds: units × seconds. Grows with time: cut at midnight in proportion."""
    QPU_S = "qpu_s"
    """Seconds of a QPU by its service-time model. A count: belongs to the day on which the attempt ended."""
    SHOT = "shot"
    """Runs of a circuit. A count."""
    SESSION_S = "session_s"
    """Seconds that a session on a quantum device was open, idle ones included. A count."""
    SIM_S = "sim_s"
    """CPUs or GPUs of a simulator × seconds. A count."""


WHOLE_BP = 10_000
"""All of something, in 1/100 of a percent."""

UNPRICED = frozenset({"cpu_s"})
"""Components that are recorded and deliberately have no price: CPUs are part of a GPU's price."""


class Ending(StrEnum):
    """How an attempt ended, as far as money cares."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The user's program failed, or ran out of walltime or memory: charged for what ran."""
    CANCELLED = "cancelled"
    """The user cancelled: charged until the backend confirmed the end."""
    PREEMPTED = "preempted"
    """We took the resources back: not charged."""
    LOST = "lost"
    """Node failure, vanished job, our fault: not charged."""
    NEVER_RAN = "never_ran"
    """Ended before the backend started it: nothing to charge."""

    @property
    def is_charged(self) -> bool:
        """Whether the customer pays for what ran."""
        return self in {Ending.SUCCEEDED, Ending.FAILED, Ending.CANCELLED}


class Cause(StrEnum):
    """Why an attempt ended: what decides, by the refund matrix, how much of it is charged (pricing.refunds)."""

    SUCCEEDED = "succeeded"
    USER_ERROR = "user_error"
    """The program said that it failed."""
    OUT_OF_MEMORY = "out_of_memory"
    WALLTIME = "walltime"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    VENDOR_ERROR = "vendor_error"
    """The backend lost it, or no longer tells of it."""
    OUR_FAULT = "our_fault"
    MAINTENANCE_OVERRUN = "maintenance_overrun"
    """Work on the machine took longer than announced."""
    NEVER_RAN = "never_ran"


class Waiver(StrEnum):
    """Why a line is charged less than its price."""

    PREEMPTED = "preempted"
    LOST = "lost"
    NEVER_RAN = "never_ran"
    BEYOND_CEILING = "beyond_ceiling"
    """It ran beyond the quoted ceiling: the house pays (account `overrun`)."""
    LATE_CORRECTION = "late_correction"
    """The accounting grew after the job's rest was released: the house pays."""
    BY_CAUSE = "by_cause"
    """The refund matrix charges only a part of what ends so."""
    REFUNDED = "refunded"
    """It was given back, by a decision that names its reason."""


class LotKind(StrEnum):
    """Where value came from, in the order of consumption."""

    GRANT = "grant"
    """Free value from the subsidy: a discount, covers amounts without tax; expires."""
    PREPAID = "prepaid"
    """Paid in: covers amounts with tax; lapses as it was sold."""
    CREDIT = "credit"
    """Credit line: covers amounts with tax, is owed when used."""


class GrantPurpose(StrEnum):
    """What a grant is for."""

    SUBSIDY = "subsidy"
    """From the programme's money: a discount that the agency is told of."""
    PROMOTION = "promotion"
    """Ours: a campaign, an apology."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """What can be bought: a backend's resource with its limits."""

    id: str
    backend: str
    kind: OfferingKind
    resource_type: str
    title_ja: str
    title_en: str
    max_walltime_s: int
    max_gpus: int = 0
    cpus_per_gpu: int = 0
    memory_mb_per_gpu: int = 0
    max_shots: int = 0
    qpu_base_us: int = 0
    qpu_per_kshot_us: int = 0
    max_session_s: int = 0
    """0: no sessions are sold."""
    max_session_idle_s: int = 0
    sim_units: int = 0
    """CPUs or GPUs that a circuit holds on a simulator whose seconds are charged; 0: they are not."""
    hardware: Mapping[str, object]
    """What helps or hinders development on it (P8): memory, interconnect, storage."""
    software: tuple[str, ...] = ()
    """What is installed on it, by name and version."""
    provider: str = ""
    """Whose machine it is; empty: the house's own."""
    site: str = ""
    """Where it stands."""
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPrice:
    """A price that was agreed in another currency, and the exchange rate by which its yen were computed, once."""

    currency: str
    """ISO 4217, such as 'USD'."""
    amount: Decimal
    """For the component's `per`, with at most six decimal places."""
    exchange_rate: Decimal
    """Yen for one unit of the currency, with at most eight decimal places."""
    source: str
    """Who published the rate."""
    on: date
    """The rate's day."""

    @property
    def price_micro_yen(self) -> int:
        """Rounded down to a micro-yen."""
        return in_micro_yen(self.amount, self.exchange_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceComponent:
    """Price, list price and market price of `per` units of one component, all without tax."""

    component: Component
    per: Decimal
    price_micro_yen: int
    list_micro_yen: int
    market_micro_yen: int
    market_reference_id: UUID
    foreign: ForeignPrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """A published price: never edited, in force from `valid_from` until a later one is."""

    id: UUID
    offering_id: str
    customer_class: CustomerClass
    service_class: ServiceClass
    valid_from: datetime
    tax_rate_bp: int
    components: tuple[PriceComponent, ...]
    market_sources: Mapping[UUID, str]
    """market reference → its source, for showing."""
    valid_until: datetime | None = None
    """Where its end was said when it was published: the next one begins there."""
    rule: Mapping[str, object] = field(default_factory=dict)
    """How the price was made of the list price, as JSON (pricing.pricebook); empty: entered as it is."""
    slice_below_gpus: int = 0
    """Who takes fewer GPUs than this pays `slice_premium_bp` more: the rest of the machine is hard to sell."""
    slice_premium_bp: int = 0
    """In 1/100 of a percent of list price and price."""
    minimum_s: int = 0
    """Less time than this is charged as this."""

    def component(self, name: str) -> PriceComponent | None:
        """The price of a component, or None when this version has none for it."""
        return next((each for each in self.components if each.component == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """One component of a version to be published; its market price comes from the reference.

    foreign: the price in another currency of which price_micro_yen is the value in yen (see `converted`).
    """

    component: Component
    per: Decimal
    price_micro_yen: int
    list_micro_yen: int
    market_reference_id: UUID
    foreign: ForeignPrice | None = None

    @classmethod
    def converted(
        cls,
        foreign: ForeignPrice,
        *,
        component: Component,
        per: Decimal,
        list_micro_yen: int,
        market_reference_id: UUID,
    ) -> NewPrice:
        """A price that was agreed in another currency. ValueError: more decimal places than can be kept."""
        return cls(
            component=component,
            per=per,
            price_micro_yen=foreign.price_micro_yen,
            list_micro_yen=list_micro_yen,
            market_reference_id=market_reference_id,
            foreign=foreign,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedPrice:
    """A price in another currency by which something was rated, with the yen that it became."""

    offering_id: str
    component: Component
    per: Decimal
    price_micro_yen: int
    foreign: ForeignPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingWithPrices:
    """An offering and the versions now in force for one class of customers, one per service class."""

    offering: Offering
    prices: tuple[PriceVersion, ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """An offering and the version in force for a customer. version None: it has no price for them."""

    offering: Offering
    version: PriceVersion | None


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """QPU time that a program is expected to need. source: how that is known. low_us ≤ high_us."""

    low_us: int
    high_us: int
    source: str
    """'durations' (of its gates on the device), 'model' (of the device); 'offering' (the model that is sold)."""
    calibration_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSize:
    """The most that a job may use."""

    walltime_s: int
    gpus: int = 0
    shots: int = 0
    circuits: int = 1
    runs: int = 1
    """So often its walltime may be used and charged: once, and once more for each time-out that is continued."""
    session_idle_s: int | None = None
    """Of a session, which is held for its walltime at most; None: a job that runs something."""
    service: ServiceTime | None = None
    """Of a circuit; None: as the offering's own model says."""
    max_cost_micro_yen: int | None = None
    """The most that its owner will pay, with tax, for all `jobs` together; None: what it may need."""
    jobs: int = 1
    """So many of this size are asked for at once: the tasks of an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteLine:
    """The most that a component can cost."""

    component: Component
    quantity: Decimal
    amount_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotePhase:
    """The part of a quote that is for one phase of a hybrid job, at the price version of the phase's offering."""

    phase: str
    offering_id: str
    price_version_id: UUID
    ceiling_micro_yen: int
    expected_micro_yen: int
    lines: tuple[QuoteLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteCandidate:
    """What a job costs on one of the offerings on which it may run, at the price version that is frozen for that."""

    offering_id: str
    price_version_id: UUID
    ceiling_micro_yen: int
    expected_micro_yen: int
    lines: tuple[QuoteLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What is promised at submission: the job is never charged more than its ceiling, at this price version."""

    id: UUID
    job_id: UUID
    organisation_id: UUID
    offering_id: str
    price_version_id: UUID
    ceiling_micro_yen: int
    expected_micro_yen: int
    tax_rate_bp: int
    lines: tuple[QuoteLine, ...]
    quoted_at: datetime
    phases: tuple[QuotePhase, ...] = ()
    """Of a hybrid job: its ceiling is the sum of theirs, its lines the sums of theirs by component."""
    low_micro_yen: int | None = None
    """What it costs at least if it runs to its end; None: as is expected."""
    basis: Mapping[str, object] = field(default_factory=dict)
    """What the amounts rest on, as JSON: of a circuit source, low_us, expected_us, high_us, cap_us, calibration_id."""
    candidates: tuple[QuoteCandidate, ...] = ()
    """Of a job that may run on one of several offerings, the cheapest first: its ceiling is that of the dearest."""

    @property
    def price_versions(self) -> Mapping[str, UUID]:
        """The price version that it freezes for each offering."""
        return {
            self.offering_id: self.price_version_id,
            **{each.offering_id: each.price_version_id for each in self.phases},
            **{each.offering_id: each.price_version_id for each in self.candidates},
        }

    @property
    def ceiling_with_tax_micro_yen(self) -> int:
        """The ceiling as it is if no grant covers it."""
        return with_tax(self.ceiling_micro_yen, self.tax_rate_bp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether a wallet covers a quote now; needed and available in what would be held (grants net, the rest gross)."""

    needed_micro_yen: int
    available_micro_yen: int

    @property
    def admissible(self) -> bool:
        """Whether a hold would be accepted."""
        return self.needed_micro_yen <= self.available_micro_yen


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageToRate:
    """One usage record as metering hands it over. `supersedes` names the record that it corrects."""

    usage_record_id: UUID
    supersedes: UUID | None = None
    component: str
    quantity: Decimal
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BillableAttempt:
    """Pricing's view of an attempt."""

    attempt_id: UUID
    job_id: UUID
    organisation_id: UUID
    project_id: UUID
    person_id: UUID
    offering_id: str
    opened_at: datetime
    phase: str = "main"
    """Of a hybrid job; 'main' for all others."""
    ending: Ending | None = None
    closed_at: datetime | None = None
    last: bool | None = None
    accounting_final_at: datetime | None = None
    settled_at: datetime | None = None
    cause: Cause | None = None
    charged_bp: int | None = None
    """What the refund matrix charged when it ended, in 1/100 of a percent; None: as its ending always did."""

    @property
    def share_bp(self) -> int:
        """What of it is charged, in 1/100 of a percent; of one that has not ended nothing is known: 0."""
        if self.charged_bp is not None:
            return self.charged_bp
        return WHOLE_BP if self.ending is not None and self.ending.is_charged else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of handed-over usage: records kept aside for want of a price, and whether the attempt is settled."""

    parked: Sequence[UUID]
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMoney:
    """A job's money so far: ceiling and charge without tax; held as it lies in the wallet."""

    ceiling_micro_yen: int
    expected_micro_yen: int
    held_micro_yen: int
    charged_micro_yen: int
    settled: bool
    """Nothing more will be charged: the hold is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMoney:
    """One attempt of a job: how it ended for money, and what of it was rated so far. charged: without tax."""

    ending: Ending | None
    settled: bool
    charged_micro_yen: int
    usage: Mapping[str, Decimal]
    """By priced component."""
