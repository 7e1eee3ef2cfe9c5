"""The words of the report on predictions: (Japanese, English). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scheduler.simulate.words import Words

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("開始予測の当たり具合", "How well starts were predicted"),
    "lead": (
        "{source}：{policies} での再現中に予測を求め、実際の開始と比べました。未来は毎回 {futures} 通りです。",
        "{source}: asked for during a replay under {policies}, compared with what happened. {futures} futures each.",
    ),
    "reliability": ("予測と実際：{policy}", "Predicted against observed: {policy}"),
    "reliability.lead": (
        "斜めの線に近いほど正確です。線より上は予測が遅め（実際はもっと早い）、下は早めです。",
        "The closer to the diagonal the better. Above it predictions are too late, below too early.",
    ),
    "predicted": ("予測した確率", "predicted chance"),
    "observed": ("実際の割合", "observed part"),
    "figures": ("数値：{policy}（{instants} 時点）", "Figures: {policy} ({instants} instants)"),
    "horizons": ("予測した待ち時間ごと：{policy}", "By predicted wait: {policy}"),
    "way": ("予測の方法", "Way"),
    "forecast": ("Kyoyo の予測", "Kyoyo's forecast"),
    "no_arrivals": ("新しい投入を考えない", "without arrivals"),
    "limits": ("全ジョブが上限まで走る（新しい投入なし）", "all run their limits, no arrivals"),
    "wait": ("予測した待ち", "Predicted wait"),
    "below": ("{until} 未満", "below {until}"),
    "longer": ("それ以上", "longer"),
    "count": ("予測数", "Predictions"),
    "new": ("{name}：投入時", "{name}: at submission"),
    "beyond": ("期間内に開始しない（p50 / p90）", "Not within the horizon (p50 / p90)"),
    "p50": ("p50 までに開始", "Started by p50"),
    "p90": ("p90 までに開始", "Started by p90"),
    "error": ("誤差の中央値（p50）", "Median error (p50)"),
    "pinball": ("ピンボール損失（p50 / p90）", "Pinball loss (p50 / p90)"),
}


class ForecastWords(Words):
    """One language, with what is said of predictions."""

    def text(self, key: str, **facts: object) -> str:
        """KeyError: nobody has words for it."""
        if key not in _WORDS:
            return super().text(key, **facts)
        return _WORDS[key][0 if self.language == "ja" else 1].format_map(facts)
