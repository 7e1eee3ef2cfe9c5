from __future__ import annotations

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.terminal import duration, harmless, histogram, one_line, yen


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    for letter in harmless(text):
        assert letter in "\n\t\u200c\u200d" or unicodedata.category(letter) not in {"Cc", "Cf", "Co", "Cs"}


def test_escapes_and_turned_text_are_shown_not_obeyed() -> None:
    assert harmless("a\x1b[2Jb\u202ec\x9b5m") == "a�[2Jb�c�5m"
    assert harmless("10%\r20%\r\n日本語\t😀") == "10%\n20%\n日本語\t😀"
    assert one_line("a\nb\tc") == "a b c"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "¥0"),
        ("1234.500000", "¥1,234.5"),
        ("1000000", "¥1,000,000"),
        ("0.000001", "¥0.000001"),
        ("-20.00", "-¥20"),
        ("1E+3", "¥1,000"),
    ],
)
def test_an_amount_is_shown_exactly_and_shortly(amount: str, shown: str) -> None:
    assert yen(Decimal(amount)) == shown


def test_an_amount_that_is_not_known_yet_is_a_dash() -> None:
    assert yen(None) == "-"


def test_a_duration_reads_like_slurms() -> None:
    assert [duration(seconds) for seconds in (0, 61, 3_661, 90_061)] == ["0:00:00", "0:01:01", "1:01:01", "1-1:01:01"]


def test_a_histogram_orders_outcomes_and_shares() -> None:
    assert histogram({"111": 1, "000": 3}, width=4).splitlines() == [
        "000 ████       3  75.0%",
        "111 █▍         1  25.0%",
    ]


def test_rare_outcomes_are_summed_up() -> None:
    lines = histogram({f"{number:06b}": number + 1 for number in range(64)}, most=3).splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("     …")


@given(st.dictionaries(st.text("01", min_size=1, max_size=6), st.integers(0, 10**6)))
def test_any_counts_can_be_drawn(counts: dict[str, int]) -> None:
    histogram(counts)
