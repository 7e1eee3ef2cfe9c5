"""Words of a row as whole numbers, or a refusal that names the row. Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import NamedTuple

from scheduler.simulate.errors import TraceRowRefused

_SHOWN = 60


class Where(NamedTuple):
    """A row of a file."""

    source: str
    row: int

    def require(self, holds: object, column: str, problem: str, *, value: object = "", limit: object = "") -> None:
        """TraceRowRefused: it does not hold."""
        if not holds:
            raise TraceRowRefused(
                source=self.source, row=self.row, column=column, value=str(value)[:_SHOWN], problem=problem, limit=limit
            )


def seconds(where: Where, column: str, word: str, most: int, *, up: bool = True) -> int:
    """A time of 0 … most; a fraction is rounded up, or down."""
    is_plain = word.isdecimal() and len(word) <= len(str(most))  # the usual case, and quickly
    value = int(word) if is_plain else _rounded(where, column, word, up=up)
    where.require(value >= 0, column, "negative", value=word)
    where.require(value <= most, column, "absurd", value=word, limit=most)
    return value


def counted(where: Where, column: str, word: str, most: int) -> int:
    """A whole number of 0 … most."""
    value = seconds(where, column, word, most)
    where.require(word.isdecimal() or _number(where, column, word) == value, column, "not_whole", value=word)
    return value


def _rounded(where: Where, column: str, word: str, *, up: bool) -> int:
    where.require(word, column, "missing_value")
    number = _number(where, column, word)
    where.require(abs(number) < Decimal(10) ** 18, column, "absurd", value=word, limit="10^18")
    return int(number.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


def _number(where: Where, column: str, word: str) -> Decimal:
    try:
        number = Decimal(word)
    except InvalidOperation:
        number = Decimal("NaN")
    where.require(number.is_finite(), column, "not_a_number", value=word)
    return number
