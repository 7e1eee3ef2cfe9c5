"""Sentences for forecasts, in Japanese and English: when it should start, who is ahead and why. Pure.

Times are shown in Japan, without their day where that is the day of the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from infra.tokyo import TOKYO
from scheduler.core.ahead import Cause
from scheduler.core.explain import Sentence

CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    Cause.OWN: ("自組織のジョブ {}件", "{} of your own organisation"),
    Cause.DUE: ("長く待っているジョブ {}件", "{} that have waited long"),
    Cause.BELOW_SHARE: (
        "配分に対する利用が少ない組織のジョブ {}件",
        "{} of organisations with less use for their share",
    ),
    Cause.FITS: ("先に並んだ、または小さい・短いジョブ {}件", "{} that came before, or are smaller or shorter"),
}


def foretold(as_of: datetime, p50_at: datetime | None, p90_at: datetime | None) -> Sentence:
    """When it should start."""
    at = [_clock(each, as_of) for each in (as_of, p50_at or as_of, p90_at or as_of)]
    if p50_at is None:
        return Sentence(
            f"見込み: 見通せる期間内には開始しません（{at[0][0]} 時点）",
            f"Expected: not within the time that can be foreseen (as of {at[0][1]})",
        )
    if p90_at is None:
        return Sentence(
            f"見込み: {at[1][0]} 頃（大きく遅れることもあります。{at[0][0]} 時点）",
            f"Expected: about {at[1][1]}, possibly much later (as of {at[0][1]})",
        )
    return Sentence(
        f"見込み: {at[1][0]} 頃（遅くとも {at[2][0]} 頃まで、90%。{at[0][0]} 時点）",
        f"Expected: about {at[1][1]} (by {at[2][1]}, 90 %; as of {at[0][1]})",
    )


def ahead_of_it(ahead: Mapping[str, int]) -> Sentence:
    """Who starts before it, counted by cause."""
    counts = [(CAUSES[cause], count) for cause, count in sorted(ahead.items()) if cause in CAUSES and count]
    if not counts:
        return Sentence("これより先に開始するジョブはありません", "None starts before it")
    total = sum(count for _, count in counts)
    ja = "、".join(pair[0].format(count) for pair, count in counts)
    en = ", ".join(pair[1].format(count) for pair, count in counts)
    return Sentence(f"先に開始: {total}件（{ja}）", f"Before it: {total} ({en})")


def _clock(at: datetime, as_of: datetime) -> tuple[str, str]:
    there, today = at.astimezone(TOKYO), as_of.astimezone(TOKYO)
    if there.date() == today.date():
        return there.strftime("%H:%M"), there.strftime("%H:%M JST")
    return f"{there.month}月{there.day}日 {there:%H:%M}", there.strftime("%-d %b %H:%M JST")
