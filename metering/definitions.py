"""The figures that Kyoyo reports: each with its names, unit, formula and caveat. Pure data.

A definition that a report has used is never edited: another meaning is another version. Programme demands: P1 (users),
P2 (discount), P6 (recipients).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Final

from metering import kpi
from metering.kpi import Facts, Figure

_STEP = Decimal("0.000001")
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """counted: values are whole numbers."""

    code: str
    ja: str
    en: str
    counted: bool = False


PERSON: Final = Unit(code="person", ja="人", en="persons", counted=True)
ORGANISATION: Final = Unit(code="organisation", ja="組織", en="organisations", counted=True)
JOB: Final = Unit(code="job", ja="件", en="jobs", counted=True)
GPU_HOUR: Final = Unit(code="gpu_h", ja="GPU時間", en="GPU-hours")
GPU_SECOND: Final = Unit(code="gpu_s", ja="GPU秒", en="GPU-seconds")
QPU_SECOND: Final = Unit(code="qpu_s", ja="QPU秒", en="QPU-seconds")
YEN: Final = Unit(code="yen", ja="円（税抜）", en="yen without tax")
RATIO: Final = Unit(code="ratio", ja="比率", en="ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One figure. parts: unit of numerator and denominator of a ratio."""

    key: str
    version: int
    name_ja: str
    name_en: str
    unit: Unit
    caveat_ja: str
    caveat_en: str
    formula: Callable[[Facts], Sequence[Figure]]
    parts: Unit | None = None


def _count(formula: Callable[[Facts], frozenset[object]], facts: Facts) -> list[Figure]:
    return [Figure(value=Decimal(len(formula(facts))))]


def _gpu_hours(facts: Facts) -> list[Figure]:
    hours = kpi.used(facts, "gpu_s") / _SECONDS_PER_HOUR
    return [Figure(value=hours.quantize(_STEP, ROUND_HALF_UP))]


def _qpu_seconds(facts: Facts) -> list[Figure]:
    return [Figure(value=kpi.used(facts, "qpu_s"))]


def _yen(of: Callable[[kpi.Money], int], facts: Facts) -> list[Figure]:
    return [Figure(value=Decimal(of(facts.money)).scaleb(-6))]


_WHO_JA = "職員・試験用の個人と組織を除く。"
_WHO_EN = "Without persons and organisations that are staff or tests."
_NOT_ADDITIVE_JA = "期間をまたいで合算できない（同じ人・組織が複数の期間に現れるため）。"
_NOT_ADDITIVE_EN = "Does not add up over periods: the same person or organisation appears in several."
_FINAL_JA = "計算基盤の記録が確定した利用だけを含む。実行中のジョブは終了後に計上する。"
_FINAL_EN = "Only use whose record is final; a running job is counted once it has ended."
_SOLD_JA = "全額免除した明細（当方の責による中断など）を除く。補助ポイントで支払われた分を含む。"
_SOLD_EN = "Without lines that were waived as a whole (such as work lost by our fault); includes what grants paid for."
_BEFORE_INVOICE_JA = "請求書で差し引くキャンペーン割引と数量割引は含まない。"
_BEFORE_INVOICE_EN = "Before what an invoice takes off: promotions and the volume discount are left out."

DEFINITIONS: Final[Sequence[Definition]] = (
    Definition(
        key="registered_users",
        version=1,
        name_ja="登録利用者数",
        name_en="Registered users",
        unit=PERSON,
        caveat_ja=f"期間中に一度でも組織に所属した自然人。複数の組織に属する人も一人と数える。{_WHO_JA}{_NOT_ADDITIVE_JA}",
        caveat_en="Natural persons who belonged to an organisation at any time of the period; a person in two counts "
        f"once. {_WHO_EN} {_NOT_ADDITIVE_EN}",
        formula=partial(_count, kpi.registered_persons),
    ),
    Definition(
        key="active_users",
        version=1,
        name_ja="実利用者数",
        name_en="Active users",
        unit=PERSON,
        caveat_ja=f"期間中に自分のジョブが実際に動いた（0秒を超えた）自然人。{_FINAL_JA}{_WHO_JA}{_NOT_ADDITIVE_JA}",
        caveat_en="Natural persons with a job that really ran (more than 0 s) in the period. "
        f"{_FINAL_EN} {_WHO_EN} {_NOT_ADDITIVE_EN}",
        formula=partial(_count, kpi.active_persons),
    ),
    Definition(
        key="registered_organisations",
        version=1,
        name_ja="登録組織数",
        name_en="Registered organisations",
        unit=ORGANISATION,
        caveat_ja=f"期間中に所属者が一人でもいた組織。{_WHO_JA}{_NOT_ADDITIVE_JA}",
        caveat_en=f"Organisations that had a member at any time of the period. {_WHO_EN} {_NOT_ADDITIVE_EN}",
        formula=partial(_count, kpi.registered_organisations),
    ),
    Definition(
        key="active_organisations",
        version=1,
        name_ja="実利用組織数",
        name_en="Active organisations",
        unit=ORGANISATION,
        caveat_ja=f"期間中にジョブが実際に動いた組織。{_FINAL_JA}{_WHO_JA}{_NOT_ADDITIVE_JA}",
        caveat_en=f"Organisations with a job that really ran in the period. {_FINAL_EN} {_WHO_EN} {_NOT_ADDITIVE_EN}",
        formula=partial(_count, kpi.active_organisations),
    ),
    Definition(
        key="jobs",
        version=1,
        name_ja="終了したジョブ数",
        name_en="Jobs that ended",
        unit=JOB,
        caveat_ja=f"実際に動いたジョブを、最後の実行が終わった期間に一度だけ数える。{_WHO_JA}",
        caveat_en=f"Jobs that really ran, each once, in the period in which its last run ended. {_WHO_EN}",
        formula=partial(_count, kpi.ended_jobs),
    ),
    Definition(
        key="gpu_hours",
        version=1,
        name_ja="GPU利用時間",
        name_en="GPU-hours used",
        unit=GPU_HOUR,
        caveat_ja=f"割り当てたGPU数×時間。期間の境界で按分する。中断により無償とした分も含む。{_FINAL_JA}{_WHO_JA}",
        caveat_en="GPUs allocated × time, cut at the borders of the period; includes what was lost and not charged. "
        f"{_FINAL_EN} {_WHO_EN}",
        formula=_gpu_hours,
    ),
    Definition(
        key="qpu_seconds",
        version=1,
        name_ja="QPU利用秒数",
        name_en="QPU-seconds used",
        unit=QPU_SECOND,
        caveat_ja=f"装置ごとの所要時間モデルによる秒数。実行が終わった期間に計上する。{_FINAL_JA}{_WHO_JA}",
        caveat_en="Seconds by the device's service-time model, counted in the period in which the run ended. "
        f"{_FINAL_EN} {_WHO_EN}",
        formula=_qpu_seconds,
    ),
    Definition(
        key="gpu_utilisation",
        version=1,
        name_ja="GPU稼働率",
        name_en="GPU utilisation",
        unit=RATIO,
        parts=GPU_SECOND,
        caveat_ja="分子＝割り当てたGPU秒（職員・試験を含む全利用）、分母＝稼働中のGPU数×時間（停止中を除き、既知の時点まで）。"
        f"資源名が空の行は全体。{_FINAL_JA}",
        caveat_en="Numerator: GPU-seconds allocated to anybody, staff and tests included. Denominator: GPUs in service "
        f"× time, up to the instant of knowledge. The row without a resource is the whole. {_FINAL_EN}",
        formula=partial(kpi.utilisation, component="gpu_s"),
    ),
    Definition(
        key="qpu_utilisation",
        version=1,
        name_ja="QPU稼働率",
        name_en="QPU utilisation",
        unit=RATIO,
        parts=QPU_SECOND,
        caveat_ja="分子＝QPU秒（全利用、終了した期間に計上）、分母＝稼働中のQPU数×時間（較正の時間を含む）。"
        f"資源名が空の行は全体。{_FINAL_JA}",
        caveat_en="Numerator: QPU-seconds of anybody, in the period in which the run ended. Denominator: QPUs in "
        f"service × time, calibration included. The row without a resource is the whole. {_FINAL_EN}",
        formula=partial(kpi.utilisation, component="qpu_s"),
    ),
    Definition(
        key="charged_yen",
        version=2,
        name_ja="課金額",
        name_en="Charged",
        unit=YEN,
        caveat_ja=f"確定した課金明細の合計。補助ポイントで支払われた分を含む。訂正は訂正の対象日に計上する。"
        f"{_BEFORE_INVOICE_JA}{_WHO_JA}",
        caveat_en="Sum of rated lines, what grants paid for included; a correction counts on the day that it corrects. "
        f"{_BEFORE_INVOICE_EN} {_WHO_EN}",
        formula=partial(_yen, lambda money: money.charged),
    ),
    Definition(
        key="discount_from_list_yen",
        version=2,
        name_ja="定価からの割引額",
        name_en="Discount from the list price",
        unit=YEN,
        caveat_ja=f"同じ利用を定価で計算した額と販売価格の差。{_BEFORE_INVOICE_JA}{_SOLD_JA}{_WHO_JA}",
        caveat_en=f"The same use at list price less our price. {_BEFORE_INVOICE_EN} {_SOLD_EN} {_WHO_EN}",
        formula=partial(_yen, lambda money: money.sold_at_list - money.sold_at_price),
    ),
    Definition(
        key="discount_from_market_yen",
        version=2,
        name_ja="市場価格との差額",
        name_en="Discount from the market price",
        unit=YEN,
        caveat_ja="同じ利用を記録済みの市場参考価格で計算した額と販売価格の差。"
        f"{_BEFORE_INVOICE_JA}{_SOLD_JA}{_WHO_JA}",
        caveat_en="The same use at the recorded market reference less our price. "
        f"{_BEFORE_INVOICE_EN} {_SOLD_EN} {_WHO_EN}",
        formula=partial(_yen, lambda money: money.sold_at_market - money.sold_at_price),
    ),
)


def calculate(facts: Facts) -> list[tuple[Definition, Figure]]:
    """Every figure of a period, in the order of the definitions."""
    return [(definition, figure) for definition in DEFINITIONS for figure in definition.formula(facts)]
