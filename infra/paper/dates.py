"""Dates as Japanese papers write them: the year of the era beside that of the calendar."""

from __future__ import annotations

from datetime import date
from typing import Final

_ERAS: Final = ((date(2019, 5, 1), "令和"), (date(1989, 1, 8), "平成"))
"""The first day of each era that a paper of ours can name, the latest first. Source: 元号を改める政令
(平成31年政令第143号, 昭和64年政令第1号)."""


def era_year(day: date) -> str:
    """'令和8年'; the first year of an era is 元年. ValueError: a day before 平成."""
    for since, name in _ERAS:
        if day >= since:
            year = day.year - since.year + 1
            return f"{name}{'元' if year == 1 else year}年"
    raise ValueError(f"no era of ours has {day}")


def japanese_date(day: date) -> str:
    """'2026年12月1日（令和8年）'."""
    return f"{day.year}年{day.month}月{day.day}日（{era_year(day)}）"


def japanese_period(first: date, last: date) -> str:
    """'2026年11月1日～11月30日', or with both years where they differ."""
    year = "" if first.year == last.year else f"{last.year}年"
    return f"{first.year}年{first.month}月{first.day}日～{year}{last.month}月{last.day}日"
