"""What a refusal of the lab says and what to do: (Japanese, English) by problem. A test demands one for each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.refusal import Refusal

Pair = tuple[str, str]
_CORRECT: Final[Pair] = ("その行を直すか取り除いてください。", "Correct the row, or leave it out.")

FILES: Final[Mapping[str, tuple[Pair, Pair]]] = {
    "missing_file": (
        ("{source} が見つからないか、読めません。", "{source} is not there, or may not be read."),
        ("パスを確かめてください。", "Check the path."),
    ),
    "not_text": (
        ("{source} は UTF-8 のテキスト（または gzip）として読めません。", "{source} is no UTF-8 text, nor gzip of it."),
        ("CSV または SWF のファイルを指定してください。", "Name a file of the form CSV or SWF."),
    ),
    "repeated_columns": (
        ("{source} に同じ列が 2 回あります: {columns}", "{source} names columns twice: {columns}."),
        ("列名は 1 回だけ使ってください。", "Name each column once."),
    ),
    "missing_columns": (
        ("{source} に列がありません: {columns}", "{source} lacks columns: {columns}."),
        ("1 行目に列名を入れてください。", "Name the columns in the first row."),
    ),
    "no_rows": (
        ("{source} には対象となる行がありません。", "{source} holds no row to replay."),
        ("ファイルまたは --days の範囲を確かめてください。", "Check the file, or the range of --days."),
    ),
    "no_history": (
        (
            "この環境には、その期間に GPU または QPU で動いたジョブの記録がありません。",
            "Nothing was submitted in that time that then ran on a GPU or a QPU of this installation.",
        ),
        ("--from と --to を確かめてください。", "Check --from and --to."),
    ),
    "no_database": (
        ("この環境のデータベースを読めません: {source}", "The database of this installation cannot be read: {source}"),
        (
            "kyoyod と同じ KYOYO_… の設定で実行してください。",
            "Run it with the same settings (KYOYO_…) as kyoyod.",
        ),
    ),
}

ROWS: Final[Mapping[str, tuple[Pair, Pair]]] = {
    "not_read": (
        ("{source} の {row} 行目を CSV として読めません。", "{source}, row {row}: it cannot be read as CSV."),
        ("引用符の閉じ忘れがないか確かめてください。", "See whether a quotation mark was left open."),
    ),
    "not_a_number": (
        (
            "{source} の {row} 行目: {column} の値「{value}」は数ではありません。",
            "{source}, row {row}: {column} is “{value}”, which is no number.",
        ),
        _CORRECT,
    ),
    "negative": (
        (
            "{source} の {row} 行目: {column} が負の値 {value} です。",
            "{source}, row {row}: {column} is negative ({value}).",
        ),
        _CORRECT,
    ),
    "absurd": (
        (
            "{source} の {row} 行目: {column} の値 {value} は上限 {limit} を超えています。",
            "{source}, row {row}: {column} is {value}, beyond all reason (at most {limit}).",
        ),
        ("単位（秒・基数）を確かめてください。", "Check the unit: seconds, and whole GPUs."),
    ),
    "missing_value": (
        ("{source} の {row} 行目: {column} がありません。", "{source}, row {row}: {column} is empty."),
        _CORRECT,
    ),
    "nothing_asked": (
        (
            "{source} の {row} 行目: GPU も QPU 時間も求めていません。",
            "{source}, row {row}: it asks for no GPU and no QPU time.",
        ),
        _CORRECT,
    ),
    "no_qpu": (
        (
            "{source} の {row} 行目: qpu_s がありますが、QPU 名 qpu がありません。",
            "{source}, row {row}: it has qpu_s, and no name of a QPU in the column qpu.",
        ),
        ("qpu 列に装置名を入れてください。", "Name the device in the column qpu."),
    ),
    "repeated": (
        (
            "{source} の {row} 行目: {column} の値「{value}」は既に現れています。",
            "{source}, row {row}: {column} “{value}” has been there before.",
        ),
        ("番号・名前は 1 回だけ使ってください。", "Use each number or name once."),
    ),
    "weight_zero": (
        ("{source} の {row} 行目: 「{value}」の重みが 0 です。", "{source}, row {row}: the weight of “{value}” is 0."),
        (
            "1 以上の整数を指定してください。参加しない組織の行は取り除いてください。",
            "Give a whole number of 1 or more; leave out who takes no part.",
        ),
    ),
    "not_whole": (
        (
            "{source} の {row} 行目: {column} の値「{value}」は整数ではありません。",
            "{source}, row {row}: {column} is “{value}”, which is no whole number.",
        ),
        _CORRECT,
    ),
    "unknown_organisation": (
        (
            "{source} の {row} 行目: 組織「{value}」の重みがありません。",
            "{source}, row {row}: nothing tells the weight of the organisation “{value}”.",
        ),
        ("共有比率のファイルに加えてください。", "Add it to the file of shares."),
    ),
    "unknown_parent": (
        (
            "{source} の {row} 行目: 親「{value}」は定義されていません。",
            "{source}, row {row}: there is no parent “{value}”.",
        ),
        ("親の行を加えるか、parent を空にしてください。", "Add a row for it, or leave parent empty."),
    ),
    "cycle": (
        (
            "{source} の {row} 行目: 「{value}」は自分自身の祖先になっています。",
            "{source}, row {row}: “{value}” is above itself in the tree.",
        ),
        ("parent の列を直してください。", "Correct the column parent."),
    ),
    "gang_too_large": (
        (
            "{source} の {row} 行目: GPU {value} 基は、全 {limit} 基の計算機に収まりません。",
            "{source}, row {row}: a gang of {value} GPUs never fits into a machine of {limit}.",
        ),
        ("--gpus を増やすか、その行を取り除いてください。", "Raise --gpus, or leave the row out."),
    ),
    "limit_too_short": (
        (
            "{source} の {row} 行目: 実行時間の上限 {value} 秒は下限 {limit} 秒より短くなっています。",
            "{source}, row {row}: a limit of {value} s is below the minimum of {limit} s.",
        ),
        ("要求された実行時間の上限を秒で入れてください。", "Give the requested walltime in seconds."),
    ),
}

OPTIONS: Final[Mapping[str, tuple[Pair, Pair]]] = {
    "never_waited": (
        (
            "予測を求める時点で待っているジョブがありませんでした。",
            "Nothing waited when a prediction was to be asked for.",
        ),
        (
            "{option} を {value} より小さくするか、GPU を減らしてください。",
            "Make {option} less than {value}, or the machine smaller.",
        ),
    ),
    "unknown_policy": (
        ("方式「{value}」はありません。", "There is no policy “{value}”."),
        ("{known} から選んでください。", "Choose from {known}."),
    ),
    "out_of_range": (
        ("{option} の値 {value} は使えません。", "{option} cannot be {value}."),
        ("{known} の範囲で指定してください。", "Choose from {known}."),
    ),
    "not_read": (
        ("{option} の「{value}」を解釈できません。", "{option} “{value}” cannot be read."),
        ("{known} の形で指定してください。", "Write it as {known}."),
    ),
    "unknown_organisation": (
        ("{option}: 組織「{value}」はこのトレースにありません。", "{option}: the trace has no organisation “{value}”."),
        ("共有比率のファイルにある名前を使ってください。", "Use a name of the file of shares."),
    ),
    "not_written": (
        ("{option}: {value} には書き込めません。", "{option}: nothing can be written to {value}."),
        ("既存のフォルダーの中のファイル名を指定してください。", "Name a file in a folder that is there."),
    ),
    "unknown_machine": (
        ("{option}: 計算機「{value}」はありません。", "{option}: there is no machine “{value}”, or more than one."),
        ("{known} から選んでください。", "Choose from {known}."),
    ),
    "no_size": (
        ("計算機「{value}」の GPU 数がありません。", "Nothing tells how many GPUs the machine “{value}” has."),
        ("--gpus {value}=N で指定してください。", "Give it by --gpus {value}=N."),
    ),
    "one_source": (
        ("{option} はこの形では使えません。", "{option} does not go with the rest."),
        (
            "--jobs（と --shares）か --history（と --from・--to）のどちらか一方を指定してください。",
            "Give either --jobs (and --shares) or --history (and --from, --to).",
        ),
    ),
    "no_rate": (
        ("QPU「{value}」の交換比率がありません。", "The exchange table has no rate for the QPU “{value}”."),
        ("--rate {value}=NU で、1 時間あたりの NU を指定してください。", "Give its NU per hour by --rate {value}=NU."),
    ),
}

_TABLES: Final[Mapping[str, Mapping[str, tuple[Pair, Pair]]]] = {
    "trace-unreadable": FILES,
    "trace-row-refused": ROWS,
    "experiment-refused": OPTIONS,
}


def said(refused: Refusal, *, japanese: bool) -> str:
    """What is wrong and what to do, after the stable code."""
    problem = str(refused.facts["problem"])
    message, remedy = (pair[0 if japanese else 1] for pair in _TABLES[refused.code][problem])
    facts = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in refused.facts.items()
    }
    return f"{refused.code}/{problem}: {message.format_map(facts)} {remedy.format_map(facts)}"
