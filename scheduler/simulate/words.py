"""The words of the lab's report: (Japanese, English). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("スケジューリング方式の比較", "Scheduling policies compared"),
    "lead": (
        "{source}：{jobs} 件のジョブ、{days} 日間、{organisations} 組織。スケジューラの中核部で再現しました。",
        "{source}: {jobs} jobs, {days} days, {organisations} organisations, by the core of the scheduler.",
    ),
    "figures": ("指標", "Figures"),
    "run": ("実行", "Run"),
    "organisation": ("組織", "Organisation"),
    "day": ("日", "Day"),
    "weight": ("重み", "weight"),
    "table": ("数値で見る", "The same as a table"),
    "waits.title": ("組織ごとの待ち時間（95 パーセンタイル）", "Wait by organisation (95th percentile)"),
    "waits.lead": (
        "左ほど短く、目盛りは対数です。縦に揃うほど、組織の間の差が小さくなります。",
        "Further left is shorter (logarithmic). The more upright the marks stand, the more alike the waits.",
    ),
    "shares.title": ("利用量と、受け取るべき量：{run}", "What each held against what it was entitled to: {run}"),
    "shares.lead": (
        "線は使った量、塗りは重みと需要から決まる受け取るべき量（注水法）。どちらも全体に対する割合の日平均です。",
        "Line: held. Shaded: entitled to, by weight and demand (water-filling). Daily means, as parts of the whole.",
    ),
    "stacks.lead": (
        "面は各計算機で使った NU、破線は受け取るべき量（全体に対する割合の日平均）。1 時間：{rates}。",
        "Stacked: NU held at each machine. Dashed: entitled to. Parts of the whole, daily means. An hour: {rates}.",
    ),
    "rate": ("{machine} {nu} NU", "{machine} {nu} NU"),
    "rates.between": ("、", ", "),
    "shares.held": ("使った量", "Held"),
    "shares.entitled": ("受け取るべき量", "Entitled to"),
    "machines.title": ("計算機ごとの利用量：{run}", "Use by machine: {run}"),
    "machines.lead": (
        "各計算機のうち各組織が使った割合（日平均）。どれを使っても、NU に換算して全体の順番に影響します。",
        "Part of each machine that each held (daily means). Use of any counts, in NU, for the turn at all of them.",
    ),
    "utilisation.title": ("利用率", "Utilisation"),
    "utilisation.lead": ("全体に対する使用中の割合（日平均）。", "Part of the whole that was in use, daily means."),
    "queue.title": ("待ち行列", "Queue"),
    "queue.lead": ("待っていたジョブの数（日平均）。", "Jobs that were waiting, daily means."),
    "queue.axis": ("件", "jobs"),
    "frontier.title": ("公平さと最長待ち時間", "Fairness against the longest wait"),
    "frontier.lead": (
        "左下ほど良い結果です（縦軸は対数）。破線は、両方で上回られない実行を結んだ境界です。",
        "Down and left is better (upwards logarithmic). The dashes join the runs that no other beats in both.",
    ),
    "frontier.x": ("配分の誤差（日ごとの値の 95 %）", "share error, 95th percentile over days"),
    "frontier.y": ("最長待ち時間", "longest wait"),
    "unit.second": ("{number} 秒", "{number} s"),
    "unit.minute": ("{number} 分", "{number} min"),
    "unit.hour": ("{number} 時間", "{number} h"),
    "unit.day": ("{number} 日", "{number} d"),
    "day.axis": ("{number} 日目", "day {number}"),
    "jobs": ("ジョブ数", "Jobs"),
    "wait_mean_s": ("待ち時間 平均", "Wait, mean"),
    "wait_p50_s": ("待ち時間 中央値", "Wait, median"),
    "wait_p95_s": ("待ち時間 95 %", "Wait, p95"),
    "wait_p99_s": ("待ち時間 99 %", "Wait, p99"),
    "wait_max_s": ("待ち時間 最長", "Wait, longest"),
    "wait_p95_worst_org_s": ("最も待った組織の 95 %", "p95 of the worst organisation"),
    "bsld_mean": ("減速率 平均", "Bounded slowdown, mean"),
    "bsld_p95": ("減速率 95 %", "Bounded slowdown, p95"),
    "share_error_p95": ("配分の誤差 95 %", "Share error, p95"),
    "share_error_mean": ("配分の誤差 平均", "Share error, mean"),
    "jain": ("Jain 指数", "Jain index"),
    "utilisation": ("利用率", "Utilisation"),
    "utilisation_backlog": ("利用率（待ちがある間）", "Utilisation with a backlog"),
    "starvation_max_s": ("取り分未満での最長待ち", "Longest wait below the share"),
    "preemption_waste": ("中断による損失", "Lost to preemption"),
    "violations": ("違反", "Violations"),
    "jobs_per_s": ("再現速度（件/秒）", "Replayed jobs a second"),
    "base": ("現状", "as it is"),
    "history": ("この環境の履歴 {span}", "own history {span}"),
    "history.left_out": (
        "開始しなかった、または GPU も QPU も使わない {jobs} 件は含みません。",
        "Left out: {jobs} that never started, or hold no GPU and no QPU.",
    ),
}


@dataclass(frozen=True, slots=True)
class Words:
    """One language: 'ja' or 'en'."""

    language: str

    def text(self, key: str, **facts: object) -> str:
        """KeyError: nobody has words for it."""
        sentence = _WORDS[key][0 if self.language == "ja" else 1]
        return sentence.format_map(facts) if facts else sentence
