"""How values look to a person."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import present
from portal.language import Language, catalogue
from portal.present import Facts

JA, EN = Language.JA, Language.EN
AT = datetime(2026, 3, 31, 15, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("micro_yen", "shown"),
    [
        (0, "¥0"),
        (1, "¥0.000001"),
        (1_500_000, "¥1.5"),
        (1_234_567_000_000, "¥1,234,567"),
        (-363_000_000, "−¥363"),
        (9_007_199_254_740_993, "¥9,007,199,254.740993"),
    ],
)
def test_money_is_shown_exactly(micro_yen: int, shown: str) -> None:
    assert present.yen(micro_yen, JA) == present.yen(micro_yen, EN) == shown


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_no_digit_of_an_amount_is_ever_lost(micro_yen: int) -> None:
    shown = present.yen(micro_yen, EN).replace("−", "-").replace("¥", "").replace(",", "")
    assert Decimal(shown).scaleb(6) == micro_yen


def test_times_are_those_of_japan() -> None:
    assert present.moment(AT, JA) == "2026年4月1日 00:00:05"
    assert present.moment(AT, EN) == "1 Apr 2026, 00:00:05"
    assert present.moment(None, JA) == "–"
    assert present.month(date(2026, 4, 1), JA) == "2026年4月"


@pytest.mark.parametrize(
    ("seconds", "ja", "en"),
    [
        (0, "0秒", "0 s"),
        (59.9, "59秒", "59 s"),
        (61, "1分 1秒", "1 min 1 s"),
        (3660, "1時間 1分", "1 h 1 min"),
        (90_000, "1日 1時間", "1 d 1 h"),
    ],
)
def test_a_duration_names_its_two_largest_units(seconds: float, ja: str, en: str) -> None:
    assert (present.duration(seconds, catalogue(JA)), present.duration(seconds, catalogue(EN))) == (ja, en)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("a\rb\x08c\x00d", "abcd"),
        ("line\r\nnext", "line\nnext"),
        ("txt.\u202eexe", "txt.exe"),
        ("日本語 ✓ 🧪", "日本語 ✓ 🧪"),
    ],
)
def test_what_a_job_printed_cannot_play_tricks_on_a_page(raw: str, shown: str) -> None:
    assert present.printable(raw) == shown


def test_facts_are_told_in_the_readers_form() -> None:
    facts = Facts(
        {
            "needed_yen": "69696.5",
            "limit": 1_000_000,
            "valid_until": AT.isoformat(),
            "problem": "empty",
            "scopes": ["a", "b"],
            "nothing": None,
            "slug": "2026-04-01",
            "name": "\x1b[31mx",
            "yes": True,
        },
        catalogue(JA),
    )
    assert facts == {
        "needed_yen": "69,696.5",
        "limit": "1,000,000",
        "valid_until": "2026年4月1日 00:00:05",
        "problem": "空です。",
        "scopes": "a、b",
        "nothing": "–",
        "slug": "2026-04-01",
        "name": "x",
        "yes": "はい",
    }
    assert facts["not there"] == "–"


def test_a_fact_cannot_reach_into_the_sentence() -> None:
    text = "{slug}"
    assert text.format_map(Facts({"slug": "{limit.__class__}"}, catalogue(EN))) == "{limit.__class__}"
