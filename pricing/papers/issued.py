"""The paper of a document as it was issued: from its frozen content to a sheet, whatever kind it is.

The content is what pricing/billing.py and pricing/receipts.py wrote (`form` 1); sums are shown, never made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from infra.paper.sheet import Sheet, Words
from pricing.model import Component
from pricing.papers.credit_note import CreditNotePaper, Returned, credit_note_sheet
from pricing.papers.invoice import InvoicePaper, RateSum, Reduction, UsageLine, invoice_sheet, usage_sheet
from pricing.papers.parties import Issuer, Receiver
from pricing.papers.receipt import Paid, ReceiptPaper, receipt_sheet

_REDUCTIONS: Final = {
    "grant": Words("補助金・特典による減額", "Covered by grants"),
    "promotion": Words("キャンペーン割引", "Promotion"),
    "discount_returned": Words("返還分に係る割引の戻し", "Discount of what is given back"),
    "volume_discount": Words("数量割引（月間）", "Volume discount of the month"),
}
_MEANS: Final = {
    "bank_transfer": Words("銀行振込", "Bank transfer"),
    "card": Words("クレジットカード", "Card"),
    "konbini": Words("コンビニエンスストア", "Convenience store"),
}


def sheet_of(content: Mapping[str, Any], *, issued_at: datetime, annex_csv: str) -> Sheet:
    """The paper. annex_csv: the rows behind its lines, which travel in the file of an invoice.

    ValueError: a kind or form that no paper is known for.
    """
    if content.get("form") != 1:
        raise ValueError(f"no paper knows form {content.get('form')}")
    match content["kind"]:
        case "invoice":
            return invoice_sheet(_invoice(content, issued_at, annex_csv))
        case "usage":
            return usage_sheet(_invoice(content, issued_at, annex_csv))
        case "credit_note":
            return credit_note_sheet(_credit_note(content, issued_at))
        case "receipt":
            return receipt_sheet(_receipt(content, issued_at))
        case kind:
            raise ValueError(f"no paper is known for {kind}")


def _invoice(content: Mapping[str, Any], issued_at: datetime, annex_csv: str) -> InvoicePaper:
    lines = list(_lines(content))
    return InvoicePaper(
        number=content["number"],
        issue_date=_day(content["issue_date"]),
        due_date=_day(content["due_date"]) if content["due_date"] else None,
        first=_day(content["first"]),
        last=_day(content["last"]),
        issuer=_issuer(content),
        receiver=_receiver(content),
        lines=tuple(_usage_line(line, rate_bp) for line, rate_bp in lines if line["kind"] == "usage"),
        reductions=tuple(_reduction(line, rate_bp) for line, rate_bp in lines if line["kind"] != "usage"),
        rates=_rates(content),
        carried_in_yen=content["carried_in_yen"],
        carried_out_yen=content["carried_out_yen"],
        credited_yen=content.get("credited_yen", 0),
        prepaid_applied_yen=content["prepaid_applied_yen"],
        amount_due_yen=content["amount_due_yen"],
        annex_csv=annex_csv,
        issued_at=issued_at,
    )


def _credit_note(content: Mapping[str, Any], issued_at: datetime) -> CreditNotePaper:
    """Its sums are negative in the books; the paper says what the customer gets back."""
    original = content["originals"][0]
    month = date.fromisoformat(f"{original['month']}-01")
    return CreditNotePaper(
        number=content["number"],
        issue_date=_day(content["issue_date"]),
        original_number=original["number"],
        original_date=_day(original["issue_date"]),
        month=month,
        issuer=_issuer(content),
        receiver=_receiver(content),
        returned=tuple(
            Returned(
                what=_what(line),
                reason=_why(line),
                amount_yen=-line["charged_yen"],
                tax_rate_bp=rate_bp,
            )
            for line, rate_bp in _lines(content)
        ),
        rates=tuple(
            RateSum(tax_rate_bp=each.tax_rate_bp, taxable_yen=-each.taxable_yen, tax_yen=-each.tax_yen)
            for each in _rates(content)
        ),
        how=_how(content),
        issued_at=issued_at,
    )


def _receipt(content: Mapping[str, Any], issued_at: datetime) -> ReceiptPaper:
    return ReceiptPaper(
        number=content["number"],
        issue_date=_day(content["issue_date"]),
        received_on=_day(content["received_on"]),
        means=_MEANS.get(content["means"], Words(content["means"], content["means"])),
        issuer=_issuer(content),
        receiver=_receiver(content),
        parts=tuple(Paid(what=_paid_for(each), amount_yen=each["amount_yen"]) for each in content["parts"]),
        issued_at=issued_at,
    )


def _lines(content: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every line with its tax rate."""
    for group in content["groups"]:
        for line in group["lines"]:
            yield line, group["tax_rate_bp"]


def _usage_line(line: Mapping[str, Any], rate_bp: int) -> UsageLine:
    return UsageLine(
        project=(line["project"] or {}).get("slug") or "—",
        offering=_offering(line),
        component=Component(line["component"]),
        quantity=Decimal(line["quantity"]),
        list_yen=line["list_yen"],
        discount_yen=line["discount_yen"] + line["waived_yen"],
        amount_yen=line["charged_yen"],
        tax_rate_bp=rate_bp,
    )


def _offering(line: Mapping[str, Any]) -> Words:
    """Of what is known later the month of use, and the document that it changes."""
    named = Words(line["offering"]["title_ja"], line["offering"]["title_en"])
    original = line["original"]
    if original is None:
        return named
    month = line["used_in"]
    return Words(
        f"{named.ja}（{month} 分の訂正、{original['number']}）",
        f"{named.en} (correction of {month}, {original['number']})",
    )


def _what(line: Mapping[str, Any]) -> Words:
    return _offering(line) if line["kind"] == "usage" else _name_of(line)


def _why(line: Mapping[str, Any]) -> Words:
    if line["kind"] != "usage":
        return Words("上記に伴う調整", "Follows from the above")
    return Words("ご利用実績の訂正・減免", "Correction or waiver of use")


def _reduction(line: Mapping[str, Any], rate_bp: int) -> Reduction:
    return Reduction(what=_name_of(line), amount_yen=line["charged_yen"], tax_rate_bp=rate_bp)


def _name_of(line: Mapping[str, Any]) -> Words:
    return _REDUCTIONS.get(line["kind"], Words(line["kind"], line["kind"]))


def _how(content: Mapping[str, Any]) -> Words:
    if content["amount_due_yen"] > 0:
        yen, day = f"{content['amount_due_yen']:,}", content["due_date"]
        return Words(
            f"残高にお戻ししました。後払い分など {yen} 円を {day} までにお支払いください。",
            f"It has been given back to your balance. Please pay {yen} yen, due for use on credit, by {day}.",
        )
    if content["carried_out_yen"] < 0:
        return Words("次回以降のご請求から差し引きます。", "It is deducted from the next invoices.")
    if content.get("credited_yen", 0):
        return Words(
            "未払いのご請求から差し引きました。", "It has been deducted from what is still open of earlier invoices."
        )
    return Words("残高にお戻ししました。", "It has been given back to your balance.")


def _paid_for(part: Mapping[str, Any]) -> Words:
    if part["what"] == "invoice":
        return Words(f"計算資源利用料として（請求書 {part['number']}）", f"Use of computers (invoice {part['number']})")
    return Words("計算資源利用料の前払金として", "Prepaid value for the use of computers")


def _rates(content: Mapping[str, Any]) -> tuple[RateSum, ...]:
    return tuple(
        RateSum(tax_rate_bp=group["tax_rate_bp"], taxable_yen=group["taxable_yen"], tax_yen=group["tax_yen"])
        for group in content["groups"]
    )


def _issuer(content: Mapping[str, Any]) -> Issuer:
    return Issuer(**content["issuer"])


def _receiver(content: Mapping[str, Any]) -> Receiver:
    return Receiver(name=content["recipient"]["name"])


def _day(text: str) -> date:
    return date.fromisoformat(text)
