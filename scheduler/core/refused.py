"""What a machine's refusal means, and what to do: (Japanese, English) by the code of `hpc_adapters.errors.Rejected`.

A test demands an entry for every code that an adapter of ours can say. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SIZE: Final = (
    "計算機の規模を超えています。GPU・QPU・ノードの数を減らして再投入してください。",
    "It is larger than the machine. Submit it again with fewer GPUs, QPUs or nodes.",
)
_NODE: Final = (
    "ノードが今この操作を受け付けない状態です。計算機側の状態(稼働中のジョブ、担当者による停止)を確かめてください。",
    "The node is in no state for this now. Look at the machine: does something run there, did somebody drain it?",
)
"""Of the power and service of nodes: for operators."""
_LAYOUT: Final = (
    "GPU・CPU・メモリをノード数とタスク数で割り切れるように指定して再投入してください。",
    "Ask for GPUs, CPUs and memory that divide evenly among nodes and tasks.",
)
_TIME: Final = (
    "実行時間の上限がこの計算機では使えません。変更して再投入してください。",
    "This machine cannot run it with this time limit. Submit it again with another one.",
)
_SCRIPT: Final = (
    "スクリプトの内容または大きさを直して再投入してください。大きなデータはデータ転送を使ってください。",
    "Correct the script or make it smaller; large data belongs into the data store.",
)
_WORDS: Final = (
    "引数または環境変数の名前・値・大きさを直して再投入してください。",
    "Correct its arguments or environment variables: their names, values or size.",
)
_ACCESS: Final = (
    "計算機側の利用者登録に問題があります。組織の管理者または当方の窓口に、このコードを伝えてください。",
    "Your registration on the machine is not in order. Tell your administrator or our support this code.",
)
_NAME: Final = (
    "指定した名前はこの計算機では使えません。名前を確かめて再投入してください。",
    "The machine does not offer what was named. Check the name and submit it again.",
)
_PERMISSION: Final = (
    "指定した資源の利用が許可されていません。指定を外すか、当方の窓口に利用を申請してください。",
    "You may not use what was named. Leave it out, or ask our support for access.",
)
_FEATURE: Final = (
    "この計算機にはその機能がありません。指定を外すか、別の提供内容を選んで再投入してください。",
    "The machine does not do that. Leave it out, or choose another offering.",
)
_CIRCUIT: Final = (
    "量子プログラムを直すか小さくして再投入してください。",
    "Correct the quantum program, or make it smaller, and submit it again.",
)
_CAP: Final = (
    "量子計算時間の上限が足りません。上限または elements を上げるか、ショット数を減らして再投入してください。",
    "Its limit of QPU time is too low. Raise it, or `elements`, or ask for fewer shots, and submit it again.",
)
_SESSION: Final = (
    "指定したセッションは開いていません。新しいセッションを開いてから再投入してください。",
    "The session that it names is not open. Open a new one and submit it again.",
)
_CALL: Final = (
    "呼び出しのファイルは kyoyo.call/1 または kyoyo.pubs/1 の JSON とし、書き終えてから改名して置いてください。",
    "Check the form of the call's file: JSON of kyoyo.call/1 or kyoyo.pubs/1, written aside and renamed when complete.",
)
_CALL_LIMIT: Final = (
    "見積もりに含まれる呼び出し回数・ショット数を超えています。calls または shots を増やして再投入してください。",
    "It is beyond the calls or shots that were quoted. Submit the job again with more of them.",
)
_CALL_SHOTS: Final = (
    "1 回の呼び出しのショット数が装置の提供内容の上限を超えています。呼び出しを分けてください。",
    "One call has more shots than the offering allows. Divide it into several.",
)
_CALL_IDLE: Final = (
    "呼び出しのない時間が idle_s を超えたため、受付を終了しました。idle_s を長くして再投入してください。",
    "No call came for longer than idle_s, so none is taken any more. Submit the job again with a longer idle_s.",
)
_CALL_AWAY: Final = (
    "装置が停止中または使用中で、wait_s のうちに実行できませんでした。後で呼び出すか、wait_s を長くしてください。",
    "The device was away or taken for longer than wait_s. Call again later, or submit the job with a longer wait_s.",
)
_CALL_REFUSALS: Final = (
    "受け付けられない呼び出しが多すぎるため、受付を終了しました。プログラムを直して再投入してください。",
    "Too many calls were refused, so none is taken any more. Correct the program and submit it again.",
)
_CALL_FAILED: Final = (
    "呼び出しは実行されましたが、結果を得られませんでした。もう一度呼び出すか、装置の状態を確かめてください。",
    "The call left no result. Call again, or look at the state of the device.",
)
_VENDOR: Final = (
    "装置の提供元が受け付けませんでした。プログラムとショット数を確かめ、解決しないときは当方の窓口にこのコードを伝えてください。",
    "The device's vendor refused it. Check program and shots; if that does not help, tell our support this code.",
)
_INPUTS: Final = (
    "入力ファイルが見つかりません。もう一度投入してください。",
    "Its input files were not found there. Submit it again.",
)
_SITE: Final = (
    "当方の設定に問題がある可能性があります。当方の窓口に、このコードを伝えてください。",
    "Our own settings may be at fault. Tell our support this code.",
)

REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("too-large", "no-node-fits", "over-limit"), _SIZE),
    **dict.fromkeys(("uneven-layout", "invalid-resources", "invalid-task-count", "invalid-launch"), _LAYOUT),
    **dict.fromkeys(
        ("walltime-too-long", "walltime-too-short", "walltime-missing", "invalid-walltime", "invalid-idle-time"), _TIME
    ),
    **dict.fromkeys(("empty-script", "script-too-large"), _SCRIPT),
    **dict.fromkeys(("invalid-arguments", "arguments-too-large", "invalid-environment"), _WORDS),
    **dict.fromkeys(
        ("no-identity", "unknown-user", "unknown-account", "user-not-allowed", "invalid-user", "invalid-account"),
        _ACCESS,
    ),
    **dict.fromkeys(
        (
            "image-not-allowed",
            "unknown-constraint",
            "unknown-gpu-type",
            "unknown-license",
            "unknown-qpu-type",
            "unknown-reservation",
            "invalid-signal",
        ),
        _NAME,
    ),
    **dict.fromkeys(("reservation-not-allowed", "partition-not-allowed", "not-allowed", "site-rule"), _PERMISSION),
    **dict.fromkeys(
        ("unsupported-payload", "unsupported-by-site", "no-qpu", "image-not-with-torchrun", "invalid-shots"), _FEATURE
    ),
    **dict.fromkeys(
        (
            "program-too-large",
            "not-utf-8",
            "control-characters",
            "not-openqasm-3",
            "unknown-format",
            "malformed-document",
            "shapes-differ",
            "too-many-circuits",
            "too-many-pubs",
            "too-many-parameters",
            "too-many-bindings",
            "too-many-observables",
            "too-many-executions",
            "executions-differ",
            "parameters-differ",
            "observable-too-wide",
            "unsupported-qpy-version",
            "malformed-qpy",
            "unsafe-qpy",
            "unsuitable-method",
            "nesting-too-deep",
            "malformed-program",
            "include-not-allowed",
            "unsupported-statement",
            "unbounded-loop",
            "unknown-gate",
            "recursive-gate",
            "number-too-large",
            "too-many-controls",
            "too-many-qubits",
            "too-many-bits",
            "too-many-operations",
            "too-much-memory",
            "cannot-translate",
            "no-measurement",
            "result-too-large",
        ),
        _CIRCUIT,
    ),
    **dict.fromkeys(("qpu-cap-too-small", "qpu-cap-reached"), _CAP),
    **dict.fromkeys(("session-over", "invalid-idle-time"), _SESSION),
    **dict.fromkeys(("vendor-refused", "vendor-cannot-run"), _VENDOR),
    "inputs-missing": _INPUTS,
    **dict.fromkeys(("call-too-large", "malformed-call"), _CALL),
    **dict.fromkeys(("too-many-calls", "more-shots-than-quoted"), _CALL_LIMIT),
    "too-many-shots": _CALL_SHOTS,
    "session-idle": _CALL_IDLE,
    "device-away": _CALL_AWAY,
    "too-many-refusals": _CALL_REFUSALS,
    "call-failed": _CALL_FAILED,
    **dict.fromkeys(
        (
            "unknown-partition",
            "unknown-qos",
            "path-too-long",
            "qos-limits-unsupported",
            "single-tenant-backend",
            "request-not-understood",
            "slurm-refused",
            "device-failed",
            "malformed-translation",
            "refused-by-vendor",
            "no-gpu",
            "unknown-queue",
            "queue-denied",
            "queue-disabled",
            "unknown-resource",
            "bad-resource-value",
            "name-too-long",
        ),
        _SITE,
    ),
    **dict.fromkeys(("unknown-node", "node-not-ours", "node-not-idle", "node-not-ready"), _NODE),
}

UNSUPPORTED: Final = _FEATURE
"""Of every `unsupported-<feature>`."""
OTHER: Final = (
    "指定した内容を確かめて再投入してください。解決しないときは、当方の窓口にこのコードを伝えてください。",
    "Check what was asked for and submit it again; if that does not help, tell our support this code.",
)
ASKED: Final = ("指定: {asked} / 使用できるもの: {allowed}", "Asked for: {asked}; offered: {allowed}.")


def advice(code: str) -> tuple[str, str]:
    """What is to be done about a refusal, whatever its code."""
    return REFUSED.get(code) or (UNSUPPORTED if code.startswith("unsupported-") else OTHER)
