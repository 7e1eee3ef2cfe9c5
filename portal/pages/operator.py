"""An operator's first pages: the queue with its reasons, the machines, and the prices beside the market's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from accounts import service as accounts
from accounts.model import CustomerClass
from portal.api.operations import look_at_backends
from portal.pages.visitor import OperatorVisitor
from pricing import service as pricing
from pricing.model import Offering, PriceComponent, PriceVersion
from scheduler import service as scheduler

router = APIRouter(prefix="/{language}/operator")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """One price for one class of customers."""

    customer_class: CustomerClass
    version: PriceVersion
    component: PriceComponent

    @property
    def below_market(self) -> float:
        """How far it lies below the market's price, as a share of that."""
        return 1 - self.component.price_micro_yen / self.component.market_micro_yen

    @property
    def source(self) -> str:
        """Who published the market's price."""
        return self.version.market_sources.get(self.component.market_reference_id, "")


@router.get("/queue")
async def show_queue(visitor: OperatorVisitor) -> HTMLResponse:
    """Everything that waits or runs, and how the fair share stands."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        view = await scheduler.queue_view(conn, now=caller.now)
        names = {each.id: each.name for each in await accounts.list_organisations(conn)}
    by_backend = sorted(view.entries, key=lambda entry: entry.backend)
    return visitor.show(
        "queue.html",
        groups=[(name, list(entries)) for name, entries in groupby(by_backend, key=lambda entry: entry.backend)],
        standings=sorted(view.standings, key=lambda each: -(each.used_nu + each.holding_nu)),
        names=names,
        backends=await look_at_backends(caller.deps),
        now=caller.now,
    )


@router.get("/prices")
async def show_prices(visitor: OperatorVisitor) -> HTMLResponse:
    """Every offering with its prices for each class, beside list price and market reference."""
    caller = visitor.caller
    offerings: dict[str, Offering] = {}
    rows: dict[str, list[PriceRow]] = {}
    async with caller.transaction() as conn:
        for customer_class in CustomerClass:
            for found in await pricing.offerings(conn, customer_class=customer_class, now=caller.now):
                offerings[found.offering.id] = found.offering
                rows.setdefault(found.offering.id, []).extend(_rows(customer_class, found.prices))
    shown: Mapping[str, list[PriceRow]] = {
        name: sorted(each, key=lambda row: (row.component.component, row.version.service_class, row.customer_class))
        for name, each in rows.items()
    }
    return visitor.show("prices.html", offerings=list(offerings.values()), rows=shown)


def _rows(customer_class: CustomerClass, versions: tuple[PriceVersion, ...]) -> list[PriceRow]:
    return [
        PriceRow(customer_class=customer_class, version=version, component=component)
        for version in versions
        for component in version.components
    ]
