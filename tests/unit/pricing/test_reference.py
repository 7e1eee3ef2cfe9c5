"""Market references: what may be recorded, and for how long a look at the market proves anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.model import Evidence
from pricing.errors import MarketReferenceTooOld, MarketReferenceWrong
from pricing.model import ForeignPrice
from pricing.reference import ReferenceAge, require_fresh, require_sound
from pricing.units import micro
from tests.support.market import MARKET

DAY = date(2026, 3, 1)
SHOWN = Evidence(name="list.pdf", sha256=b"x" * 32, size_bytes=10)
REFERENCE = replace(MARKET[0], evidence=SHOWN)
DOLLARS = ForeignPrice(currency="USD", amount=Decimal("3.2"), exchange_rate=Decimal(150), source="a bank", on=DAY)


@pytest.mark.parametrize(("age_days", "code"), [(0, None), (90, None), (91, "market-reference-old"), (180, "…")])
def test_it_warns_when_it_grows_old(age_days: int, code: str | None) -> None:
    told = require_fresh(REFERENCE, today=DAY + timedelta(days=age_days), limits=ReferenceAge())
    assert (told is None) == (code is None)
    if told is not None:
        assert (told["code"], told["age_days"], told["limit_days"]) == ("market-reference-old", age_days, 180)


def test_then_no_price_is_published_by_it() -> None:
    with pytest.raises(MarketReferenceTooOld) as refused:
        require_fresh(REFERENCE, today=DAY + timedelta(days=181), limits=ReferenceAge())
    assert (refused.value.facts["age_days"], refused.value.facts["limit_days"]) == (181, 180)
    require_fresh(REFERENCE, today=DAY + timedelta(days=181), limits=ReferenceAge(200, 200))


def test_one_without_evidence_is_told_apart() -> None:
    told = require_fresh(MARKET[0], today=DAY, limits=ReferenceAge())
    assert told is not None
    assert told["code"] == "market-reference-without-evidence"


def test_a_sound_one_may_be_recorded() -> None:
    require_sound(REFERENCE, today=DAY)
    require_sound(replace(REFERENCE, foreign=DOLLARS, amount_micro_yen=micro("480")), today=DAY)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("resource_type", {"resource_type": "pony"}),
        ("source", {"source": "  "}),
        ("source", {"source": "x" * 501}),
        ("terms", {"terms": "x" * 1_001}),
        ("per", {"per": Decimal(0)}),
        ("amount", {"amount_micro_yen": 10**18 + 1}),
        ("observed_on", {"observed_on": DAY + timedelta(days=1)}),
        ("currency", {"foreign": replace(DOLLARS, currency="usd")}),
        ("exchange_rate", {"foreign": DOLLARS}),  # not the yen that the rate gives
        ("exchange_rate", {"foreign": replace(DOLLARS, on=DAY + timedelta(days=1)), "amount_micro_yen": micro("480")}),
        ("evidence", {"evidence": replace(SHOWN, sha256=b"short")}),
        ("evidence", {"evidence": replace(SHOWN, size_bytes=0)}),
        ("evidence", {"evidence": replace(SHOWN, name="")}),
    ],
)
def test_what_cannot_be_recorded_names_its_field(field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(MarketReferenceWrong) as refused:
        require_sound(replace(REFERENCE, **wrong), today=DAY)
    assert refused.value.facts == {"field": field}
