from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.demo.promises import broken, to_json

GOOD: dict[str, Any] = {
    "jobs": [
        {
            "id": "a",
            "kind": "training",
            "backend": "local",
            "state": "SUCCEEDED",
            "attempts": 1,
            "quote_yen": Decimal(160),
            "charge_yen": Decimal("3.25"),
            "usage": {"gpu_hours": Decimal("0.01"), "qpu_seconds": Decimal(0)},
            "result": {"accuracy": 0.99},
        },
        {
            "id": "b",
            "kind": "quantum",
            "backend": "aer",
            "state": "SUCCEEDED",
            "attempts": 1,
            "quote_yen": Decimal(195),
            "charge_yen": Decimal(195),
            "usage": {"gpu_hours": Decimal(0), "qpu_seconds": Decimal("1.5")},
            "result": {"counts": {"000": 2010, "111": 1990}},
        },
        {
            "id": "c",
            "kind": "training",
            "backend": "local",
            "state": "CANCELLED",
            "attempts": 1,
            "quote_yen": Decimal(480),
            "charge_yen": Decimal("0.5"),
            "usage": {"gpu_hours": Decimal("0.001"), "qpu_seconds": Decimal(0)},
            "result": {},
        },
    ],
    "refused": [{"code": "insufficient-funds"}],
    "ledger": {"imbalance": Decimal(0), "open_holds": 0},
    "audit": {"unexplained": 0},
    "kpi": {
        "users": 1,
        "organisations": 1,
        "gpu_hours": Decimal("0.011"),
        "qpu_seconds": Decimal("1.5"),
        "utilisation": Decimal("0.02"),
    },
}


def test_a_summary_as_promised_has_no_complaint() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("jobs", 0, "state"), "FAILED", "no training job succeeded"),
        (("jobs", 0, "result"), {"accuracy": 0.949}, "accuracy"),
        (("jobs", 0, "result"), {}, "accuracy"),
        (("jobs", 0, "charge_yen"), Decimal("160.000001"), "job a is charged"),
        (("jobs", 0, "attempts"), 2, "2 attempts"),
        (("jobs", 0, "usage", "gpu_hours"), Decimal(0), "used no gpu_hours"),
        (("jobs", 1, "state"), "LOST", "no quantum job"),
        (("jobs", 1, "result"), {"counts": {"000": 2000, "111": 1999}}, "3999 shots"),
        (("jobs", 1, "result"), {"counts": {"000": 2000, "111": 1999, "010": 1}}, "010"),
        (("jobs", 1, "result"), {"counts": {"000": 2200, "111": 1800}}, "from even"),
        (("jobs", 2, "state"), "SUCCEEDED", "no job was cancelled"),
        (("jobs", 2, "charge_yen"), Decimal(0), "not charged for what ran"),
        (("refused",), [], "refused were []"),
        (("refused", 0, "code"), "queue-full", "queue-full"),
        (("ledger", "imbalance"), Decimal("0.000001"), "ledger.imbalance"),
        (("ledger", "open_holds"), 1, "ledger.open_holds"),
        (("audit", "unexplained"), 1, "audit.unexplained"),
        (("kpi", "users"), 0, "kpi.users"),
        (("kpi", "utilisation"), None, "kpi.utilisation"),
        (("kpi", "utilisation"), Decimal("1.01"), "kpi.utilisation"),
        (("kpi", "gpu_hours"), Decimal("0.012"), "the jobs' sum is"),
    ],
)
def test_every_broken_promise_is_named(path: tuple[str | int, ...], value: object, named: str) -> None:
    summary = copy.deepcopy(GOOD)
    inner: Any = summary
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert any(named in complaint for complaint in broken(summary))


def test_amounts_are_written_exactly() -> None:
    text = to_json({"charge_yen": Decimal("123456789012345.000001"), "name": "日本 \x1b", "none": None, "list": [True]})
    assert '"charge_yen": 123456789012345.000001' in text
    assert json.loads(text, parse_float=Decimal)["charge_yen"] == Decimal("123456789012345.000001")
    assert json.loads(text)["name"] == "日本 \x1b"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_that_json_knows_comes_back(value: object) -> None:
    assert json.loads(to_json(value)) == value
