"""Customers, their cash balance, payment intents, Checkout, refunds."""

from __future__ import annotations

from typing import Any

from tests.support.fake_stripe.world import JPY, MINIMUM_CHARGE_YEN, SEARCH_LAG_S, Refused, Thing, World


def create_customer(world: World, params: dict[str, Any]) -> Thing:
    for each in params.get("tax_id_data", []):
        digits = {"jp_trn": 14, "jp_cn": 13}.get(each["type"])
        if digits is None or len(each["value"]) != digits:
            raise Refused(f"Invalid value for {each['type']}.", code="tax_id_invalid")
    given = {name: params.get(name) for name in ("name", "email", "address", "preferred_locales")}
    customer = world.add("cus", "customer", **given, balance=0, metadata=params.get("metadata", {}))
    world.things[f"cash_{customer['id']}"] = {
        "id": f"cash_{customer['id']}",
        "object": "cash_balance",
        "created": world.now_s,
        "customer": customer["id"],
        "available": {},
        "livemode": False,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }
    world.tell("customer.created", customer)
    return customer


def search_customers(world: World, params: dict[str, Any]) -> Thing:
    name, _, value = params["query"].removeprefix("metadata['").partition("']:")
    found = world.all("customer", where=lambda each: each["metadata"].get(name) == value.strip("'"))
    indexed = [each for each in found if each["created"] <= world.now_s - SEARCH_LAG_S]
    return {"object": "search_result", "url": "/v1/customers/search", "has_more": False, "data": indexed}


def cash_balance(world: World, identity: str, _: dict[str, Any]) -> Thing:
    world.get("customer", identity)
    return world.get("cash_balance", f"cash_{identity}")


def cash_transactions(world: World, identity: str, params: dict[str, Any]) -> Thing:
    world.get("customer", identity)
    found = world.all("customer_cash_balance_transaction", where=lambda each: each["customer"] == identity)
    return world.page(found, params, f"/v1/customers/{identity}/cash_balance_transactions")


def move_cash(world: World, customer: Thing, amount: int, kind: str, **facts: Any) -> Thing:
    """Money into the cash balance, or out of it."""
    balance = world.get("cash_balance", f"cash_{customer['id']}")
    left = balance["available"].get(JPY, 0) + amount
    if left < 0:
        raise Refused("The customer's cash balance does not suffice.", code="cash_balance_insufficient")
    balance["available"] = {JPY: left} if left else {}
    moved = world.add(
        "ccsbtxn",
        "customer_cash_balance_transaction",
        customer=customer["id"],
        currency=JPY,
        net_amount=amount,
        ending_balance=left,
        type=kind,
        **facts,
    )
    world.tell("customer_cash_balance_transaction.created", moved)
    return moved


def apply_cash(world: World, customer: Thing, amount: int, intent: Thing) -> None:
    facts = {"payment_intent": intent["id"]}
    move_cash(world, customer, -amount, "applied_to_payment", applied_to_payment=facts)


def settle_intent(world: World, intent: Thing, amount: int) -> None:
    """The money is ours: a charge."""
    charge = world.add(
        "ch",
        "charge",
        amount=amount,
        amount_refunded=0,
        currency=intent["currency"],
        customer=intent["customer"],
        payment_intent=intent["id"],
        status="succeeded",
        disputed=False,
    )
    intent.update(status="succeeded", amount_received=amount, latest_charge=charge["id"])
    world.tell("charge.succeeded", charge)
    world.tell("payment_intent.succeeded", intent)


def create_intent(world: World, params: dict[str, Any]) -> Thing:
    """Money that lies in the cash balance is taken: the only use of this route here."""
    if params["currency"] != JPY or params.get("payment_method_data", {}).get("type") != "customer_balance":
        raise Refused("Only a customer's cash balance in yen is taken by this route here.")
    customer = world.get("customer", params["customer"])
    intent = world.add(
        "pi",
        "payment_intent",
        amount=params["amount"],
        amount_received=0,
        currency=JPY,
        customer=customer["id"],
        status="requires_action",
        metadata=params.get("metadata", {}),
    )
    if params.get("confirm"):
        apply_cash(world, customer, params["amount"], intent)
        settle_intent(world, intent, params["amount"])
    return intent


def create_session(world: World, params: dict[str, Any]) -> Thing:
    items = params["line_items"]
    total = sum(each["price_data"]["unit_amount"] * each.get("quantity", 1) for each in items)
    if {each["price_data"]["currency"] for each in items} != {JPY}:
        raise Refused("Only yen are used here.")
    if total < MINIMUM_CHARGE_YEN:
        raise Refused(f"The total must be at least {MINIMUM_CHARGE_YEN} yen.", code="amount_too_small")
    session = world.add(
        "cs",
        "checkout.session",
        mode=params["mode"],
        customer=params.get("customer"),
        amount_total=total,
        currency=JPY,
        status="open",
        payment_status="unpaid",
        payment_intent=None,
        client_reference_id=params.get("client_reference_id"),
        metadata=params.get("metadata", {}),
        intent_metadata=params.get("payment_intent_data", {}).get("metadata", {}),
    )
    session["url"] = f"https://checkout.stripe.test/{session['id']}"
    return session


def create_refund(world: World, params: dict[str, Any]) -> Thing:
    if params.get("origin") == "customer_balance":
        customer = world.get("customer", params["customer"])
        refund = _refund(world, params, payment_intent=None, charge=None, amount=params["amount"])
        facts = {"refund": refund["id"]}
        move_cash(world, customer, -params["amount"], "refunded_from_payment", refunded_from_payment=facts)
        world.tell("refund.created", refund)
        return refund
    intent = world.get("payment_intent", params["payment_intent"])
    charge = world.get("charge", intent.get("latest_charge") or "")
    amount = params.get("amount", charge["amount"] - charge["amount_refunded"])
    if not 0 < amount <= charge["amount"] - charge["amount_refunded"]:
        raise Refused("The refund is larger than what is left of the charge.", code="charge_already_refunded")
    charge["amount_refunded"] += amount
    refund = _refund(world, params, payment_intent=intent["id"], charge=charge["id"], amount=amount)
    world.tell("refund.created", refund)
    world.tell("charge.refunded", charge)
    return refund


def _refund(world: World, params: dict[str, Any], **facts: Any) -> Thing:
    return world.add("re", "refund", currency=JPY, status="succeeded", metadata=params.get("metadata", {}), **facts)
