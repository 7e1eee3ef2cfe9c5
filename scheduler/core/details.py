"""A machine's own word for what became of an attempt (`detail`), in words for people: (Japanese, English).

Phrases for brackets inside a sentence. A test reads the quantum adapters and demands one for every word of theirs.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Pair = tuple[str, str]

_AWAY: Final[Pair] = ("装置の提供元から応答がありません", "the device's vendor did not answer")
_ODD: Final[Pair] = ("装置の提供元の応答を解釈できません", "the vendor's answer could not be read")
_ACCESS: Final[Pair] = ("提供元への接続設定に問題があります", "our access to the vendor is not in order")
_OURS: Final[Pair] = ("当方の準備処理に失敗しました", "a preparation on our side failed")
_BUSY: Final[Pair] = ("装置に空きがありません", "the device has no room at the moment")
_CLOSED: Final[Pair] = ("装置は現在受け付けていません", "the device takes no jobs at the moment")
_CHECKING: Final[Pair] = (
    "プログラムの検査または変換が続いています",
    "the program is still being checked or translated",
)
_SENDING: Final[Pair] = ("引き渡しの結果を確認しています", "whether the vendor has it is being found out")

ENDED: Final[Mapping[str, Pair]] = {
    **dict.fromkeys(
        ("vendor-cannot-run", "vendor-refused", "refused-by-vendor"),
        ("提供元が受け付けませんでした", "the vendor refused it"),
    ),
    "failed-at-vendor": ("提供元がプログラムの失敗を報告しました", "the vendor says that the program failed"),
    "cancelled-by-vendor": ("提供元が取り消しました", "the vendor cancelled it"),
    "lost-by-vendor": ("提供元で失われました", "the vendor lost it"),
    "ibm-failed": ("提供元が理由を示さずに失敗を報告しました", "the vendor says that it failed, and not why"),
    "result-missing": ("提供元に結果がありません", "the vendor has no result of it"),
    "check-failed": ("プログラムの検査が完了しませんでした", "the check of the program did not come to its end"),
    "malformed-translation": ("変換の結果が正しくありません", "what the translation left is not as it should be"),
    "result-away": ("結果の取得を続けています", "its result is still being fetched"),
    "unknown-status": _ODD,
    "no-status": _ODD,
    "closed": ("セッションは閉じられました", "the session was closed"),
    "idle": ("セッションは無通信のため閉じられました", "the session was idle for too long"),
    "expired": ("セッションの制限時間に達しました", "the session reached its time limit"),
    "disk-limit": ("作業領域の上限を超えました", "it wrote more than it may"),
    "sandbox-failed": ("隔離環境を用意できませんでした", "the walls around it did not stand"),
    "supervisor-vanished": ("実行を監視する処理が失われました", "what watched over it vanished"),
    "before-start": ("開始前に取り消されました", "it was cancelled before it started"),
}
"""How attempts end."""

NOT_NOW: Final[Mapping[str, Pair]] = {
    **dict.fromkeys(("no-room", "too-many-requests", "rate-limited"), _BUSY),
    **dict.fromkeys(("calibrating", "device-calibrating"), ("装置は較正中です", "the device is being calibrated")),
    **dict.fromkeys(("maintenance", "device-maintenance"), ("装置は保守中です", "the device is in maintenance")),
    **dict.fromkeys(("offline", "device-offline", "no-such-device", "no-device", "refused-for-now"), _CLOSED),
    "qubits-unknown": ("装置の量子ビット数が分かりません", "nobody tells how many qubits the device has"),
    "usage-limit-reached": ("提供元での利用枠を使い切っています", "our allowance at the vendor is used up"),
    "session-not-open": ("セッションはまだ開いていません", "its session is not open yet"),
    "device-has-changed": ("装置の較正が変わったため変換し直します", "the device has changed; it is translated anew"),
    **dict.fromkeys(("translating", "check-not-done"), _CHECKING),
    **dict.fromkeys(("being-sent", "outcome-unknown", "started-before"), _SENDING),
    **dict.fromkeys(("unreachable", "no-answer", "vendor-error", "http", "bridge-silent", "bridge-died"), _AWAY),
    **dict.fromkeys(
        (
            "answer-too-large",
            "list-too-long",
            "link-not-https",
            "not-a-file-of-ours",
            "not-a-job-id",
            "not-a-list-of-jobs",
            "not-a-registered-job",
            "not-an-object",
            "not-json",
            "refused",
            "unreadable-answer",
            "upload-refused",
            "qrmi",
        ),
        _ODD,
    ),
    **dict.fromkeys(("no-token", "token-refused", "not-authorised", "credentials-unreadable"), _ACCESS),
    **dict.fromkeys(
        (
            "bridge-not-ready",
            "bridge-not-started",
            "check-not-started",
            "library-is",
            "library-missing",
            "message-too-long",
            "os-error",
            "supervisor-not-started",
            "translation-failed",
            "translation-gone",
            "translation-not-started",
        ),
        _OURS,
    ),
    "absent": ("計算機に記録がありません", "the machine does not know of it"),
}
"""Why an attempt could not be handed over."""

PROGRAM: Final[Mapping[str, Pair]] = {
    "program-too-large": ("プログラムが大きすぎます", "the program is too large"),
    "not-utf-8": ("UTF-8 のテキストではありません", "it is no UTF-8 text"),
    "control-characters": ("制御文字が含まれています", "it holds control characters"),
    "not-openqasm-3": ("OPENQASM 3; で始まっていません", "it does not begin with OPENQASM 3;"),
    "unknown-format": ("OpenQASM でも PUB の文書でもありません", "it is neither OpenQASM nor a document of PUBs"),
    "malformed-document": ("PUB の文書の形式が正しくありません", "it is no well-formed document of PUBs"),
    "invalid-shots": ("ショット数が範囲外です", "its number of shots is not taken"),
    "shapes-differ": ("パラメータと観測量の形が合いません", "shapes of parameters and observables do not fit"),
    "too-many-circuits": ("回路が多すぎます", "it has too many circuits"),
    "too-many-pubs": ("PUB が多すぎます", "it has too many PUBs"),
    "too-many-parameters": ("パラメータが多すぎます", "it has too many parameters"),
    "too-many-bindings": ("パラメータと観測量の組が多すぎます", "it has too many sets of parameters and observables"),
    "too-many-observables": ("パウリ項が多すぎます", "it has too many Pauli terms"),
    "too-many-executions": ("実行回数が多すぎます", "it needs too many executions"),
    "executions-differ": ("実行回数が申告と異なります", "it needs another number of executions than declared"),
    "parameters-differ": ("回路のパラメータと値が一致しません", "the circuit's parameters are not those with values"),
    "observable-too-wide": ("観測量の幅が回路と合いません", "an observable is not as wide as its circuit"),
    "unsupported-qpy-version": ("対応していない版の QPY です", "its version of QPY is not taken"),
    "malformed-qpy": ("QPY の形式が正しくありません", "it is no well-formed QPY"),
    "unsafe-qpy": ("QPY に標準ゲート以外が含まれています", "its QPY holds more than standard gates"),
    "nesting-too-deep": ("入れ子が深すぎます", "it is nested too deeply"),
    "malformed-program": ("プログラムの文法が正しくありません", "it is no valid program"),
    "include-not-allowed": ("取り込めないファイルを指定しています", "it includes a file that may not be included"),
    "unsupported-statement": ("対応していない文が含まれています", "it uses a statement that cannot be run"),
    "unbounded-loop": ("繰り返しの回数が定数ではありません", "a loop of it has no constant number of turns"),
    "unknown-gate": ("定義されていないゲートがあります", "it calls a gate that is not defined"),
    "recursive-gate": ("自分自身を呼び出すゲートがあります", "a gate of it calls itself"),
    "number-too-large": ("64 ビットを超える整数があります", "it holds an integer of more than 64 bits"),
    "too-many-controls": ("制御量子ビットが多すぎます", "a gate has too many control qubits"),
    "too-many-qubits": ("量子ビットが装置より多くなっています", "it has more qubits than the device"),
    "too-many-bits": ("古典ビットが多すぎます", "it has too many classical bits"),
    "too-many-operations": ("演算が多すぎます", "it has too many operations"),
    "too-much-memory": ("状態ベクトルがメモリに収まりません", "its state vector does not fit into the memory"),
    "cannot-translate": ("装置のゲートに変換できません", "it cannot be translated to the device's gates"),
    "no-measurement": ("測定がありません", "it measures nothing"),
    "result-too-large": ("結果が大きすぎます", "its result is too large"),
    "unsuitable-method": ("指定した方法では計算できません", "it cannot be simulated by this method"),
    "no-gpu": ("シミュレーターに GPU がありません", "the simulator has no GPU here"),
    "qpu-cap-too-small": ("QPU 時間の上限が必要量を下回ります", "it needs more QPU time than it may use"),
    "qpu-cap-reached": ("QPU 時間の上限に達しました", "it has used the QPU time that it may use"),
    "session-over": ("セッションは終了しています", "its session is over"),
    "device-failed": ("装置の障害です", "the device failed"),
}
"""Why a quantum program was not run, by the codes of `hpc_adapters.workloads.circuit_refusals`."""

_ALL: Final[Mapping[str, Pair]] = {**NOT_NOW, **PROGRAM, **ENDED}
_IBM: Final[Pair] = ("提供元のエラー番号です", "the vendor's own number of the error")


def words_for(detail: str) -> Pair | None:
    """What it means; None: nobody has words for it. After a colon or a hyphen a word may have facts of its own."""
    found = _ALL.get(detail) or _ALL.get(detail.partition(":")[0].rstrip("-"))
    if found is None and detail.startswith("ibm-"):
        return _IBM
    head = detail
    while found is None and "-" in head:
        head = head.rpartition("-")[0]
        found = _ALL.get(head)
    return found
