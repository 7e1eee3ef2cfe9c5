"""Amounts and quantities as papers show them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from infra.paper.sheet import Words
from pricing.model import Component

_SECONDS_PER_HOUR = Decimal(3600)
_THOUSANDTH = Decimal("0.001")
_HOURS = {Component.GPU_S: "GPU時間", Component.SIM_S: "装置時間"}
_SECONDS = {Component.QPU_S: "QPU秒", Component.SESSION_S: "セッション秒"}

COMPONENTS = {
    Component.GPU_S: Words("GPU", "GPU time"),
    Component.QPU_S: Words("QPU", "QPU time"),
    Component.SHOT: Words("ショット", "Shots"),
    Component.SESSION_S: Words("セッション", "Session time"),
    Component.SIM_S: Words("シミュレータ", "Simulator time"),
}
QUANTITIES_NOTE = Words(
    "数量は小数第3位までを四捨五入して表示しています。金額は端数を含む数量から計算しています。",
    "Quantities are shown to three decimal places, rounded half up; amounts come from the exact quantities.",
)


def yen(amount_yen: int) -> str:
    """'1,234', '-1,234'."""
    return f"{amount_yen:,}"


def with_sign(amount_yen: int) -> str:
    """'¥1,234': the amount that a paper is about."""
    return f"¥{amount_yen:,}" if amount_yen >= 0 else f"-¥{-amount_yen:,}"


def percent(tax_rate_bp: int) -> str:
    """Basis points as '10%' or '7.8%'."""
    return f"{(Decimal(tax_rate_bp) / 100).normalize():f}%"


def quantity(component: Component, amount: Decimal) -> str:
    """What was used, in the unit that people know: hours of GPUs, seconds of QPUs, shots."""
    if component in _HOURS:
        return f"{_shown(amount / _SECONDS_PER_HOUR)} {_HOURS[component]}"
    if component in _SECONDS:
        return f"{_shown(amount)} {_SECONDS[component]}"
    return f"{_shown(amount)} 回"


def _shown(amount: Decimal) -> str:
    rounded = amount.quantize(_THOUSANDTH, ROUND_HALF_UP)
    return f"{rounded:,.3f}".rstrip("0").rstrip(".")
