"""What people type: names, slugs, addresses, 法人番号, secrets. Pure; each returns the clean value or refuses."""

from __future__ import annotations

import re
import unicodedata

from accounts.errors import (
    BadSecretName,
    BadSecretValue,
    BadSiteAccount,
    BadSiteUser,
    InvalidCorporateNumber,
    InvalidEmail,
    InvalidName,
    InvalidSlug,
    SecretTooLarge,
)

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
_UNIX_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SYSTEM_USERS = frozenset({"root", "slurm", "munge", "kyoyo", "nobody", "daemon", "mysql"})
_SITE_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SECRET_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_RESERVED_VARIABLE = re.compile(
    r"(KYOYO_|SLURM_|SBATCH_|SRUN_|SPANK_|PBS_|LD_).*|PATH|HOME|IFS|BASH_ENV|ENV|SHELLOPTS|BASHOPTS|UID|EUID|PPID",
    re.DOTALL,
)
_SECRET_BYTES = 32_768


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


def is_reserved_variable(name: str) -> bool:
    """Whether the machine sets this variable, or it changes what runs before the customer's own code."""
    return _RESERVED_VARIABLE.fullmatch(name) is not None


def clean_unix_user(text: str) -> str:
    """A user of a site, and none that a machine needs for itself. BadSiteUser."""
    if _UNIX_USER.fullmatch(text) is None:
        raise BadSiteUser(unix_user=_shown(text), problem="name")
    if text in _SYSTEM_USERS:
        raise BadSiteUser(unix_user=text, problem="reserved")
    return text


def clean_site_account(text: str) -> str:
    """An account of a site below its root. BadSiteAccount."""
    if _SITE_ACCOUNT.fullmatch(text) is None or text == "root":
        raise BadSiteAccount(account=_shown(text))
    return text


def clean_secret_name(text: str) -> str:
    """The name of an environment variable in capitals, and none of the machine's. BadSecretName."""
    if _SECRET_NAME.fullmatch(text) is None:
        raise BadSecretName(name=_shown(text), problem="name")
    if is_reserved_variable(text):
        raise BadSecretName(name=text, problem="reserved")
    return text


def checked_secret_value(value: str) -> str:
    """A value that an environment variable can hold. BadSecretValue, SecretTooLarge."""
    if not value:
        raise BadSecretValue(problem="empty")
    if "\0" in value:
        raise BadSecretValue(problem="nul")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadSecretValue(problem="not_utf8") from None
    if size > _SECRET_BYTES:
        raise SecretTooLarge(size_bytes=size, limit_bytes=_SECRET_BYTES)
    return value


def _shown(text: str) -> str:
    """As much of it as may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:80])
