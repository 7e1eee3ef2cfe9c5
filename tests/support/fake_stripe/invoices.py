"""Invoices and credit notes: draft, lines, finalise, send, pay, void."""

from __future__ import annotations

from typing import Any

from tests.support.fake_stripe.cash import apply_cash, settle_intent
from tests.support.fake_stripe.world import JPY, MINIMUM_CHARGE_YEN, Refused, Thing, World


def create_invoice(world: World, params: dict[str, Any]) -> Thing:
    customer = world.get("customer", params["customer"])
    if params.get("currency") != JPY:
        raise Refused(f"Invalid currency: {params.get('currency')}")
    number = params.get("number")
    if number and world.all("invoice", where=lambda each: each["number"] == number):
        raise Refused(f"The invoice number {number} is already in use.", code="invoice_number_in_use")
    sends = params.get("collection_method") == "send_invoice"
    if sends and not {"due_date", "days_until_due"} & set(params):
        raise Refused("If invoices are sent, one of days_until_due or due_date must be given.")
    return world.add(
        "in",
        "invoice",
        customer=customer["id"],
        currency=JPY,
        number=number,
        status="draft",
        collection_method=params.get("collection_method", "charge_automatically"),
        auto_advance=params.get("auto_advance", False),
        due_date=params.get("due_date"),
        payment_settings=params.get("payment_settings", {}),
        metadata=params.get("metadata", {}),
        lines={"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/lines"},
        subtotal=0,
        total=0,
        amount_due=0,
        amount_paid=0,
        amount_remaining=0,
        pre_payment_credit_notes_amount=0,
        post_payment_credit_notes_amount=0,
        hosted_invoice_url=None,
        status_transitions={"finalized_at": None, "paid_at": None, "voided_at": None},
    )


def add_lines(world: World, identity: str, params: dict[str, Any]) -> Thing:
    invoice = _in_status(world, identity, "draft")
    for line in params["lines"]:
        taxes = line.get("tax_amounts", [])
        for tax in taxes:
            if not tax["tax_rate_data"]["display_name"] or tax["tax_rate_data"]["inclusive"]:
                raise Refused("only named, exclusive taxes are used here")
        made = world.add("il", "line_item", amount=line["amount"], description=line.get("description"), taxes=taxes)
        invoice["lines"]["data"].append(made)
    _sum(invoice)
    return invoice


def _sum(invoice: Thing) -> None:
    lines = invoice["lines"]["data"]
    invoice["subtotal"] = sum(line["amount"] for line in lines)
    invoice["total"] = invoice["subtotal"] + sum(tax["amount"] for line in lines for tax in line["taxes"])
    invoice["amount_due"] = invoice["amount_remaining"] = max(invoice["total"], 0)


def finalize(world: World, identity: str, _: dict[str, Any]) -> Thing:
    invoice = _in_status(world, identity, "draft")
    customer = world.get("customer", invoice["customer"])
    invoice["status_transitions"]["finalized_at"] = world.now_s
    invoice["hosted_invoice_url"] = f"https://invoice.stripe.test/{invoice['id']}"
    invoice["status"] = "open"
    world.tell("invoice.finalized", invoice)
    if invoice["total"] < MINIMUM_CHARGE_YEN:  # Stripe's own rule, which nobody here should ever meet
        customer["balance"] += invoice["total"]
        _pay(world, invoice)
        return invoice
    intent = world.add(
        "pi",
        "payment_intent",
        amount=invoice["total"],
        amount_received=0,
        currency=JPY,
        customer=customer["id"],
        status="requires_action",
        payment_method_types=["customer_balance"],
    )
    world.add(
        "inpay",
        "invoice_payment",
        invoice=invoice["id"],
        currency=JPY,
        amount_requested=invoice["total"],
        amount_paid=None,
        is_default=True,
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
    )
    reconcile(world, customer)
    return invoice


def send(world: World, identity: str, _: dict[str, Any]) -> Thing:
    invoice = world.get("invoice", identity)
    if invoice["status"] not in {"open", "paid"}:
        raise Refused("You can only send finalised invoices.")
    world.tell("invoice.sent", invoice)
    return invoice


def void(world: World, identity: str, _: dict[str, Any]) -> Thing:
    invoice = _in_status(world, identity, "open")
    invoice["status"], invoice["status_transitions"]["voided_at"] = "void", world.now_s
    _close_payment(world, invoice, "canceled")
    world.tell("invoice.voided", invoice)
    return invoice


def delete_draft(world: World, identity: str, _: dict[str, Any]) -> Thing:
    _in_status(world, identity, "draft")
    del world.things[identity]
    return {"id": identity, "object": "invoice", "deleted": True}


def pay(world: World, identity: str, params: dict[str, Any]) -> Thing:
    """Only what was paid elsewhere: nobody is charged through this route here."""
    if not params.get("paid_out_of_band"):
        raise Refused("This invoice can only be marked as paid.")
    invoice = _in_status(world, identity, "open")
    _close_payment(world, invoice, "canceled")
    world.add(
        "inpay",
        "invoice_payment",
        invoice=invoice["id"],
        currency=JPY,
        amount_requested=invoice["amount_remaining"],
        amount_paid=invoice["amount_remaining"],
        is_default=False,
        status="paid",
        status_transitions={"canceled_at": None, "paid_at": world.now_s},
        payment={"type": "payment_record", "payment_record": "pr_elsewhere"},
    )
    _pay(world, invoice)
    return invoice


def reconcile(world: World, customer: Thing) -> None:
    """Money in the cash balance pays open invoices: one of exactly its amount first, else the oldest that it covers.

    An invoice is never part-paid.
    """
    while cash := world.get("cash_balance", f"cash_{customer['id']}")["available"].get(JPY, 0):
        opens = world.all("invoice", where=lambda each: each["customer"] == customer["id"] and each["status"] == "open")
        fits = [each for each in reversed(opens) if each["amount_remaining"] <= cash]
        exact = [each for each in fits if each["amount_remaining"] == cash]
        if not fits:
            return
        invoice = (exact or fits)[0]
        payment = _close_payment(world, invoice, "paid")
        intent = world.get("payment_intent", payment["payment"]["payment_intent"])
        apply_cash(world, customer, invoice["amount_remaining"], intent)
        settle_intent(world, intent, invoice["amount_remaining"])
        _pay(world, invoice)


def _pay(world: World, invoice: Thing) -> None:
    invoice["status"], invoice["status_transitions"]["paid_at"] = "paid", world.now_s
    invoice["amount_paid"], invoice["amount_remaining"] = invoice["amount_remaining"], 0
    world.tell("invoice.paid", invoice)


def _close_payment(world: World, invoice: Thing, status: str) -> Thing:
    """The invoice's own open payment."""
    [payment] = world.all(
        "invoice_payment", where=lambda each: each["invoice"] == invoice["id"] and each["status"] == "open"
    )
    payment["status"] = status
    if status == "paid":
        payment["amount_paid"] = invoice["amount_remaining"]
        payment["status_transitions"]["paid_at"] = world.now_s
    return payment


def create_credit_note(world: World, params: dict[str, Any]) -> Thing:
    invoice = world.get("invoice", params["invoice"])
    amount = params.get("amount", 0)
    parts = {name: params.get(name, 0) for name in ("refund_amount", "credit_amount", "out_of_band_amount")}
    if invoice["status"] == "open":
        if not 0 < amount <= invoice["amount_remaining"]:
            raise Refused("The credit note is larger than what remains of the invoice.", code="credit_note_too_large")
        invoice["amount_remaining"] -= amount
        invoice["amount_due"] -= amount
        invoice["pre_payment_credit_notes_amount"] += amount
    elif invoice["status"] == "paid":
        free = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
        if sum(parts.values()) != amount or not 0 < amount <= free:
            raise Refused("What is refunded, credited and settled elsewhere must be the note's amount.")
        invoice["post_payment_credit_notes_amount"] += amount
    else:
        raise Refused(f"A {invoice['status']} invoice has no credit notes.")
    note = world.add(
        "cn",
        "credit_note",
        invoice=invoice["id"],
        customer=invoice["customer"],
        amount=amount,
        total=amount,
        currency=JPY,
        status="issued",
        metadata=params.get("metadata", {}),
        memo=params.get("memo"),
        **parts,
    )
    world.tell("credit_note.created", note)
    if invoice["status"] == "open" and not invoice["amount_remaining"]:
        _close_payment(world, invoice, "canceled")
        _pay(world, invoice)
    elif invoice["status"] == "open":
        reconcile(world, world.get("customer", invoice["customer"]))
    return note


def _in_status(world: World, identity: str, status: str) -> Thing:
    invoice = world.get("invoice", identity)
    if invoice["status"] != status:
        raise Refused(f"This invoice is {invoice['status']}, not {status}.", code="invoice_not_editable")
    return invoice
