"""What people type: names, slugs, addresses, 法人番号. Pure; each returns the clean value or refuses."""

from __future__ import annotations

import re
import unicodedata

from accounts.errors import InvalidCorporateNumber, InvalidEmail, InvalidName, InvalidSlug

NAME_LENGTH = 200
LABEL_LENGTH = 100
_EMAIL_LENGTH = 254  # RFC 5321: a path is at most 256 octets with its brackets
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators
_BIDI = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they disguise what follows
_CORPORATE_DIGITS = 13


def clean_name(text: str, *, field: str, max_length: int = NAME_LENGTH) -> str:
    """A name in NFC without outer white space, of 1 to max_length characters. InvalidName."""
    name = unicodedata.normalize("NFC", text).strip()
    problem = _problem_of(name, max_length)
    if problem is not None:
        raise InvalidName(field=field, problem=problem, max_length=max_length)
    return name


def _problem_of(name: str, max_length: int) -> str | None:
    if not name:
        return "empty"
    if len(name) > max_length:
        return "too_long"
    if any(unicodedata.category(char) in _UNPRINTABLE or char in _BIDI for char in name):
        return "control_character"
    return None


def clean_slug(text: str, *, min_length: int = 1) -> str:
    """A slug: a-z, 0-9 and hyphen, not first, min_length to 63 characters. InvalidSlug."""
    if _SLUG.fullmatch(text) is None or len(text) < min_length:
        raise InvalidSlug(slug=text[:NAME_LENGTH])
    return text


def clean_email(text: str) -> str:
    """An address as typed, in NFC; whether it works only a message can tell. InvalidEmail."""
    email = unicodedata.normalize("NFC", text).strip()
    if len(email) > _EMAIL_LENGTH or _problem_of(email, _EMAIL_LENGTH) or _EMAIL.fullmatch(email) is None:
        raise InvalidEmail(email=text[:_EMAIL_LENGTH])
    return email


def clean_corporate_number(text: str) -> str:
    """A 法人番号 of thirteen digits with a right check digit. InvalidCorporateNumber."""
    digits = unicodedata.normalize("NFKC", text).replace("-", "").strip()  # full-width digits are usual
    valid = len(digits) == _CORPORATE_DIGITS and digits.isascii() and digits.isdigit()
    if not valid or int(digits[0]) != check_digit(digits[1:]):
        raise InvalidCorporateNumber(corporate_number=text[:NAME_LENGTH])
    return digits


def check_digit(base: str) -> int:
    """The first digit of a 法人番号 whose other twelve are `base`.

    9 - (Σ Pn·Qn mod 9), n = 1 for the lowest digit; Qn = 1 for odd n, 2 for even n.
    Source: 法人番号の指定等に関する省令(平成26年財務省令第70号)第2条; 国税庁「法人番号の検査用数字」.
    """
    weighted = (int(digit) * (2 if n % 2 == 0 else 1) for n, digit in enumerate(reversed(base), start=1))
    return 9 - sum(weighted) % 9
