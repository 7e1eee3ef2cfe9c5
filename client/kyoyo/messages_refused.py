"""Sentences about refusals and about functions that run as jobs, in both languages, by key. Braces are facts.

`remedy.CODE` stands in place of the portal's remedy, which speaks of the API's fields and not of options.
"""

EN = {
    "remedy.cost-cap-too-small": "Raise {limit}, or ask for fewer shots or less time.",
    "remedy.cost-cap-not-positive": "Set {limit} above 0, or leave it out.",
    "remedy.missing-script": "Put the program into the file that is submitted.",
    "option.max_cost_estimate": "The limit in yen, with tax, that the job will have; it only ever lowers the cap.",
    "say.estimator": "[{number}] Estimator: {shots} shots for each Pauli string of each element "
    "(standard error {precision} or less)",
    "wrong.empty_circuit": "{path} is empty; put the circuit into it",
    "wrong.picture": "{path}: only the form plot is a picture; leave out --format {form}, or give a file that does "
    "not end in .svg or .png",
    "wrong.value_elsewhere": "what job {job} returned is pickled, and only the process that submitted it can read it; "
    "numbers, texts, lists and mappings can be read anywhere",
    "wrong.no_done": "job {job} has used all its rounds, and its function never returned a Done; more rounds, or a "
    "Done in the last one, give it a value. left() has the last measurement",
}

JA = {
    "remedy.cost-cap-too-small": "{limit} を引き上げるか、ショット数または時間を減らしてください。",
    "remedy.cost-cap-not-positive": "{limit} は正の額にするか、省略してください。",
    "remedy.missing-script": "投入するファイルにプログラムの本文を入れてください。",
    "option.max_cost_estimate": "投入時の上限額（円、税込）。打ち切りまでの時間を短くするだけで、延ばしません。",
    "say.estimator": "[{number}] Estimator: 要素の Pauli 文字列ごとに {shots} ショット（標準誤差 {precision} 以下）",
    "wrong.empty_circuit": "{path} は空です。回路を書き込んでください",
    "wrong.picture": "{path}: 画像になるのは plot だけです。--format {form} を省略するか、"
    ".svg・.png で終わらない名前にしてください",
    "wrong.value_elsewhere": "ジョブ {job} の戻り値は pickle 形式で、投入したプロセスだけで読み取れます。"
    "数値・文字列・リスト・辞書なら、どこからでも読み取れます",
    "wrong.no_done": "ジョブ {job} は全ラウンドを終えましたが、関数が Done を返しませんでした。ラウンド数を増やすか、"
    "最後のラウンドで Done を返してください。最後の測定結果は left() にあります",
}
