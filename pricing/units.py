"""Exact amounts: money in micro-yen, quantities in micro-units, both plain integers. Nothing here rounds unseen.

A price is an amount of micro-yen for `per` units. Rated amounts round down, ceilings round up: what is charged never
exceeds what was promised. Decision record: infra/decisions/0009-money-in-micro-yen.md.
"""

from __future__ import annotations

from decimal import Decimal

MICRO = 1_000_000
_BASIS_POINTS = 10_000


def micro(value: Decimal | int | str) -> int:
    """Yen to micro-yen, or units to micro-units; exact. ValueError for more than six decimal places or no number."""
    scaled = Decimal(value) * MICRO
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{value} is not a number with at most six decimal places")
    return int(scaled)


def in_micro_yen(amount: Decimal, exchange_rate: Decimal) -> int:
    """An amount in another currency as micro-yen, rounded down. ValueError: it is no number, or below zero."""
    value = amount * exchange_rate * MICRO
    if not value.is_finite() or value < 0:
        raise ValueError(f"{amount} at {exchange_rate} is no price")
    return int(value)


def decimal(micro_value: int) -> Decimal:
    """Back from micro: exact, six decimal places."""
    return Decimal(micro_value).scaleb(-6)


def yen_text(micro_yen: int) -> str:
    """Micro-yen as a decimal string of yen, exact, without needless zeros: '1200', '0.25', '-3.000001'."""
    whole, part = divmod(abs(micro_yen), MICRO)
    sign = "-" if micro_yen < 0 else ""
    return f"{sign}{whole}" + (f".{part:06d}".rstrip("0") if part else "")


def ceil_div(dividend: int, divisor: int) -> int:
    """Quotient rounded up."""
    return -(-dividend // divisor)


def amount_down(quantity_micro: int, *, price_micro_yen: int, per_micro: int) -> int:
    """What a quantity costs, rounded down to a micro-yen."""
    return quantity_micro * price_micro_yen // per_micro


def amount_up(quantity_micro: int, *, price_micro_yen: int, per_micro: int) -> int:
    """What a quantity costs at most, rounded up to a micro-yen."""
    return ceil_div(quantity_micro * price_micro_yen, per_micro)


def tax_on(net_micro_yen: int, tax_rate_bp: int) -> int:
    """Consumption tax on a net amount, rounded down to a micro-yen. Yen are made on the invoice, once per rate."""
    return net_micro_yen * tax_rate_bp // _BASIS_POINTS


def without_tax(gross_micro_yen: int, tax_rate_bp: int) -> int:
    """The largest net amount that is no more than this with its tax. Of amounts from 0."""
    return ceil_div((gross_micro_yen + 1) * _BASIS_POINTS, _BASIS_POINTS + tax_rate_bp) - 1


def with_tax(net_micro_yen: int, tax_rate_bp: int) -> int:
    """Net amount plus its tax."""
    return net_micro_yen + tax_on(net_micro_yen, tax_rate_bp)
