"""What a confined process says of a refusal is a stranger's: of it comes a `Rejected` with bounded facts, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.errors import Rejected
from hpc_adapters.quantum.refusing import facts_in, refusal_in

NAMES = st.text(max_size=50) | st.sampled_from(["self", "code", "limit", "line"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=30),
    max_leaves=30,
)


@given(JSON)
def test_whatever_is_said_the_facts_are_few_short_and_of_names(told: object) -> None:
    found = facts_in(told)
    assert len(found) <= 16
    assert len(json.dumps(Rejected("malformed-program", **found).facts, allow_nan=False)) < 16 * 2_500


@given(st.fixed_dictionaries({"error": JSON | st.fixed_dictionaries({"code": JSON, "facts": JSON})}))
def test_whatever_is_said_is_a_refusal_that_we_know_or_none(told: dict[str, object]) -> None:
    assert refusal_in(told) is None


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({"line": 3, "allowed": "stdgates.inc", "share": 0.5}, {"line": 3, "allowed": "stdgates.inc", "share": 0.5}),
        ({"self": 1, "code": "other", "Line": 1, "a b": 1, "": 1, "line": 1}, {"line": 1}),
        ({"a": "x" * 201, "b": "\n", "c": [1], "d": None, "e": float("nan"), "f": 2**63, "g": True}, {"g": True}),
        ([["line", 3]], {}),
        ("line", {}),
    ],
)
def test_a_refusal_keeps_what_can_be_told(facts: object, kept: dict[str, object]) -> None:
    found = refusal_in({"error": {"code": "malformed-program", "facts": facts}})
    assert found == ("malformed-program", kept)
    assert Rejected(found[0], **found[1]).facts == kept


def test_of_many_facts_the_first_are_kept() -> None:
    assert len(facts_in({f"name_{number}": number for number in range(100)})) == 16


@pytest.mark.parametrize("error", [{"code": "no-such-code"}, {"code": ["malformed-program"]}, {"code": {}}, 1, "x", []])
def test_what_is_no_code_of_ours_is_no_refusal(error: object) -> None:
    assert refusal_in({"error": error}) is None
