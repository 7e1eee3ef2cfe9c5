from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import InvalidCorporateNumber, InvalidEmail, InvalidName, InvalidSlug
from accounts.names import check_digit, clean_corporate_number, clean_email, clean_name, clean_slug

digits_12 = st.text("0123456789", min_size=12, max_size=12)


@pytest.mark.parametrize("name", ["共用", "  株式会社アルファ ", "José", "O'Neil & Söhne", "家族👨‍👩‍👧"])
def test_a_name_is_kept_in_nfc_without_outer_space(name: str) -> None:
    assert clean_name(name, field="name") == unicodedata.normalize("NFC", name).strip()


def test_a_decomposed_name_equals_the_composed_one() -> None:
    assert clean_name("か\u3099", field="name") == "が"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        (" \u3000 ", "empty"),
        ("x" * 201, "too_long"),
        ("a\x00b", "control_character"),
        ("a\nb", "control_character"),
        ("a\x1bb", "control_character"),
        ("a\u2028b", "control_character"),
        ("a\ud800b", "control_character"),
        ("evil\u202egnp.exe", "control_character"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused_with_the_problem(name: str, problem: str) -> None:
    with pytest.raises(InvalidName) as refused:
        clean_name(name, field="display_name")
    assert refused.value.facts == {"field": "display_name", "problem": problem, "max_length": 200}


@given(st.text(max_size=300))
def test_a_cleaned_name_is_clean(text: str) -> None:
    try:
        name = clean_name(text, field="name")
    except InvalidName:
        return
    assert 1 <= len(name) <= 200
    assert clean_name(name, field="name") == name
    assert "\x1f" not in name


@pytest.mark.parametrize("slug", ["", "-a", "A", "a_b", "a b", "a" * 64, "ａ", "a\n"])
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(InvalidSlug):
        clean_slug(slug)


def test_a_slug_is_as_long_as_its_use_asks() -> None:
    assert clean_slug("a") == "a"
    with pytest.raises(InvalidSlug):
        clean_slug("a", min_length=2)


@pytest.mark.parametrize("email", ["a@example.jp", "first.last+tag@sub.example.co.jp", "太郎@例え.jp"])
def test_an_address_is_kept_as_typed(email: str) -> None:
    assert clean_email(f" {email} ") == email


@pytest.mark.parametrize(
    "email",
    ["", "a", "a@b", "a@@b.jp", "a b@example.jp", "a@.jp", "a@b..jp", "a@b.jp\nBcc: x@y.z", "x" * 250 + "@b.jp"],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidEmail):
        clean_email(email)


@pytest.mark.parametrize(
    "number",
    [
        "7000012050002",  # 国税庁
        "8700110005901",  # worked example in 国税庁「法人番号の検査用数字」
        "7-0000-1205-0002",
        "７００００１２０５０００２",
    ],
)
def test_a_real_corporate_number_is_accepted(number: str) -> None:
    assert clean_corporate_number(number) == unicodedata.normalize("NFKC", number).replace("-", "")


@pytest.mark.parametrize(
    "number", ["", "7000012050003", "000012050002", "70000120500021", "x000012050002", "①000012050002"]
)
def test_a_wrong_corporate_number_is_refused(number: str) -> None:
    with pytest.raises(InvalidCorporateNumber):
        clean_corporate_number(number)


@given(digits_12)
def test_exactly_one_first_digit_makes_a_corporate_number(base: str) -> None:
    accepted = [first for first in "0123456789" if _accepts(first + base)]
    assert accepted == [str(check_digit(base))]
    assert check_digit(base) in range(1, 10)


@given(digits_12, st.integers(0, 11), st.integers(1, 8))
def test_one_digit_mistyped_is_noticed_unless_nine_stands_for_nought(base: str, place: int, by: int) -> None:
    # The weights are 1 and 2 modulo 9, so that only 0 ↔ 9 looks alike.
    typed = base[:place] + str((int(base[place]) + by) % 10) + base[place + 1 :]
    if {base[place], typed[place]} != {"0", "9"}:
        assert check_digit(typed) != check_digit(base)


def _accepts(number: str) -> bool:
    try:
        clean_corporate_number(number)
    except InvalidCorporateNumber:
        return False
    return True
