"""Why a machine left service or came back, as (Japanese, English). A test demands an entry for every reason."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.elastic.model import Action, Because, Kind, Purpose

BECAUSE: Mapping[Because, tuple[str, str]] = {
    Because.IDLE: ("{idle_s}秒間使われていません", "nothing ran there for {idle_s} s"),
    Because.HELD_FOR_SURGE: ("供給支障に備えて待機させます", "it is kept for disruptions"),
    Because.EMPTY: ("実行中のジョブがなくなりました", "nothing runs there any more"),
    Because.WAITING_JOBS: (
        "待機中のジョブが{waiting}単位を必要とし、空きは{idle}単位です",
        "jobs wait for {waiting} units, and {idle} are idle",
    ),
    Because.RESERVATION: (
        "まもなく始まる予約に{needed}単位が必要で、稼働中は{serving}単位です",
        "reservations soon need {needed} units, and {serving} serve",
    ),
    Because.FLOOR: (
        "常に{needed}単位を稼働させる規則で、稼働中は{serving}単位です",
        "{needed} units always serve by the rule, and {serving} do",
    ),
    Because.DISRUPTION: ("供給支障が宣言されています", "a disruption of supply is declared"),
    Because.TAKEN_UP: ("直前にジョブが開始しました", "a job started there at the last moment"),
    Because.RULE_ENDED: ("停止させる規則がなくなりました", "no rule keeps it out any more"),
}
DONE: Mapping[tuple[Kind, Purpose], tuple[str, str]] = {
    (Kind.WITHDRAW, Purpose.POWER): ("節電のため切り離し", "taken out to save power"),
    (Kind.WITHDRAW, Purpose.LEND): ("貸し出しのため切り離し", "taken out to be lent"),
    (Kind.WITHDRAW, Purpose.SURGE): ("予備として切り離し", "taken out as a reserve"),
    (Kind.POWER_DOWN, Purpose.POWER): ("電源を停止", "powered down"),
    (Kind.POWER_DOWN, Purpose.LEND): ("電源を停止", "powered down"),
    (Kind.POWER_DOWN, Purpose.SURGE): ("電源を停止(予備)", "powered down as a reserve"),
    (Kind.RESTORE, Purpose.POWER): ("稼働に復帰", "brought back"),
    (Kind.RESTORE, Purpose.LEND): ("貸し出しから復帰", "called back from lending"),
    (Kind.RESTORE, Purpose.SURGE): ("予備を稼働に投入", "brought in from the reserve"),
}


def told(action: Action) -> tuple[str, str]:
    """The whole of an action in a sentence each."""
    done, because = DONE[action.kind, action.purpose], BECAUSE[action.because]
    ja, en = (text.format(**action.facts) for text in because)
    return f"{action.node}: {done[0]}({ja})", f"{action.node}: {done[1]} ({en})"
