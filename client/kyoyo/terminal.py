"""Makes text of strangers harmless for a terminal, and figures readable."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal

_KEPT = {"\n", "\t"}
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200d", "\u200c"}  # inside emoji and some scripts; they move nothing
FULL = "█"
EIGHTHS = " ▏▎▍▌▋▊▉"


def harmless(text: str) -> str:
    """Text without anything that could steer a terminal or turn the reading direction: it is shown as U+FFFD.

    A carriage return, as progress bars use it, becomes a line end.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter if _is_harmless(letter) else "\N{REPLACEMENT CHARACTER}" for letter in lines)


def one_line(text: str) -> str:
    """The same for a name or a cell of a table."""
    return harmless(text).replace("\n", " ").replace("\t", " ")


def yen(amount: Decimal | None) -> str:
    """An exact amount with as few decimals as it has: ¥1,234.5."""
    if amount is None:
        return "-"
    plain = f"{abs(amount):,f}"
    short = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{'-' if amount < 0 else ''}¥{short}"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number before the point: 1.5 GiB."""
    units = ("TiB", "GiB", "MiB", "KiB")
    for power, unit in zip((40, 30, 20, 10), units, strict=True):
        if count >= 1 << power:
            return f"{count / (1 << power):.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """H:MM:SS, with days in front when there are some."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3_600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


def histogram(counts: Mapping[str, int], *, width: int = 40, most: int = 32) -> str:
    """Bars of counts by outcome, the outcomes in order; beyond `most` the rarest are summed up in one line."""
    total = sum(counts.values()) or 1
    shown = sorted(sorted(counts, key=lambda outcome: (-counts[outcome], outcome))[:most])
    rows = [(outcome, counts[outcome]) for outcome in shown]
    if rest := total - sum(count for _, count in rows):
        rows.append(("…", rest))
    largest = max((count for _, count in rows), default=1) or 1
    label = max((len(outcome) for outcome, _ in rows), default=1)
    return "\n".join(
        f"{outcome:>{label}} {_bar(count / largest, width):<{width}} {count:>7,} {count / total:>6.1%}"
        for outcome, count in rows
    )


def _bar(share: float, width: int) -> str:
    full, eighths = divmod(round(share * width * 8), 8)
    return FULL * full + EIGHTHS[eighths].strip()


def _is_harmless(letter: str) -> bool:
    return letter in _KEPT or letter in _JOINERS or unicodedata.category(letter) not in _HIDDEN
