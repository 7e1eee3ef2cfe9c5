"""What somebody is to pay, to the yen, as Stripe is told it. Pure.

Amounts are whole yen. Stripe knows taxes by line only: the tax of a rate, rounded once, is split over its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

_OTHERS = (
    ("前払金充当", -1, "prepaid_applied_yen"),
    ("前月以前からの繰越", 1, "carried_in_yen"),
    ("翌月以降への繰越", -1, "carried_out_yen"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectLine:
    """amount_yen: without tax; may be below zero (a discount, or what prepaid value has paid already)."""

    description: str
    amount_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedLines:
    """All lines of one rate, and the tax on their sum, rounded once (pricing/invoicing.py)."""

    rate_bp: int
    tax_yen: int
    lines: tuple[CollectLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collectable:
    """A document of ours that somebody is to pay, under its own number. ValueError: it does not add up to the yen."""

    document_id: UUID
    organisation_id: UUID
    number: str
    due_date: date
    amount_yen: int
    groups: tuple[TaxedLines, ...]
    others: tuple[CollectLine, ...] = ()
    """Without tax: prepaid value applied (below zero), what was carried in or out."""

    def __post_init__(self) -> None:
        taxed = sum(group.tax_yen + sum(line.amount_yen for line in group.lines) for group in self.groups)
        if taxed + sum(line.amount_yen for line in self.others) != self.amount_yen or self.amount_yen <= 0:
            raise ValueError(f"{self.number} does not come to {self.amount_yen} yen")

    @classmethod
    def of_document(cls, document_id: UUID, issued: Mapping[str, Any]) -> Collectable:
        """An issued document (organisation_id, number, due_date, amount_due_yen, content): one line for each rate.

        The paper itself is ours; Stripe shows what is to be paid, and the tax by rate.
        """
        content = issued["content"]
        groups = [
            TaxedLines(
                rate_bp=each["tax_rate_bp"],
                tax_yen=each["tax_yen"],
                lines=(CollectLine(description=f"ご利用料金 {content['month']}", amount_yen=each["taxable_yen"]),),
            )
            for each in content["groups"]
        ]
        others = [
            CollectLine(description=words, amount_yen=sign * content[name])
            for words, sign, name in _OTHERS
            if content[name]
        ]
        return cls(
            document_id=document_id,
            organisation_id=issued["organisation_id"],
            number=issued["number"],
            due_date=issued["due_date"],
            amount_yen=issued["amount_due_yen"],
            groups=tuple(groups),
            others=tuple(others),
        )

    @classmethod
    def of_json(cls, content: Mapping[str, Any], **facts: Any) -> Collectable:
        """As it was kept."""
        groups = tuple(
            TaxedLines(rate_bp=each["rate_bp"], tax_yen=each["tax_yen"], lines=_lines(each["lines"]))
            for each in content["groups"]
        )
        return cls(groups=groups, others=_lines(content["others"]), **facts)

    def to_json(self) -> dict[str, object]:
        """As it is kept with the receivable."""
        return {
            "groups": [
                {"rate_bp": each.rate_bp, "tax_yen": each.tax_yen, "lines": _lines_json(each.lines)}
                for each in self.groups
            ],
            "others": _lines_json(self.others),
        }


def split_tax(tax_yen: int, amounts_yen: Sequence[int]) -> list[int]:
    """A tax that was rounded once, over lines: in proportion, by the largest remainder, exactly. Ties: the earlier.

    Stripe knows taxes by line only; their sum must be ours. 国税庁「インボイス制度に関するQ&A」問57.
    """
    total = sum(amounts_yen)
    if total == 0:
        if tax_yen or not amounts_yen:
            raise ValueError("a tax on nothing")
        return [0] * len(amounts_yen)
    shares = [divmod(tax_yen * amount, total) for amount in amounts_yen]
    whole = [quotient for quotient, _ in shares]
    missing = tax_yen - sum(whole)
    by_remainder = sorted(range(len(whole)), key=lambda i: (-abs(shares[i][1]), i))
    for i in by_remainder[:missing]:
        whole[i] += 1
    return whole


def _lines_json(lines: Iterable[CollectLine]) -> list[dict[str, object]]:
    return [{"description": each.description, "amount_yen": each.amount_yen} for each in lines]


def _lines(told: Iterable[Mapping[str, Any]]) -> tuple[CollectLine, ...]:
    return tuple(CollectLine(description=each["description"], amount_yen=each["amount_yen"]) for each in told)
