"""The words of explain.py: (Japanese, English). A test demands an entry for every reason and event."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.model import State
from scheduler.core.reasons import Why

UNITS: Mapping[str, tuple[str, str]] = {
    "gpus": ("GPU {}基", "{} GPU"),
    "qpus": ("QPU {}基", "{} QPU"),
    "cpus": ("CPU {}コア", "{} CPU"),
    "memory_mb": ("メモリ {} MB", "{} MB of memory"),
}

WORDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "kind": {
        "calibrating": ("較正", "calibration"),
        "maintenance": ("保守", "maintenance"),
        "offline": ("停止", "an outage"),
        "online": ("停止", "an outage"),
        "reservation": ("予約された利用が始まる", "units that it would hold are reserved"),
        "eligibility": ("組織の利用資格の届出が期限を迎える", "your organisation's declaration of eligibility ends"),
        "fiscal_year": ("年度が終わる", "the fiscal year ends"),
    },
    "level": {
        "organisation": ("組織", "organisation"),
        "project": ("プロジェクト", "project"),
        "user": ("利用者", "user"),
    },
    "on": {"*": ("全計算機", "all machines together")},
    "rule": {
        "only": ("ほかでは実行できないため", "no other can take it now"),
        "starts_now": ("すぐに開始できるため", "it starts there at once"),
        "starts_earlier": ("より早く開始できる見込みのため", "it should start earlier there"),
        "cheaper": ("より安いため", "it is cheaper"),
        "fewer_broken": ("空きノードを崩さないため", "it breaks no node that is whole"),
        "by_name": ("条件が等しいため名前順", "alike otherwise, by name"),
        "as_before": ("前回の試行と同じ場所のため", "the attempt before ran there"),
    },
    "for_class": {
        "reserved": ("予約", "reserved"),
        "interactive": ("対話型", "interactive"),
        "standard": ("標準", "standard"),
        "spot": ("スポット", "spot"),
    },
}
"""Machine words among the facts, by the fact's name."""

AHEAD_THERE = (
    "空きはありますが、先に並んでいるジョブが優先されます。",
    "There is room, but jobs ahead of it come first.",
)
"""RESERVED_FOR_EARLIER on another machine, where it is not known from when on."""
AT_VENDOR: tuple[str, str] = ("提供元での待ち: {vendor_queue}件", "{vendor_queue} jobs wait at the vendor")

WAITS: Mapping[Why, tuple[str, str]] = {
    Why.NOT_PLANNED_YET: (
        "受け付けました。まもなく実行計画に入ります。",
        "Received; it will be planned in a moment.",
    ),
    Why.NO_CAPACITY: (
        "空き資源が足りません。必要: {needed} / 空き: {free}",
        "Not enough is free. Needed: {needed}; free: {free}.",
    ),
    Why.RESERVED_FOR_EARLIER: (
        "空きはありますが、先に並んでいるジョブのために{until}から確保されており、それまでに終わらないため開始できません。",
        "There is room, but it is reserved from {until} for a job ahead, and this one would not end before.",
    ),
    Why.RUNNING_QUOTA: (
        "{level}の同時実行ジョブ数が上限に達しています({on}: {running}/{max}件)。実行中のジョブが終わると開始します。",
        "The {level} has as many running jobs as it may on {on} ({running} of {max}); it starts as those end.",
    ),
    Why.GPU_QUOTA: (
        "{level}の GPU 数の上限を超えます({on}: 使用中 {used}基 + 必要 {asked}基 > 上限 {max}基)。空き次第開始します。",
        "The {level} uses {used} GPUs on {on} and may use {max}; this wants {asked} more. It starts as others end.",
    ),
    Why.NU_QUOTA: (
        "{level}の月間利用枠を超えるため翌月まで待ちます({on}: 使用・実行中 {used} + 必要 {asked} > 上限 {max} NU)。",
        (
            "The {level} used or holds {used} of {max} NU of this month on {on}, and this may take {asked}: "
            "it waits for the next month."
        ),
    ),
    Why.BORROW_LIMIT: (
        "割当({nominal}基)を超えて借りられる上限です(使用中 {held}基 + 必要 {asked}基 > {max}基)。終了を待ちます。",
        (
            "Your organisation holds {held} GPUs or QPUs here, this wants {asked} more, and it may hold {max} "
            "(its nominal share is {nominal}). It starts as others of yours end."
        ),
    ),
    Why.KEPT_SHARE: (
        "空きは、貸し出されていない他の割当です(組織の使用中 {held}基、必要 {asked}基、割当 {nominal}基)。",
        (
            "What is free belongs to nominal shares that are not lent: your organisation holds {held} GPUs or QPUs "
            "here, this wants {asked} more, and its nominal share is {nominal}."
        ),
    ),
    Why.RESERVED_SHARE: (
        "予約枠({max}基)を超えます(使用中 {held}基 + 必要 {asked}基)。枠内のジョブが終わると開始します。",
        (
            "Class reserved of your organisation has {max} GPUs or QPUs here and uses {held}; this wants {asked}. "
            "It starts as others of that class end."
        ),
    ),
    Why.KEPT_FOR_RESERVED: (
        "空きは予約枠として確保されています(必要 {asked}基、自組織の予約枠の空き {own}基)。",
        (
            "What is free is kept for work of class reserved: this wants {asked} GPUs or QPUs "
            "(of your own organisation's reserved share {own} are idle)."
        ),
    ),
    Why.NEXT_CYCLE: (
        "次の計画周期で開始します。",
        "It starts in the next scheduling cycle.",
    ),
    Why.STAGING: (
        "入力ファイルを計算機に転送しています。",
        "Its input files are being brought to the machine.",
    ),
    Why.BACKEND_OFFLINE: (
        "計算機({backend})が現在ジョブを受け付けていません。復旧後に自動で再開します。",
        "The machine ({backend}) takes no jobs at the moment; it will go on by itself.",
    ),
    Why.DEVICE_WINDOW: (
        "装置({backend})は{since}から{until}まで{kind}のため停止します。それまでに終わらない可能性があるため、再開後に開始します。",
        "The device ({backend}) is out of service from {since} to {until} ({kind}); this could still run then.",
    ),
    Why.WALL: (
        "{at}に{kind}ため、それまでに終わらない可能性のあるジョブは開始できません。実行時間の上限を短くすると、先に開始できることがあります。",
        "It could still run at {at}, when {kind}. With a shorter time limit it may start before.",
    ),
    Why.RESERVATION_AHEAD: (
        "予約 {reservation} の開始({until})を待っています。",
        "Its reservation {reservation} begins at {until}; it starts then.",
    ),
    Why.EXCEEDS_MACHINE: (
        "現在稼働中の規模を超えています。必要: {needed} / 全体: {total}",
        "It is larger than what is now in service. Needed: {needed}; in service: {total}.",
    ),
    Why.NOT_ELIGIBLE: (
        "組織の利用資格を確認できないため、開始を保留しています({code})。",
        "On hold: your organisation may start nothing at present ({code}).",
    ),
    Why.RETRY_LATER: (
        "計算機への引き渡しに失敗しました。{until}以降に自動で再試行します。",
        "Handing it to the machine failed; it is tried again after {until}.",
    ),
    Why.DEPENDENCY: (
        "ほかのジョブ({jobs})の開始または終了を待っています。",
        "It waits for other jobs, as asked: {jobs}.",
    ),
    Why.BEGIN_TIME: (
        "指定された開始日時({until})を待っています。",
        "It was asked not to start before {until}.",
    ),
    Why.ARRAY_THROTTLE: (
        "アレイの同時実行タスク数が上限に達しています({running}/{max}件)。",
        "As many tasks of its array run as may at a time ({running} of {max}).",
    ),
    Why.CANCEL_PENDING: (
        "取り消しを処理しています。",
        "It is being cancelled.",
    ),
    Why.PARKED: (
        "当方の不具合により保留しています。担当者に通知済みです。次の試行: {until}",
        "Held back by a fault on our side; our staff have been told. Next try: {until}.",
    ),
}

EVENTS: Mapping[tuple[str, State | None], tuple[str, str]] = {
    ("Queued", None): ("待ち行列に入りました。", "It joined the queue."),
    ("Placed", None): (
        "{instead_of}ではなく{offering}で実行することにしました({rule})。順番は変わりません。",
        "It is to run on {offering} instead of {instead_of} ({rule}), and keeps its place.",
    ),
    ("Dispatched", None): ("計算機への引き渡しを始めました。", "Handing it to the machine."),
    ("Accepted", None): ("計算機が受け付けました。", "The machine accepted it."),
    ("Accepted", State.CANCELLING): (
        "計算機が受け付けていたことが分かりました。取り消しを続けます。",
        "The machine turned out to have it; it is being cancelled there.",
    ),
    ("NotSubmitted", None): (
        "計算機に引き渡せなかったため、待ち行列に戻しました({detail})。",
        "It could not be handed over and is back in the queue ({detail}).",
    ),
    ("Started", None): ("実行を開始しました。", "It started to run."),
    ("Started", State.CANCELLING): (
        "取り消し中に、実行が始まっていたことが分かりました。",
        "While it was being cancelled it turned out to have started.",
    ),
    ("CancelRequested", None): (
        "取り消しが要求されました。計算機が終了を確認するまでは課金の対象です。",
        "Cancellation was requested; it is billed until the machine confirms the end.",
    ),
    ("PreemptRequested", None): (
        "{for_class}のジョブに資源を譲るため、計算機に中断を依頼しました。終了の信号を受けてから猶予時間内に保存できます。課金されず、再試行できる場合は後で再開します。",
        (
            "It makes room for a job of class {for_class}: the machine signals it and gives it its grace time to save "
            "its work. Nothing is charged, and it is tried again where attempts are left."
        ),
    ),
    ("SeenMissing", None): (
        "受け付けたはずの計算機に記録がないため、待ち行列に戻しました。",
        "The machine had accepted it and no longer knew it; it is back in the queue.",
    ),
}
"""By event and the state after it (None: any state in which it does not end the attempt)."""

TURN: tuple[str, str] = (
    "組織の利用量 {used_nu} NU・重み {weight}、空き {free}、待ち{waiting}件",
    "its organisation had used {used_nu} NU at weight {weight}; free: {free}; jobs waiting: {waiting}",
)
"""Figures of a start."""
DECIDED: Mapping[str, tuple[str, str]] = {
    "in_order": ("順番が来たためです。", "It was its turn."),
    "ahead": (
        "待ち時間が方針の上限に達したため、順番より先に開始します。",
        "It had waited for as long as anybody may, and went ahead of its turn.",
    ),
    "behind": (
        "先に並ぶジョブを遅らせずに空きで実行できるためです。",
        "It fits meanwhile and delays nobody before it.",
    ),
    "seat": (
        "計算機が途切れなく動くよう、計算機側の待ち行列で空きを待ちます。",
        "It waits in the machine's own queue from now on, so that the machine never idles.",
    ),
    "inside": ("予約の時間内で、その枠に空きがあるためです。", "Its reservation is on and has room for it."),
    "least_work_lost": (
        (
            "選ばれた理由: 失われる作業({lost_nu} NU、実行{ran_s}秒)の合計が最小となる組み合わせです。"
            "直近1時間の同組織の中断: {asked_in_hour}/{max_in_hour}件。"
        ),
        (
            "Chosen because so the least work is lost ({lost_nu} NU of it, after {ran_s} s). "
            "Its organisation made room {asked_in_hour} times in the hour before, of {max_in_hour} at most."
        ),
    ),
}
"""By the rule of a decision: why it started, or had to make room, just then."""

ENDS: Mapping[tuple[State, str], tuple[str, str]] = {
    (State.SUCCEEDED, ""): ("正常に終了しました。", "It succeeded."),
    (State.SUCCEEDED, "explained"): ("正常に終了しました({detail})。", "It succeeded ({detail})."),
    (State.SUCCEEDED, "done_early"): (
        "フェーズ {phase} が目的を達したため、以降のフェーズは実行せずに正常終了しました。以降は課金されません。",
        "Phase {phase} found what the job was for: the phases after it did not run and cost nothing.",
    ),
    (State.FAILED, ""): ("失敗しました。", "It failed."),
    (State.FAILED, "exit_code"): (
        "プログラムがエラーで終了しました(終了コード {exit_code})。",
        "The program ended with an error (exit code {exit_code}).",
    ),
    (State.FAILED, "exit_code, explained"): (
        "プログラムがエラーで終了しました({detail}、終了コード {exit_code})。",
        "The program ended with an error ({detail}, exit code {exit_code}).",
    ),
    (State.FAILED, "timed_out"): (
        "実行時間の上限に達したため終了しました。",
        "It was ended at its time limit.",
    ),
    (State.FAILED, "out_of_memory"): (
        "メモリ不足のため終了しました。",
        "It was ended because it ran out of memory.",
    ),
    (State.FAILED, "refused"): (
        "計算機が受け付けませんでした({code})。課金されません。",
        "The machine refused it ({code}); nothing is charged.",
    ),
    (State.FAILED, "not_staged"): (
        "入力ファイルを用意できなかったため、開始せずに終了しました({code})。課金されません。",
        "Its input files could not be brought to the machine ({code}), so it never started; nothing is charged.",
    ),
    (State.FAILED, "device_away"): (
        "装置が停止中または順番待ちのまま待ち時間の上限(wait_s)に達したため、開始せずに終了しました。課金されません。",
        "Its device was away or busy, here or at its vendor, for longer than wait_s; unstarted, nothing is charged.",
    ),
    (State.CANCELLED, "device_away"): (
        "待ち時間の上限(wait_s)に達して取り消す間に装置で開始していたため、途中で終了しました。動いた分だけ課金されます。",
        "It began on its device just as it was dropped there after wait_s, and was stopped; what it ran is charged.",
    ),
    (State.CANCELLED, ""): ("取り消されました。", "It was cancelled."),
    (State.CANCELLED, "cancelled_in_queue"): (
        "開始前に取り消されました。課金されません。",
        "It was cancelled before it started; nothing is charged.",
    ),
    (State.CANCELLED, "dependency_never_satisfied"): (
        "待っていたジョブ({jobs})の条件が満たされなくなったため、開始せずに取り消しました。課金されません。",
        "What it waited for (job {jobs}) can no longer happen, so it was cancelled unstarted; nothing is charged.",
    ),
    (State.CANCELLED, "reservation_over"): (
        "予約 {reservation} に残り時間がない(または予約が取り消された)ため、開始せずに取り消しました。課金されません。",
        "Reservation {reservation} is over or cancelled, or lacks the time for it; unstarted, nothing is charged.",
    ),
    (State.CANCELLED, "cancelled_by_owner"): (
        "計算機上で利用者自身により取り消されました。実行した分が課金されます。",
        "Its owner cancelled it on the machine; what ran is charged.",
    ),
    (State.CANCELLED, "never_accepted"): (
        "開始前に取り消されました。課金されません。",
        "It was cancelled before it started; nothing is charged.",
    ),
    (State.CANCELLED, "cancelled_by_user"): (
        "取り消しが完了しました。実行した分が課金されます。",
        "Cancelled, and the machine has confirmed the end; what ran is charged.",
    ),
    (State.CANCELLED, "cancelled_by_site"): (
        "計算機側で取り消されました。課金されません。",
        "It was cancelled on the machine's side; nothing is charged.",
    ),
    (State.CANCELLED, "cancelled_by_site, explained"): (
        "計算機側で取り消されました({detail})。課金されません。",
        "It was cancelled on the machine's side ({detail}); nothing is charged.",
    ),
    (State.CANCELLED, "vanished"): (
        "取り消し中に計算機から記録が消えました。課金されません。",
        "While it was being cancelled the machine lost it; nothing is charged.",
    ),
    (State.PREEMPTED, "preempted_by_us"): (
        "優先される利用種別のジョブに資源を譲るため中断されました。課金されません。",
        "It made room for a job whose class goes before its own; nothing is charged.",
    ),
    (State.PREEMPTED, ""): (
        "計算資源が回収されたため中断されました。課金されません。",
        "It was interrupted because its resources were taken back; nothing is charged.",
    ),
    (State.LOST, ""): (
        "計算機側の障害により失われました。課金されません。",
        "It was lost through a fault on the machine's side; nothing is charged.",
    ),
    (State.LOST, "node_failed"): (
        "ノードの故障により失われました。課金されません。",
        "It was lost when a node failed; nothing is charged.",
    ),
    (State.LOST, "node_failed, explained"): (
        "計算機側の障害により失われました({detail})。課金されません。",
        "It was lost through a fault on the machine's side ({detail}); nothing is charged.",
    ),
    (State.LOST, "vanished"): (
        "計算機から記録が消えたため、失われたと判断しました。課金されません。",
        "The machine no longer knows it, so it is taken as lost; nothing is charged.",
    ),
    (State.LOST, "unreadable"): (
        "計算機の応答を長時間解釈できなかったため、失われたと判断しました。課金されません。",
        "The machine's answers could not be read for too long, so it is taken as lost; nothing is charged.",
    ),
}
"""By state and the cause in the attempt's reason."""

_STOPPED = (
    "フェーズ {phase} が{attempts}回目の実行で終わり、残り{phases}フェーズ(上限 {amount}円)は実行も課金もされません。",
    "Phase {phase} ended in attempt {attempts}. The {phases} phases left ({amount} yen at most) neither run nor cost.",
)
LEFT: Mapping[State, tuple[str, str]] = {
    State.SUCCEEDED: (
        "フェーズ {phase} が目的を達したため、残りの{phases}フェーズ(上限 {amount}円)は実行も課金もされません。",
        "Phase {phase} found it. The {phases} phases left ({amount} yen at most) neither run nor cost.",
    ),
    State.CANCELLED: (
        "フェーズ {phase} で取り消されたため、残りの{phases}フェーズ(上限 {amount}円)は実行も課金もされません。",
        "Cancelled in phase {phase}. The {phases} phases left ({amount} yen at most) neither run nor cost.",
    ),
    State.FAILED: _STOPPED,
    State.LOST: _STOPPED,
    State.PREEMPTED: _STOPPED,
}
"""Of a job with phases that ended before the last of them: by its state."""
