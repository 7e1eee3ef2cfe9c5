"""The price book: what the market asks, prices that two persons publish, and their public history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, AwareDatetime, Field

from accounts.model import CustomerClass
from infra.db.connection import Role, transaction
from portal.api.evidence import EvidenceIn, EvidenceOut, evidence_out
from portal.api.offerings import percent_text
from portal.api.proposals import ProposalOut, proposal_out
from portal.api.terms import ForeignPriceOut, foreign_out
from portal.api.wire import INT4_MAX, DryRun, In, Items, Out, Word, Yen, YenIn, number_text
from portal.auth.caller import Operator
from portal.auth.idempotency import IdempotencyKey
from portal.deps import deps_of
from pricing import service as pricing
from pricing.days import day_of
from pricing.model import Component, ForeignPrice, NewPrice, ServiceClass
from pricing.pricebook import NewVersion, Published, Rule
from pricing.reference import MarketReference, ReferenceAge
from pricing.units import micro, yen_text

router = APIRouter(tags=["prices"])
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)
_BP = 100

Instant = Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)]
Day = Annotated[date, Field(ge=_FIRST_DAY, le=_LAST_DAY)]


def _decimal(text: str) -> str:
    """At most six decimal places and twelve before them."""
    if not (text.isascii() and text.replace(".", "", 1).isdecimal() and Decimal(text) < 10**12):
        raise ValueError("not a number")
    micro(text)
    return text


def _percent(text: str) -> str:
    if Decimal(_decimal(text)) > 1000 or Decimal(text) * _BP % 1:  # noqa: PLR2004
        raise ValueError("not a percentage with at most two decimal places")
    return text


Number = Annotated[str, AfterValidator(_decimal), Field(max_length=30, examples=["3600"])]
Percent = Annotated[str, AfterValidator(_percent), Field(max_length=10, examples=["60", "8.25"])]
Reason = Annotated[Word, Field(max_length=500, description="Why; kept with the proposal and shown.")]


class ForeignIn(In):
    """An amount in another currency, and the rate by which its yen are computed once, rounded down."""

    currency: Annotated[Word, Field(examples=["USD"])]
    amount: Number
    exchange_rate: Annotated[Number, Field(description="Yen for one unit.", examples=["151.25"])]
    source: Annotated[Word, Field(min_length=1, max_length=200, description="Who published the rate.")]
    on: Day

    def value(self) -> ForeignPrice:
        return ForeignPrice(
            currency=self.currency,
            amount=Decimal(self.amount),
            exchange_rate=Decimal(self.exchange_rate),
            source=self.source,
            on=self.on,
        )


class NewMarketReference(In):
    """What the market asks for `per` units of a comparable machine, without tax: `amount_yen`, or `foreign`."""

    resource_type: Annotated[Word, Field(examples=["gpu:h200"])]
    component: Component
    per: Number
    amount_yen: YenIn | None = None
    foreign: ForeignIn | None = None
    source: Annotated[Word, Field(max_length=500, description="Who publishes the price, for which machine.")]
    observed_on: Day
    terms: Annotated[Word, Field(description="On demand or committed, region, what is included.")]
    evidence: EvidenceIn


class MarketReferenceOut(Out):
    """`age_days`: today. A price cannot be published by one that is older than `block_after_days`."""

    id: UUID
    resource_type: str
    component: str
    per: str
    amount_yen: Yen
    foreign: ForeignPriceOut | None
    source: str
    observed_on: date
    terms: str
    evidence: EvidenceOut | None
    age_days: int
    warn_after_days: int
    block_after_days: int


class ListPrice(In):
    """The list price of `per` units of a component without tax, and the market reference below which it lies."""

    component: Component
    per: Number
    list_yen: YenIn
    market_reference: UUID


class ClassPrice(In):
    """A price for one class of customers: by its percentages of the list price, or in yen for each component.

    `foreign`: by component, of a price that was agreed in another currency.
    """

    customer_class: CustomerClass
    service_class: ServiceClass = ServiceClass.STANDARD
    customer_class_percent: Percent | None = None
    service_class_percent: Percent = "100"
    price_yen: dict[Component, YenIn] = Field(default_factory=dict)
    foreign: dict[Component, ForeignIn] = Field(default_factory=dict)


class NewPrices(In):
    """Prices of one offering. `valid_from` left out: from the approval on. `valid_until`: where another one follows.

    Who takes fewer GPUs than `slice_below_gpus` pays `slice_premium_percent` more; less time than `minimum_s` is
    charged as that.
    """

    offering: Annotated[Word, Field(examples=["gpu-h200"])]
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    tax_rate_percent: Percent = "10"
    slice_below_gpus: Annotated[int, Field(ge=0, le=INT4_MAX)] = 0
    slice_premium_percent: Percent = "0"
    minimum_s: Annotated[int, Field(ge=0, le=INT4_MAX)] = 0
    list_prices: Annotated[list[ListPrice], Field(min_length=1, max_length=20)]
    prices: Annotated[list[ClassPrice], Field(min_length=1, max_length=50)]
    reason: Reason


class PublishedPriceOut(Out):
    """One component's price in one version, without tax. `valid_until` null: until another one is published."""

    offering: str
    customer_class: str
    service_class: str
    component: str
    per: str
    price_yen: Yen
    list_yen: Yen
    market_yen: Yen
    market_source: str
    market_observed_on: date
    market_evidence_sha256: str | None
    foreign: ForeignPriceOut | None
    tax_rate_percent: str
    slice_below_gpus: int
    slice_premium_percent: str
    minimum_s: int
    valid_from: datetime
    valid_until: datetime | None
    price_version_id: UUID


@router.get("/prices/history")
async def get_price_history(
    request: Request,
    offering: Annotated[str | None, Query(max_length=100, description="Only of this one.")] = None,
) -> Items[PublishedPriceOut]:
    """Every price that was ever published, beside list price and market reference. Nobody needs to sign in for it."""
    deps = deps_of(request)
    async with transaction(deps.pool, role=Role.TENANT) as conn:  # of no organisation: sees what everybody may
        found = await pricing.published_prices(conn, offering_id=offering)
    return Items(items=[row for each in found for row in _history_out(each)])


@router.get("/market-references", tags=["operator"])
async def list_market_references(caller: Operator) -> Items[MarketReferenceOut]:
    """The latest 200 looks at the market, the newest first."""
    async with caller.transaction() as conn:
        found = await pricing.market_references(conn)
        limits = await pricing.reference_age(conn, now=caller.now)
    return Items(items=[_reference_out(each, limits, day_of(caller.now)) for each in found])


@router.post("/market-references", status_code=HTTPStatus.CREATED, tags=["operator"])
async def record_market_reference(
    caller: Operator,
    new: NewMarketReference,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> MarketReferenceOut:
    """Records what the market asks. It never changes: who looks again records another one."""
    reference = _reference(new, uuid5(caller.principal.person_id, f"market-reference:{key}"))
    async with caller.transaction(dry_run=dry_run) as conn:
        await pricing.record_market_reference(conn, reference, now=caller.now, actor=caller.principal.person_id)
        limits = await pricing.reference_age(conn, now=caller.now)
    return _reference_out(reference, limits, day_of(caller.now))


@router.post("/prices/proposals", status_code=HTTPStatus.CREATED, tags=["operator"])
async def propose_prices(
    caller: Operator,
    new: NewPrices,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """Prices that are published when another operator approves. Each must lie below its market reference."""
    proposal_id = uuid5(caller.principal.person_id, f"prices:{key}")
    versions = [_version(new, each, proposal_id) for each in new.prices]
    async with caller.transaction(dry_run=dry_run) as conn:
        made = await pricing.propose_prices(
            conn,
            versions,
            proposal_id=proposal_id,
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return proposal_out(made, caller.now, dry_run=dry_run)


def _version(new: NewPrices, each: ClassPrice, proposal_id: UUID) -> NewVersion:
    rule = None
    if each.customer_class_percent is not None:
        rule = Rule(_bp(each.customer_class_percent), _bp(each.service_class_percent))
    return NewVersion(
        id=uuid5(proposal_id, f"{each.customer_class}:{each.service_class}"),
        offering_id=new.offering,
        customer_class=each.customer_class,
        service_class=each.service_class,
        valid_from=new.valid_from,
        valid_until=new.valid_until,
        tax_rate_bp=_bp(new.tax_rate_percent),
        prices=tuple(_prices(new.list_prices, each, rule)),
        rule=rule,
        slice_below_gpus=new.slice_below_gpus,
        slice_premium_bp=_bp(new.slice_premium_percent),
        minimum_s=new.minimum_s,
    )


def _prices(listed: Sequence[ListPrice], each: ClassPrice, rule: Rule | None) -> list[NewPrice]:
    """Of every component for which one is told; which there must be, publication says."""
    found = []
    for one in listed:
        list_price = micro(one.list_yen)
        given = each.foreign.get(one.component)
        foreign = None if given is None else given.value()
        entered = each.price_yen.get(one.component)
        if foreign is not None:
            price = foreign.price_micro_yen
        elif entered is not None:
            price = micro(entered)
        elif rule is not None:
            price = rule.price_of(list_price)
        else:
            continue
        found.append(
            NewPrice(
                component=one.component,
                per=Decimal(one.per),
                price_micro_yen=price,
                list_micro_yen=list_price,
                market_reference_id=one.market_reference,
                foreign=foreign,
            )
        )
    return found


def _reference(new: NewMarketReference, reference_id: UUID) -> MarketReference:
    foreign = None if new.foreign is None else new.foreign.value()
    amount = 0 if foreign is None else foreign.price_micro_yen
    return MarketReference(
        id=reference_id,
        resource_type=new.resource_type,
        component=new.component,
        source=new.source,
        observed_on=new.observed_on,
        amount_micro_yen=amount if new.amount_yen is None else micro(new.amount_yen),
        per=Decimal(new.per),
        terms=new.terms,
        foreign=foreign,
        evidence=new.evidence.value(),
    )


def _reference_out(each: MarketReference, limits: ReferenceAge, today: date) -> MarketReferenceOut:
    return MarketReferenceOut(
        id=each.id,
        resource_type=each.resource_type,
        component=each.component.value,
        per=number_text(each.per),
        amount_yen=yen_text(each.amount_micro_yen),
        foreign=foreign_out(each.foreign),
        source=each.source,
        observed_on=each.observed_on,
        terms=each.terms,
        evidence=evidence_out(each.evidence),
        age_days=(today - each.observed_on).days,
        warn_after_days=limits.warn_after_days,
        block_after_days=limits.block_after_days,
    )


def _history_out(found: Published) -> list[PublishedPriceOut]:
    version = found.version
    rows = []
    for each in version.components:
        reference = found.references[each.market_reference_id]
        rows.append(
            PublishedPriceOut(
                offering=version.offering_id,
                customer_class=version.customer_class.value,
                service_class=version.service_class.value,
                component=each.component.value,
                per=number_text(each.per),
                price_yen=yen_text(each.price_micro_yen),
                list_yen=yen_text(each.list_micro_yen),
                market_yen=yen_text(each.market_micro_yen),
                market_source=reference.source,
                market_observed_on=reference.observed_on,
                market_evidence_sha256=reference.evidence.sha256.hex() if reference.evidence else None,
                foreign=foreign_out(each.foreign),
                tax_rate_percent=percent_text(version.tax_rate_bp),
                slice_below_gpus=version.slice_below_gpus,
                slice_premium_percent=percent_text(version.slice_premium_bp),
                minimum_s=version.minimum_s,
                valid_from=version.valid_from,
                valid_until=found.valid_until,
                price_version_id=version.id,
            )
        )
    return rows


def _bp(percent: str) -> int:
    return int(Decimal(percent) * _BP)
