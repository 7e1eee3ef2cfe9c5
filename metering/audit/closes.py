"""Does a closed month's document say what its rated lines come to, to the yen, and do the books say the same? Pure.

The rules, in this module's own words: of each tax rate the charges, less what grants paid of each job and less what
the document takes off, are cut to whole yen and taxed once, cut again, of either sign. Grants pay a job's first
charges, then prepaid value with the tax, then credit. A yen that prepaid value has begun to pay is not asked for. What
is taken off is first taken off what would be asked for; what the document puts back on is drawn of
prepaid value that is there, or asked for. What is to be
given back is either taken off documents that are open or carried on, never both.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from metering.audit.model import Difference

_MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMonth:
    """What a job is billed in a month, and up to its end; what its hold claimed, by kind of lot."""

    tax_rate_bp: int
    charged: int
    up_to: int
    claimed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedMonth:
    """An organisation's closed month as it is kept. document: its amounts; None: none was issued."""

    subject: str
    jobs: Sequence[JobMonth]
    kept: Mapping[str, int]
    """charged, granted, tax, prepaid, credit in micro-yen; carried_in, carried_out, and credited (what lowers documents
    still open) in yen.
    """
    document: Mapping[str, int] | None
    content: Mapping[str, Any]
    sha256: str
    posted: Mapping[str, int]
    """Bucket → what the issue of the document posted; prepaid: to lots of prepaid value."""


@dataclass(slots=True)
class _Paid:
    granted: int = 0
    tax: int = 0
    prepaid: int = 0
    credit: int = 0


def check_close(month: ClosedMonth) -> list[Difference]:
    """Every side that is not as the lines demand."""
    return [
        Difference(
            check="closed-month-differs", subject=f"{month.subject} {what}", expected=str(wanted), found=str(found)
        )
        for what, wanted, found in _sides(month)
        if wanted != found
    ]


def _sides(month: ClosedMonth) -> Iterable[tuple[str, object, object]]:
    paid = _Paid()
    taxable: dict[int, int] = defaultdict(int)
    for job in month.jobs:
        after, before = _paid(job, job.up_to), _paid(job, job.up_to - job.charged)
        taxable[job.tax_rate_bp] += job.charged - after.granted + before.granted
        for name in ("granted", "tax", "prepaid", "credit"):
            setattr(paid, name, getattr(paid, name) + getattr(after, name) - getattr(before, name))
    kept = {name: month.kept[name] for name in ("charged", "granted", "tax", "prepaid", "credit")}
    wanted = {
        "charged": sum(job.charged for job in month.jobs),
        "granted": paid.granted,
        "tax": paid.tax,
        "prepaid": paid.prepaid,
        "credit": paid.credit,
    }
    yield "account", wanted, kept
    if month.document is None:
        yield "lines without a document", 0, sum(job.charged for job in month.jobs)
        yield "carried", month.kept["carried_in"], month.kept["carried_out"]
        yield "credited", 0, month.kept["credited"]
        return
    yield from _document(month, month.document, taxable, paid)


def _paid(job: JobMonth, net: int) -> _Paid:
    granted = min(net, job.claimed.get("grant", 0))
    tax = (net - granted) * job.tax_rate_bp // 10_000
    gross = net - granted + tax
    prepaid = min(gross, job.claimed.get("prepaid", 0))
    return _Paid(granted=granted, tax=tax, prepaid=prepaid, credit=gross - prepaid)


def _document(
    month: ClosedMonth, told: Mapping[str, int], taxable: Mapping[int, int], paid: _Paid
) -> Iterable[tuple[str, object, object]]:
    off = _taken_off(month.content)
    groups = {rate: _cut(micro + off.get(rate, 0), _MICRO) for rate, micro in sorted(taxable.items())}
    taxes = {rate: _cut(yen * rate, 10_000) for rate, yen in groups.items()}
    shown = {group["tax_rate_bp"]: group for group in month.content["groups"]}
    yield "taxable", groups, {rate: group["taxable_yen"] for rate, group in shown.items()}
    yield "tax", taxes, {rate: group["tax_yen"] for rate, group in shown.items()}
    yield "lines", groups, {rate: sum(each["charged_yen"] for each in shown[rate]["lines"]) for rate in shown}
    total = sum(groups.values()) + sum(taxes.values())
    due = _due(taxable, total, paid, max(0, -month.posted.get("prepaid", 0) // _MICRO))
    amounts = {
        "subtotal_yen": sum(groups.values()),
        "tax_yen": sum(taxes.values()),
        "total_yen": total,
        "prepaid_applied_yen": total - due,
        "carried_in_yen": month.kept["carried_in"],
        "carried_out_yen": month.kept["carried_out"],
        "amount_due_yen": due + month.kept["carried_in"] - month.kept["carried_out"] + month.kept["credited"],
        "credited_yen": month.kept["credited"],
    }
    yield "amounts", amounts, dict(told)
    yield "paper", amounts, {name: month.content.get(name, 0) for name in amounts}
    yield "content", _digest(month.content), month.sha256
    wanted = {
        "earned": amounts["subtotal_yen"] * _MICRO - sum(taxable.values()),
        "tax": amounts["tax_yen"] * _MICRO - paid.tax,
        "owed": paid.credit - due * _MICRO,
    }
    yield "posted", wanted, {bucket: month.posted.get(bucket, 0) for bucket in wanted}


def _due(taxable: Mapping[int, int], total: int, paid: _Paid, drawn: int) -> int:
    """Of this month alone; below 0: what is given back. drawn: of prepaid value, for what is put back on."""
    whole = {rate: _cut(micro, _MICRO) for rate, micro in taxable.items()}
    before = sum(yen + _cut(yen * rate, 10_000) for rate, yen in whole.items())
    asked = before + -paid.prepaid // _MICRO
    asked = max(asked, 0) if paid.credit > 0 else min(asked, 0) if paid.credit else 0
    asked -= min(before - total, max(asked, 0))
    return asked - min(drawn, max(total - before, 0), max(asked, 0))


def _taken_off(content: Mapping[str, Any]) -> dict[int, int]:
    """By what is neither use nor a grant: a negative line by a rule of its own."""
    off: dict[int, int] = defaultdict(int)
    for group in content["groups"]:
        for line in group["lines"]:
            if line["kind"] not in {"usage", "grant"}:
                off[group["tax_rate_bp"]] += line["charged_micro_yen"]
    return off


def _cut(dividend: int, divisor: int) -> int:
    return abs(dividend) // divisor * (1 if dividend >= 0 else -1)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def whole(amount: Decimal | int | None) -> int:
    """A sum as the database gives it."""
    return int(amount or 0)
