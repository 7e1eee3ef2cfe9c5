"""A report of figures as JSON values and as CSV, in both languages. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from metering.definitions import Definition, Unit
from metering.kpi import Figure
from metering.periods import Period

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """For a period, as known at an instant. complete: the period was over then."""

    period: Period
    as_known_at: datetime
    figures: Sequence[tuple[Definition, Figure]]

    @property
    def complete(self) -> bool:
        return self.as_known_at >= self.period.until

    def value(self, key: str, resource: str = "") -> Decimal | None:
        """One figure's value. KeyError: there is no such figure."""
        for definition, figure in self.figures:
            if (definition.key, figure.resource) == (key, resource):
                return figure.value
        raise KeyError((key, resource))


def as_json(report: Report) -> dict[str, object]:
    """JSON values: counts are numbers, everything else is an exact decimal string."""
    return {
        "period": {
            "code": report.period.code,
            "kind": report.period.kind.value,
            "since": _instant(report.period.since),
            "until": _instant(report.period.until),
            "label_ja": report.period.label_ja,
            "label_en": report.period.label_en,
        },
        "as_known_at": _instant(report.as_known_at),
        "complete": report.complete,
        "items": [_item(definition, figure) for definition, figure in report.figures],
    }


def as_csv(report: Report) -> bytes:
    """One row per figure (long format), UTF-8 with BOM, CRLF. No cell can be taken for a formula."""
    told = as_json(report)
    items = told["items"]
    if not isinstance(items, list):
        raise TypeError("items")
    head = {"period": report.period.code, "as_known_at": told["as_known_at"], "complete": int(report.complete)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([*head, *items[0]])
    for item in items:
        writer.writerow([*map(_cell, head.values()), *map(_cell, item.values())])
    return text.getvalue().encode("utf-8-sig")


def _item(definition: Definition, figure: Figure) -> dict[str, object]:
    parts = definition.parts
    return {
        "key": definition.key,
        "version": definition.version,
        "name_ja": definition.name_ja,
        "name_en": definition.name_en,
        "resource": figure.resource,
        "value": _value(figure.value, definition.unit),
        "unit": definition.unit.code,
        "unit_ja": definition.unit.ja,
        "unit_en": definition.unit.en,
        "numerator": None if figure.numerator is None else plain(figure.numerator),
        "denominator": None if figure.denominator is None else plain(figure.denominator),
        "parts_unit": None if parts is None else parts.code,
        "caveat_ja": definition.caveat_ja,
        "caveat_en": definition.caveat_en,
    }


def _value(value: Decimal | None, unit: Unit) -> int | str | None:
    if value is None:
        return None
    return int(value) if unit.counted else plain(value)


def plain(value: Decimal) -> str:
    """Exact, without exponent and needless zeros."""
    return f"{value.normalize() if value else Decimal(0):f}"


def _cell(value: object) -> object:
    """A text that a spreadsheet would calculate gets an apostrophe. Numbers of ours are no such text."""
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").replace(".", "", 1).isdigit()


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
