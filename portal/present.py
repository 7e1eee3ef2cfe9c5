"""How values look to a person: money, numbers, times and facts, in the reader's language. Pure and exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from infra.tokyo import TOKYO
from portal.language import Catalogue, Language
from pricing.units import decimal

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def yen(micro_yen: int, language: Language) -> str:
    """'¥1,234.5': exact to the micro-yen, without needless zeros."""
    sign = "−" if micro_yen < 0 else ""
    return f"{sign}¥{number(decimal(abs(micro_yen)), language)}"


def number(value: Decimal | int, language: Language) -> str:
    """With thousands separators, exact, without needless zeros."""
    exact = Decimal(value)
    plain = format(exact.normalize(), "f") if exact else "0"
    places = len(plain.partition(".")[2])
    return format_decimal(exact, format=f"#,##0.{'0' * places}" if places else "#,##0", locale=language.babel)


def percent(share: Decimal | float | None, language: Language, *, places: int = 1) -> str:
    """'45.9 %'; a dash for nothing."""
    if share is None:
        return "–"
    return format_decimal(Decimal(str(share)) * 100, format=f"#,##0.{'0' * places}", locale=language.babel) + " %"


def moment(at: datetime | None, language: Language) -> str:
    """Date and time in Japan; a dash for nothing."""
    if at is None:
        return "–"
    form = "yyyy年M月d日 HH:mm:ss" if language is Language.JA else "d MMM yyyy, HH:mm:ss"
    return format_datetime(at.astimezone(TOKYO), form, locale=language.babel)


def month(first: date, language: Language) -> str:
    """A month by its first day."""
    return format_date(first, format="yyyy年M月" if language is Language.JA else "MMMM yyyy", locale=language.babel)


def duration(seconds: float, texts: Catalogue) -> str:
    """'1 h 05 min', '12 s': the two largest units that matter."""
    whole = int(seconds)
    if whole >= _DAY:
        return texts.text("duration.days", days=whole // _DAY, hours=whole % _DAY // _HOUR)
    if whole >= _HOUR:
        return texts.text("duration.hours", hours=whole // _HOUR, minutes=whole % _HOUR // _MINUTE)
    if whole >= _MINUTE:
        return texts.text("duration.minutes", minutes=whole // _MINUTE, seconds=whole % _MINUTE)
    return texts.text("duration.seconds", seconds=whole)


def printable(text: str) -> str:
    """A job's text as it may stand on a page: no terminal sequences, no controls, no bidi tricks."""
    return _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n")))


class Facts(dict[str, str]):
    """Facts of a refusal or an event, ready to stand in a sentence. A fact that is not there shows as a dash."""

    def __init__(self, facts: Mapping[str, object], texts: Catalogue) -> None:
        super().__init__({name: fact(name, value, texts) for name, value in facts.items()})

    def __missing__(self, name: str) -> str:
        return "–"


def fact(name: str, value: object, texts: Catalogue) -> str:
    """One fact: times and numbers in the language's form, machine words translated where the catalogue knows them."""
    match value:
        case None:
            return "–"
        case bool():
            return texts.word("fact.yes_no", str(value).lower())
        case int() | Decimal():
            return number(value, texts.language)
        case list() | tuple() | set() | frozenset():
            return texts.text("fact.comma").join(fact(name, each, texts) for each in value) or "–"
        case _:
            return _words(name, str(value), texts)


def _words(name: str, value: str, texts: Catalogue) -> str:
    known = texts.texts.get(f"fact.{name}.{value}")
    if known is not None:
        return known
    if name.endswith("_yen"):
        return _amount(value, texts.language)
    if at := _instant(value):
        return moment(at, texts.language)
    return printable(value)


def _amount(value: str, language: Language) -> str:
    try:
        return number(Decimal(value), language)
    except InvalidOperation:
        return printable(value)


def _instant(value: str) -> datetime | None:
    if len(value) < len("2026-01-01T00:00:00Z") or value[10:11] != "T":
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else None
