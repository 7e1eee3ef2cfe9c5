from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Seen, UsageRow
from metering.errors import Unreadable, UnreadableRow
from metering.rows import (
    Revision,
    canonical,
    check,
    contradictory_keys,
    derive,
    from_json,
    is_news,
    next_revision,
    next_try_at,
    proves_completeness,
    readable,
)

START = datetime(2026, 4, 1, tzinfo=UTC)
ATTEMPT = UUID(int=1)
ROW = UsageRow(
    natural_key="17",
    attempt_id=ATTEMPT,
    started_at=START,
    ended_at=START + timedelta(hours=1),
    final=True,
    ending=Seen.SUCCEEDED,
    components={"gpu_s": Decimal(3600)},
    facts={"peak_memory_mb": 512, "host": "node1"},
)
ROWS = st.builds(
    UsageRow,
    natural_key=st.text(),
    attempt_id=st.none() | st.uuids(),
    started_at=st.datetimes(timezones=st.just(UTC)),
    ended_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    final=st.booleans(),
    ending=st.sampled_from(Seen),
    components=st.dictionaries(st.sampled_from(["gpu_s", "shot"]), st.decimals(allow_nan=False, allow_infinity=False)),
    facts=st.dictionaries(st.text(), st.integers() | st.text()),
)


@given(ROWS)
def test_a_row_reads_back_from_its_text(row: UsageRow) -> None:
    assert from_json(json.loads(readable(row))) == row


def test_the_same_content_in_another_notation_is_the_same() -> None:
    tokyo = timezone(timedelta(hours=9))
    same = replace(ROW, components={"gpu_s": Decimal("3600.000")}, started_at=START.astimezone(tokyo))
    assert canonical(same) == canonical(ROW)


@pytest.mark.parametrize(
    "changed",
    [
        {"components": {"gpu_s": Decimal(3601)}},
        {"ended_at": START},
        {"ending": Seen.FAILED},
        {"attempt_id": UUID(int=2)},
        {"facts": {}},
    ],
)
def test_any_other_content_is_news(changed: dict[str, object]) -> None:
    known = next_revision("b", ROW, None)
    assert not is_news(ROW, known)
    assert is_news(replace(ROW, **changed), known)


def test_a_stand_in_for_an_unknown_end_corrects_no_end_that_was_told() -> None:
    unknown = replace(ROW, components=dict.fromkeys(ROW.components, Decimal(0)), facts={"runaway": "yes"})
    assert is_news(unknown, None)
    assert not is_news(unknown, next_revision("b", ROW, None))
    assert is_news(ROW, next_revision("b", unknown, None))


def test_a_value_that_comes_back_is_a_revision_of_its_own() -> None:
    first = next_revision("b", ROW, None)
    second = next_revision("b", replace(ROW, facts={}), first)
    third = next_revision("b", ROW, second)
    assert [each.number for each in (first, second, third)] == [1, 2, 3]
    assert len({each.row_id for each in (first, second, third)}) == 3
    assert is_news(ROW, second)


def test_identities_of_two_backends_never_meet() -> None:
    one, other = next_revision("a:b", replace(ROW, natural_key="c"), None), next_revision("a", ROW, None)
    assert one.row_id != other.row_id
    assert next_revision("a", replace(ROW, natural_key="b:c"), None).row_id != one.row_id


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        (Unreadable.NO_END, {"ended_at": None}),
        (Unreadable.END_BEFORE_START, {"ended_at": START - timedelta(microseconds=1)}),
        (Unreadable.UNKNOWN_COMPONENT, {"components": {"gpu_h": Decimal(1)}}),
        (Unreadable.BAD_QUANTITY, {"components": {"gpu_s": Decimal(-1)}}),
        (Unreadable.BAD_QUANTITY, {"components": {"gpu_s": Decimal("Infinity")}}),
    ],
)
def test_what_cannot_be_true_is_named(why: Unreadable, changed: dict[str, object]) -> None:
    with pytest.raises(UnreadableRow) as refused:
        check(replace(ROW, **changed))
    assert refused.value.why is why


def test_a_run_of_no_time_and_a_leap_day_are_fine() -> None:
    check(replace(ROW, ended_at=ROW.started_at))
    check(replace(ROW, started_at=datetime(2028, 2, 29, tzinfo=UTC), ended_at=datetime(2029, 4, 4, tzinfo=UTC)))


def test_two_contents_under_one_key_contradict_each_other() -> None:
    assert contradictory_keys([ROW, ROW, replace(ROW, natural_key="18")]) == frozenset()
    assert contradictory_keys([ROW, replace(ROW, facts={})]) == {"17"}


def test_accounting_is_complete_when_nothing_grows_and_something_was_used() -> None:
    assert proves_completeness(ROW, set())
    assert not proves_completeness(ROW, {ATTEMPT})
    assert proves_completeness(replace(ROW, components={"gpu_s": Decimal(0)}), set())
    assert not proves_completeness(replace(ROW, facts={"turned_away": "yes"}), set())
    assert proves_completeness(replace(ROW, facts={"turned_away": "overwritten"}), set())
    assert not proves_completeness(replace(ROW, facts={"runaway": "yes"}), set())


def test_usage_is_cut_off_at_a_millionth_and_corrects_what_is_no_longer_mentioned() -> None:
    revision = Revision(row_id=UUID(int=9), number=2, content_sha256=b"")
    usages = derive(revision.row_id, {"gpu_s": Decimal("1.0000019")}, {"gpu_s": UUID(int=3), "shot": UUID(int=4)})
    assert [(u.component, u.quantity, u.supersedes) for u in usages] == [
        ("gpu_s", Decimal("1.000001"), UUID(int=3)),
        ("shot", Decimal(0), UUID(int=4)),
    ]


def test_a_parked_row_is_tried_again_ever_later_and_in_the_end_left_alone() -> None:
    waits = [next_try_at(tries, now=START) for tries in range(1, 13)]
    assert waits[:3] == [START + timedelta(minutes=m) for m in (1, 2, 4)]
    assert waits[10] == START + timedelta(minutes=1024)
    assert waits[11] is None
