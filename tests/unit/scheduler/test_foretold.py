"""The words of forecasts, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scheduler.core.ahead import Cause
from scheduler.core.foretold import CAUSES, ahead_of_it, foretold

AT = datetime(2026, 11, 22, 5, 5, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 22) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("p50", "p90", "ja", "en"),
    [
        (
            at(5, 20),
            at(7, 5),
            "見込み: 14:20 頃（遅くとも 16:05 頃まで、90%。14:05 時点）",
            "Expected: about 14:20 JST (by 16:05 JST, 90 %; as of 14:05 JST)",
        ),
        (
            at(16, 0),
            None,
            "見込み: 11月23日 01:00 頃（大きく遅れることもあります。14:05 時点）",
            "Expected: about 23 Nov 01:00 JST, possibly much later (as of 14:05 JST)",
        ),
        (
            None,
            None,
            "見込み: 見通せる期間内には開始しません（14:05 時点）",
            "Expected: not within the time that can be foreseen (as of 14:05 JST)",
        ),
    ],
)
def test_a_time_is_told_as_a_range_with_its_moment(
    p50: datetime | None, p90: datetime | None, ja: str, en: str
) -> None:
    said = foretold(AT, p50, p90)
    assert (said.ja, said.en) == (ja, en)


def test_who_is_ahead_is_counted_and_every_cause_has_words() -> None:
    assert set(CAUSES) == set(Cause)
    said = ahead_of_it({"own": 2, "below_share": 5, "due": 0, "new_word": 3})
    assert said.en == "Before it: 7 (5 of organisations with less use for their share, 2 of your own organisation)"
    assert said.ja.startswith("先に開始: 7件（")
    assert ahead_of_it({}).en == "None starts before it"
