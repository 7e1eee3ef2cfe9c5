"""What an estimate says of prices in another currency, and a job's record of a call that failed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from accounts.model import CustomerClass
from portal.api.callrecord import qpu_out
from portal.api.terms import ALWAYS, IDLE_FREE, foreign_in, rules_of
from portal.language import Language
from pricing.model import Component, ForeignPrice, PriceComponent, PriceVersion, ServiceClass
from scheduler.core.model import State
from scheduler.views import CallView, QpuView

NOW = datetime(2026, 4, 1, tzinfo=UTC)
DOLLARS = ForeignPrice(
    currency="USD", amount=Decimal("1.6"), exchange_rate=Decimal(150), source="a bank", on=date(2026, 4, 1)
)


def version(component: Component, price: int = 1, foreign: ForeignPrice | None = None) -> PriceVersion:
    of = PriceComponent(
        component=component,
        per=Decimal(1),
        price_micro_yen=price,
        list_micro_yen=price,
        market_micro_yen=price,
        market_reference_id=UUID(int=1),
        foreign=foreign,
    )
    return PriceVersion(
        id=UUID(int=2),
        offering_id="o",
        customer_class=CustomerClass.STARTUP,
        service_class=ServiceClass.STANDARD,
        valid_from=NOW,
        tax_rate_bp=1000,
        components=(of,),
        market_sources={},
    )


def test_a_job_that_buys_of_a_vendor_in_a_later_phase_is_told_the_exchange_rate() -> None:
    gpus, circuits = version(Component.GPU_S), version(Component.QPU_S, foreign=DOLLARS)
    told = foreign_in([gpus, circuits], Component.QPU_S)
    assert told is not None
    assert (told.currency, told.exchange_rate) == ("USD", "150")
    assert foreign_in([gpus, circuits], Component.GPU_S) is None
    assert foreign_in([circuits, version(Component.QPU_S)], Component.QPU_S) is None
    assert rules_of(gpus, circuits) == ALWAYS
    assert rules_of(gpus, version(Component.SESSION_S, price=0)) == (*ALWAYS, IDLE_FREE)


@pytest.mark.parametrize(
    ("state", "reason", "language", "expected"),
    [
        (State.FAILED, "refused:qpu-cap-too-small", Language.EN, "Its limit of QPU time is too low."),
        (State.FAILED, "refused:qpu-cap-too-small", Language.JA, "量子計算時間の上限が足りません。"),
        (State.LOST, "vanished", Language.JA, "。"),
        (State.SUCCEEDED, None, Language.EN, None),
        (State.RUNNING, None, Language.EN, None),
    ],
)
def test_a_call_that_failed_says_why_in_words(
    state: State, reason: str | None, language: Language, expected: str | None
) -> None:
    call = CallView(
        number=1,
        recorded_at=NOW,
        shots=1,
        state=state,
        started_at=None,
        ended_at=None,
        reason=reason,
        code=None,
        facts={},
        attempt_id=UUID(int=3),
    )
    view = QpuView(
        offering_id="q",
        backend="q",
        max_calls=1,
        max_shots=1,
        idle_s=1,
        call_s=1,
        wait_s=1,
        closed=False,
        calls=(call,),
        asked=1,
    )
    told = qpu_out(view, {}, language)
    assert told is not None
    said = told.calls[0].sentence
    assert (said is None) if expected is None else (expected in str(said))
